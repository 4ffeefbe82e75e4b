// The six pictures: each a title, a legend and a function that draws what the page knows of a training.

const DASHES = [[], [6, 2], [2, 2], [8, 2, 2, 2]]; // for readers who do not tell colours apart

const series = (page) => ({
  target: { name: "target", color: page.colors.ink, dash: [2, 3], width: 1.4 },
  output: { name: "network", color: page.colors.palette[0] },
  residual: { name: "residual", color: page.colors.palette[1], dash: [6, 2], width: 1.4 },
});

const interval = ({ problem }) => ({ range: [problem.low, problem.high], label: "x" });
const epochs = ({ frame }) => ({ range: [0, windowOf(frame.epoch)], label: "epoch" });

function spread(values) {
  const low = values.reduce((a, b) => Math.min(a, b)), high = values.reduce((a, b) => Math.max(a, b));
  const margin = 0.25 * (high - low || 1);
  return [low - margin, high + margin];
}

const fit = {
  name: "fit", title: "Fit", says: "Target, network and points against x.",
  legend: (page) => [series(page).target, series(page).output],
  draw(canvas, page) {
    const { problem, frame, colors } = page, { target, output } = series(page);
    const axes = new Axes(canvas, colors, interval(page), { range: spread(problem.target), label: "u" });
    axes.points(problem.x, problem.y, { color: colors.ink, radius: 1.6, opacity: 0.35 });
    axes.line(problem.grid, problem.target, target);
    axes.line(problem.grid, frame.output, output);
    return axes;
  },
};

const spectrum = {
  name: "spectrum", title: "Frequencies",
  says: "Amplitudes of target, network and residual against the wavenumber.",
  legend: (page) => Object.values(series(page)),
  draw(canvas, page) {
    const { problem, frame, colors } = page, { target, output, residual } = series(page);
    const top = Math.max(...problem.targetAmplitudes), log = page.logarithmic;
    const ks = Array.from(problem.targetAmplitudes.keys());
    const decade = Math.ceil(Math.log10(top) + 0.05);
    const y = { range: log ? [decade - 5, decade] : [0, 1.25 * top], label: "amplitude", log };
    const axes = new Axes(canvas, colors, { range: [0, ks.length - 1], label: "waves in the interval" }, y);
    axes.line(ks, frame.residualAmplitudes, residual);
    axes.line(ks, frame.amplitudes, output);
    axes.points(ks, frame.amplitudes, { color: output.color, radius: 2.2 });
    axes.line(ks, problem.targetAmplitudes, target);
  },
};

const learned = {
  name: "learned", title: "Share learned",
  says: "Amplitude ratio of the target's strongest wavenumbers against the epoch.",
  legend: ({ problem, colors }) => problem.tracked.map((k, i) => ({
    name: `${k} wave${k > 1 ? "s" : ""}`, color: colors.palette[i], dash: DASHES[i],
  })),
  draw(canvas, page) {
    const { history, colors } = page, at = history.map(({ epoch }) => epoch);
    const axes = new Axes(canvas, colors, epochs(page), { range: [-0.2, 1.3], label: "amplitude ratio" });
    axes.line([0, windowOf(at.at(-1))], [1, 1], { color: colors.ink, width: 1, dash: [2, 3] });
    this.legend(page).forEach((look, i) => axes.line(at, history.map(({ ratios }) => ratios[i]), look));
  },
};

const loss = {
  name: "loss", title: "Loss", says: "Mean square of the residual at the points against the epoch.",
  legend: () => [],
  draw(canvas, page) {
    const { history, colors } = page, losses = history.map((one) => one.loss).filter((value) => value > 0);
    const finite = losses.filter(Number.isFinite), floor = Math.floor(Math.log10(Math.min(...finite, 1e300)));
    const ceiling = Math.ceil(Math.log10(Math.max(...finite, 1e-300)));
    const range = finite.length ? [floor, Math.max(ceiling, floor + 1)] : [-1, 0];
    const axes = new Axes(canvas, colors, epochs(page), { range, label: "mean square", log: true });
    const at = history.map(({ epoch }) => epoch);
    axes.line(at, history.map((one) => one.loss), { color: colors.palette[0] });
  },
};

const basis = {
  name: "basis", title: "Basis functions",
  says: "Functions of the last hidden layer against x, as strong as their weight in the output is large.",
  legend: () => [],
  draw(canvas, page) {
    const { problem, frame, colors, settings } = page, n = problem.grid.length;
    const range = settings.activation === "relu" ? spread(frame.functions) : [-1.15, 1.15];
    const axes = new Axes(canvas, colors, interval(page), { range, label: "unit" });
    frame.shares.forEach((share, i) => axes.line(
      problem.grid, frame.functions.subarray(i * n, (i + 1) * n),
      { color: colors.palette[0], width: 1.1, opacity: Math.max(0.08, share) },
    ));
  },
};

// Rows of pixels, the last record on top, of the residual's size as a share of the target's largest.
function residualPicture({ history, problem, colors }) {
  const { ramp } = colors, brightest = ramp.length - 1;
  const scale = brightest / problem.target.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
  const columns = problem.grid.length, image = new ImageData(columns, history.length);
  const pixels = new Uint32Array(image.data.buffer);
  history.forEach(({ residual }, i) => {
    const row = columns * (history.length - 1 - i);
    for (let j = 0; j < columns; j++) { // what is not a number is left transparent
      pixels[row + j] = ramp[Math.min(brightest, Math.floor(scale * Math.abs(residual[j])))] ?? 0;
    }
  });
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: columns, height: history.length });
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

const order = {
  name: "order", title: "Order of fitting",
  says: "Size of the residual at every place and recorded epoch: bright is not yet fitted.",
  legend: () => [{ name: "fitted", ramp: 0 }, { name: "not yet fitted", ramp: 1 }],
  draw(canvas, page) {
    const { history, problem, colors, frame } = page, y = epochs(page);
    const axes = new Axes(canvas, colors, interval(page), y), step = windowOf(frame.epoch) / MOST_RECORDS;
    const last = history.at(-1).epoch;
    axes.picture(residualPicture(page), problem.low, problem.high, 0, last + step);
  },
};

const VIEWS = [fit, order, spectrum, learned, loss, basis];
