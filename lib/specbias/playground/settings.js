// Every setting of the playground: what it is called, what it may be, when it matters. Form and address are
// made from this list; whatever comes from either is checked here.

const choice = (name, label, options, more) =>
  ({ kind: "choice", name, label, options, default: options[0][0], ...more });
const number = (name, label, least, most, value, more) =>
  ({ kind: "number", name, label, least, most, default: value, ...more });
const whole = (...all) => ({ ...number(...all), whole: true });

const MOST_HEIGHTS = 65;
const heights = {
  kind: "heights", name: "heights", label: "heights, from left to right; or draw in the first picture",
  default: [0, 0.2, 0.9, 0.1, -0.5, -0.4, 0.3, 0.6], when: ({ target }) => target === "own", wide: true,
};

const SETTINGS = [
  choice("target", "target", [
    ["waves", "two waves"], ["sine", "sine, sin(ωx)"], ["envelope", "sine under an envelope, sin(kπx)"],
    ["sawtooth", "sawtooth on a spline"], ["step", "step"], ["own", "your own"],
  ], { group: "Target", wide: true }),
  whole("slow", "slow waves", 1, 20, 1, { when: ({ target }) => target === "waves" }),
  whole("fast", "fast waves", 1, 40, 5, { when: ({ target }) => target === "waves" }),
  number("frequency", "ω", 0.1, 12, 2, { when: ({ target }) => target === "sine" }),
  choice("envelope", "envelope", [["none", "none"], ["sqrt", "√x"], ["bump", "4x(1−x)"], ["bowl", "4(x−½)²"]],
    { when: ({ target }) => target === "envelope" }),
  whole("halves", "k, half oscillations", 1, 80, 26, { when: ({ target }) => target === "envelope" }),
  whole("teeth", "teeth", 1, 16, 16, { when: ({ target }) => target === "sawtooth" }),
  heights,
  number("range", "length of the interval", 0.1, 30, 2),
  whole("points", "points", 10, 1500, 200, { group: "Data" }),
  choice("sampling", "their places", [["regular", "regular"], ["random", "random"]]),
  choice("inputs", "the network sees", [
    ["plain", "x as it is"], ["scaled", "x scaled to [−1, 1]"], ["circle", "x on a circle"],
    ["fourier", "Fourier features"],
  ], { wide: true }),
  whole("width", "units a layer", 1, 200, 50, { group: "Network" }),
  whole("depth", "hidden layers", 1, 4, 2),
  choice("activation", "activation", [["tanh", "tanh"], ["sin", "sin(ω₀z)"], ["relu", "ReLU"]]),
  number("omega", "ω₀", 0.1, 60, 2, { when: ({ activation }) => activation === "sin" }),
  whole("seed", "seed of the weights", 0, 999999, 0),
  choice("optimizer", "optimizer", [["adam", "Adam"], ["sgd", "gradient descent"]], { group: "Training" }),
  number("lr", "learning rate", 1e-6, 10, 5e-3),
  number("momentum", "momentum", 0, 0.999, 0, { when: ({ optimizer }) => optimizer === "sgd" }),
  whole("epochs", "pause every … epochs", 1, 100000, 2000),
];

const settingCalled = new Map(SETTINGS.map((setting) => [setting.name, setting]));
const applies = (setting, values) => !setting.when || setting.when(values);

// A target comes with the interval that it has in the chapters.
const USUAL_RANGE = { sine: 15, envelope: 1, waves: 2, sawtooth: 1, step: 2, own: 2 };

// Multiplications of an epoch: beyond this many a phone would not answer for seconds.
const MOST_WORK = 2e8;

function workOf({ inputs, width, depth, points }) {
  const first = { plain: 1, scaled: 1, circle: 2, fourier: 60 }[inputs];
  return 3 * points * (width * first + (depth - 1) * width * width + width);
}

function allowed({ kind, options, least, most, whole: isWhole }) {
  if (kind === "choice") return options.map(([value]) => value).join(", ");
  if (kind === "heights") return `2 to ${MOST_HEIGHTS} numbers from −5 to 5`;
  return `${isWhole ? "a whole number" : "a number"} from ${least} to ${most}`;
}

const textOf = (setting, value) => (setting.kind === "heights" ? value.join(" ") : String(value));

// What a text means, or undefined if the setting does not allow it.
function readValue(setting, text) {
  if (setting.kind === "choice") return setting.options.some(([value]) => value === text) ? text : undefined;
  if (setting.kind === "heights") {
    const values = text.trim().split(/[\s,;]+/).map(Number);
    const fine = values.length >= 2 && values.length <= MOST_HEIGHTS && values.every((v) => Math.abs(v) <= 5);
    return fine ? values : undefined;
  }
  const value = text.trim() === "" ? NaN : Number(text);
  const fine = value >= setting.least && value <= setting.most && (!setting.whole || Number.isInteger(value));
  return fine ? value : undefined;
}

const defaults = () => Object.fromEntries(SETTINGS.map((setting) => [setting.name, setting.default]));

// The same settings, with as many points as a page can do; a note is added if they are fewer.
function withinReach(values, notes) {
  const most = Math.floor((values.points * MOST_WORK) / workOf(values));
  if (most >= values.points) return values;
  notes.push(`points became ${most}: with ${values.points}, every epoch of this network would take too long`);
  return { ...values, points: most };
}

const cut = (text) => text.slice(0, 30);

// Settings from the part of an address after #, and a note for whatever in it is not allowed.
function settingsFromAddress(hash) {
  const values = defaults(), notes = [], given = new URLSearchParams(hash.replace(/^#/, ""));
  for (const [name, text] of given) {
    const setting = settingCalled.get(name), value = setting && readValue(setting, text);
    if (!setting) notes.push(`there is no setting “${cut(name)}”`);
    else if (value === undefined) notes.push(`${name} must be ${allowed(setting)}, not “${cut(text)}”`);
    else values[name] = value;
  }
  if (!given.has("range") || readValue(settingCalled.get("range"), given.get("range")) === undefined) {
    values.range = USUAL_RANGE[values.target];
  }
  return { values: withinReach(values, notes), notes };
}

// All settings that matter, so that a link says the same when defaults have changed.
function addressOf(values) {
  const given = SETTINGS.filter((setting) => applies(setting, values));
  const pairs = given.map((setting) => [setting.name, textOf(setting, values[setting.name])]);
  return `#${new URLSearchParams(pairs)}`;
}

// The settings in a line of words.
function inWords(values) {
  const label = (name) => settingCalled.get(name).options.find(([value]) => value === values[name])[1];
  const layers = `${values.depth} × ${values.width} ${label("activation").replace("ω₀", values.omega)}`;
  return `${label("target")} · ${layers} · ${label("optimizer")}, ${values.lr}`;
}
