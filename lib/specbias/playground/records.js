// At which epochs a training is recorded: all of them up to 256, every other one up to 512, and so on. Page
// and worker both know this rule, so there are never more than 257 records, however long the training is.

const MOST_RECORDS = 256;

// Length of the time axis: 256, 512, 1024, ...
function windowOf(epoch) {
  let length = MOST_RECORDS;
  while (length < epoch) length *= 2;
  return length;
}

const isRecorded = (epoch, now) => epoch % (windowOf(now) / MOST_RECORDS) === 0;
