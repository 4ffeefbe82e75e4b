// What is trained on what: targets, points, inputs and initial weights, each from the settings alone.

// Numbers on [0, 1), the same for a seed everywhere: a counter, its bits mixed.
function generator(seed) {
  let state = Math.imul(seed + 1, 0x9e3779b1);
  const bits = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  };
  return () => ((bits() >>> 5) * 2 ** 26 + (bits() >>> 6)) / 2 ** 53;
}

// nn.Linear's default: weights and biases uniform between -1 and 1 over the root of the number of inputs.
function initialParameters(sizes, seed) {
  const { layers, count } = layersOf(sizes), draw = generator(seed), parameters = new Float64Array(count);
  for (const { from, to, weights } of layers) {
    const bound = 1 / Math.sqrt(from);
    for (let i = weights; i < weights + from * to + to; i++) parameters[i] = bound * (2 * draw() - 1);
  }
  return parameters;
}

// Those of chapter 2, of the place t on [0, 1].
const ENVELOPES = {
  none: () => 1,
  sqrt: (t) => Math.sqrt(t),
  bump: (t) => 4 * t * (1 - t),
  bowl: (t) => 4 * (t - 0.5) ** 2,
};

// Chapter 3's: a spline with five kinks, and teeth on it.
const KINKS = [[21 / 64, -3], [41 / 64, -1], [47 / 64, 1], [53 / 64, 1.5], [59 / 64, 1.5]];

function sawtooth(t, teeth) {
  const spline = KINKS.reduce((sum, [place, change]) => sum + change * Math.max(0, t - place), 0.5 + 2 * t);
  return spline + (1 - Math.abs(1 - 2 * ((t * teeth) % 1))) / 8;
}

function between(heights, t) {
  const at = t * (heights.length - 1), i = Math.min(Math.floor(at), heights.length - 2);
  return heights[i] + (at - i) * (heights[i + 1] - heights[i]);
}

const CENTRED = new Set(["sine", "waves", "step", "own"]); // the others begin at 0, as in their chapters

// The interval, and the function of x there.
function targetOf(settings) {
  const { target, range } = settings, low = CENTRED.has(target) ? -range / 2 : 0;
  const share = (x) => (x - low) / range, turn = 2 * Math.PI;
  const functions = {
    sine: (x) => Math.sin(settings.frequency * x),
    envelope: (x) => ENVELOPES[settings.envelope](share(x)) * Math.sin(Math.PI * settings.halves * share(x)),
    waves: (x) => Math.sin((turn * settings.slow * x) / range) + Math.sin((turn * settings.fast * x) / range),
    sawtooth: (x) => sawtooth(share(x), settings.teeth),
    step: (x) => (x < 0 ? -1 : 1),
    own: (x) => between(settings.heights, share(x)),
  };
  return { low, high: low + range, at: functions[target] };
}

function midpoints(low, high, n) {
  return Float64Array.from({ length: n }, (_, i) => low + ((high - low) * (i + 0.5)) / n);
}

// Random points are the same for every seed, so that new weights are nothing but new weights.
function pointsOf({ sampling, points }, low, high) {
  if (sampling === "regular") return midpoints(low, high, points);
  const draw = generator(2 ** 20);
  return Float64Array.from({ length: points }, () => low + (high - low) * draw()).sort();
}

const HARMONICS = 30;

// Cycles per unit of x of the cosines and sines that the network is fed.
function inputFrequencies({ inputs, target, range, frequency }) {
  if (inputs === "fourier") return Array.from({ length: HARMONICS }, (_, j) => (j + 1) / (2 * range));
  // once around the circle: a whole number of the sine's periods, or its ends would not meet
  const period = (2 * Math.PI) / frequency;
  return [1 / (target === "sine" ? period * Math.ceil(range / period - 1e-9) : range)];
}

// What the first layer sees, (features, n).
function featuresOf(settings, xs, low, high) {
  if (settings.inputs === "plain") return xs;
  if (settings.inputs === "scaled") return xs.map((x) => (2 * x - (low + high)) / (high - low));
  const parts = inputFrequencies(settings).flatMap((f) => [
    xs.map((x) => Math.cos(2 * Math.PI * f * x)), xs.map((x) => Math.sin(2 * Math.PI * f * x)),
  ]);
  const all = new Float64Array(parts.length * xs.length);
  parts.forEach((part, i) => all.set(part, i * xs.length));
  return all;
}

const featureCount = ({ inputs }) => ({ plain: 1, scaled: 1, circle: 2, fourier: 2 * HARMONICS })[inputs];

const sizesOf = (settings) => [featureCount(settings), ...Array(settings.depth).fill(settings.width), 1];
