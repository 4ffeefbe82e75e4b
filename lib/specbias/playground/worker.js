// The worker: trains in slices, so that it hears the page between them, and sends what there is to see.
//
// From the page: start (settings, interval), train (until an epoch), pause, step, drawn. To the page:
// problem, frame. While it trains, a frame is sent only when the page has drawn the one before it, so that a
// slow page is never flooded.

const GRID = 400; // points at which the network is looked at
const SLICE = 25; // milliseconds of training between looks for messages
const SHOWN_UNITS = 20;

let run = null;

// Messages to oneself wait behind those that the page has sent; a timer would wait 4 ms more.
const own = new MessageChannel();
let queued = false;
own.port1.onmessage = () => { queued = false; trainOn(); };

function goOn() {
  if (!queued) own.port2.postMessage(null);
  queued = true;
}

function begin({ settings, number, interval, parameters }) {
  const { low, high, at } = targetOf(settings), sizes = sizesOf(settings);
  const x = pointsOf(settings, low, high), y = x.map(at);
  const grid = midpoints(low, high, GRID), target = grid.map(at);
  const weights = parameters ?? initialParameters(sizes, settings.seed);
  const { activation, omega } = settings;
  const make = (xs) => new Network(sizes, activation, omega, featuresOf(settings, xs, low, high));
  const trainer = new Trainer(make(x), weights, y, settings);
  const wide = new Spectrum(GRID, 60), highest = highestShown(amplitudesOf(wide.coefficients(target)));
  const spectrum = new Spectrum(GRID, highest), wanted = spectrum.coefficients(target);
  const targetAmplitudes = amplitudesOf(wanted), tracked = strongest(targetAmplitudes);
  run = {
    number, interval, trainer, viewer: make(grid), target, spectrum, wanted, tracked, records: [], until: 0,
    drawn: true, sent: -Infinity, rate: 0, mark: null,
  };
  postMessage({ type: "problem", number, low, high, x, y, grid, target, targetAmplitudes, tracked });
  record();
  send();
}

// The network on the grid, kept until the next epoch; what is recorded and what is shown both come from it.
function look() {
  const { viewer, trainer, target, spectrum } = run;
  const output = Float32Array.from(viewer.forward(trainer.parameters));
  const coefficients = spectrum.coefficients(output);
  return { output, coefficients, residual: Float32Array.from(output, (value, i) => value - target[i]) };
}

function record() {
  const { coefficients, residual } = look(), { epoch, loss } = run.trainer;
  const ratios = run.tracked.map((k) => amplitudeRatio(run.wanted, coefficients, k));
  run.records.push({ epoch, loss, residual, ratios });
}

// The units of largest output weight, and how large it is.
function strongestUnits() {
  const { viewer, trainer: { parameters } } = run, { from, weights } = viewer.layers.at(-1);
  const size = Array.from({ length: from }, (_, unit) => Math.abs(parameters[weights + unit]));
  const units = size.map((_, unit) => unit).sort((a, b) => size[b] - size[a]).slice(0, SHOWN_UNITS);
  const functions = new Float32Array(units.length * GRID);
  units.forEach((unit, i) => functions.set(viewer.basis.subarray(unit * GRID, (unit + 1) * GRID), i * GRID));
  return { functions, shares: Float32Array.from(units, (unit) => size[unit] / size[units[0]]) };
}

function send() {
  const { trainer: { epoch, loss }, number, records, rate } = run;
  const { output, coefficients, residual } = look();
  const amplitudes = amplitudesOf(coefficients);
  const residualAmplitudes = amplitudesOf(run.spectrum.coefficients(residual));
  const { functions, shares } = strongestUnits();
  const state = !Number.isFinite(loss) ? "diverged" : epoch < run.until ? "training" : "paused";
  const arrays = { output, amplitudes, residualAmplitudes, functions, shares };
  const kept = records.filter((one) => isRecorded(one.epoch, epoch));
  const sent = [...Object.values(arrays), ...kept.map((one) => one.residual)].map((array) => array.buffer);
  postMessage({ type: "frame", number, epoch, loss, rate, state, records: kept, ...arrays }, sent);
  Object.assign(run, { records: [], drawn: false, sent: performance.now() });
}

function advance() {
  run.trainer.advance();
  const { epoch, loss } = run.trainer;
  if (isRecorded(epoch, epoch)) record();
  if (!Number.isFinite(loss)) run.until = epoch;
}

// Epochs a second of the clock on the wall, over half a second or more.
function measureRate() {
  const now = performance.now(), { mark, trainer } = run;
  if (now - mark.time < 500) return;
  run.rate = (1000 * (trainer.epoch - mark.epoch)) / (now - mark.time);
  run.mark = { time: now, epoch: trainer.epoch };
}

function trainOn() {
  const { trainer } = run, began = performance.now();
  if (trainer.epoch >= run.until) return;
  do advance(); while (trainer.epoch < run.until && performance.now() - began < SLICE);
  measureRate();
  const done = trainer.epoch >= run.until;
  if (done || (run.drawn && performance.now() - run.sent >= run.interval)) send();
  if (!done) goOn();
}

function train(until) {
  const { trainer } = run;
  if (!Number.isFinite(trainer.loss)) return;
  if (trainer.epoch >= run.until) run.mark = { time: performance.now(), epoch: trainer.epoch };
  run.until = until;
  goOn();
}

function pause() {
  if (run.trainer.epoch >= run.until) return;
  run.until = run.trainer.epoch;
  send();
}

onmessage = ({ data }) => {
  if (data.type === "start") begin(data);
  else if (data.type === "train") train(data.until);
  else if (data.type === "step") train(run.trainer.epoch + 1);
  else if (data.type === "pause") pause();
  else if (data.type === "drawn" && data.number === run.number) run.drawn = true;
};
