// The playground as a whole: form, buttons, pictures and the worker that trains.

const QUIET = window.matchMedia("(prefers-reduced-motion: reduce)");
const ANNOUNCED_EVERY = 10000; // milliseconds between what a screen reader hears of a training
const ADVICE = "The loss is no longer a finite number: the steps are too long. Take a learning rate ten "
  + "times smaller, scale the input to [−1, 1], or take Adam.";

const fewDigits = (value) => String(value >= 100 ? Math.round(value) : Number(value.toPrecision(2)));

class Playground {
  constructor(root) {
    const find = (name) => root.querySelector(`.playground-${name}`);
    Object.assign(this, { root, find, number: 0, announced: 0, frame: null });
    this.data = JSON.parse(find("data").textContent);
    this.data.ramp = Uint32Array.from(this.data.ramp);
    this.startWorker();
    this.form = new Form(find("form"), (...what) => this.settingsChanged(...what), (note) => this.note(note));
    this.makeButtons();
    this.makeViews();
    this.followAddress();
    window.addEventListener("hashchange", () => this.followAddress());
    document.addEventListener("click", ({ target }) => { // the same link again does not change the address
      const link = target.closest?.("a[href]");
      if (link && link.href === location.href) this.followAddress();
    });
  }

  startWorker() {
    const text = new Blob([this.find("worker").textContent], { type: "text/javascript" });
    this.worker = new Worker(URL.createObjectURL(text));
    this.worker.onmessage = ({ data }) => this.hear(data);
    this.worker.onerror = ({ message }) => this.note(`The script that trains has failed: ${message}`);
  }

  makeButtons() {
    const actions = {
      train: () => this.train(), step: () => this.step(), reset: () => this.start(),
      weights: () => this.form.set("seed", (this.form.values.seed + 1) % 1000000),
      copy: () => this.copyLink(),
    };
    for (const button of this.root.querySelectorAll("button")) {
      button.addEventListener("click", actions[button.name]);
    }
    this.find("logarithmic").addEventListener("change", () => this.draw());
  }

  makeViews() {
    this.canvases = VIEWS.map(({ name, title, says }) => {
      const canvas = node("canvas", { role: "img", "aria-label": `${title}: ${says}`, "data-view": name });
      const legend = node("ul", { class: "playground-legend" });
      const heading = node("div", { class: "playground-title" }, title);
      this.find("views").append(node("div", {}, heading, legend, canvas));
      return { canvas, legend };
    });
    drawable(this.canvases[0].canvas, this, this.form);
    const redraw = () => this.draw();
    new ResizeObserver(redraw).observe(this.find("views"));
    const themes = { attributes: true, attributeFilter: ["data-theme", "data-mode", "class"] };
    new MutationObserver(redraw).observe(document.documentElement, themes);
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  }

  // An address with settings after # is for the playground; any other is for a heading of the page.
  followAddress() {
    const theirs = location.hash.includes("=");
    const { values, notes } = settingsFromAddress(theirs ? location.hash : "");
    if (!theirs && this.frame) return;
    this.form.show(values);
    this.settingsChanged(values, null, notes);
    if (theirs) this.root.scrollIntoView();
  }

  settingsChanged(values, name, notes) {
    if (name) this.writeAddress();
    this.find("words").textContent = inWords(values);
    if (name !== "epochs") this.start(); // when to pause changes nothing else
    this.note(notes.map((note) => `${note[0].toUpperCase()}${note.slice(1)}.`).join(" "));
  }

  writeAddress() {
    try {
      history.replaceState(null, "", addressOf(this.form.values));
    } catch { /* an embedded page may have no address of its own; the link can be copied all the same */ }
  }

  start(parameters) {
    this.number += 1;
    Object.assign(this, { settings: this.form.values, history: [], problem: null, parameters: undefined });
    const interval = QUIET.matches ? 500 : 50, { settings, number } = this;
    this.setTraining(false);
    this.note("");
    this.worker.postMessage({ type: "start", settings, number, interval, parameters });
  }

  train() {
    if (this.training) return this.worker.postMessage({ type: "pause" });
    if (this.frame?.state === "diverged") return this.announce(ADVICE);
    const { epochs } = this.form.values, made = this.frame?.epoch ?? 0;
    this.setTraining(true);
    this.announce("Training.");
    this.worker.postMessage({ type: "train", until: (Math.floor(made / epochs) + 1) * epochs });
  }

  step() {
    this.worker.postMessage({ type: "step" });
  }

  setTraining(training) {
    this.training = training;
    this.find("train").textContent = training ? "❚❚ Pause" : "▶ Train";
    this.root.dataset.state = training ? "training" : "paused";
  }

  hear(message) {
    if (message.number !== this.number) return; // from before a reset
    if (message.type === "problem") {
      this.problem = message;
      return;
    }
    this.frame = message;
    this.history = this.history.filter(({ epoch }) => isRecorded(epoch, message.epoch));
    this.history.push(...message.records);
    this.tell(message);
    requestAnimationFrame(() => {
      if (message.number === this.number) this.draw();
      this.worker.postMessage({ type: "drawn", number: message.number });
    });
  }

  tell({ epoch, loss, rate, state }) {
    const error = Number.isFinite(loss) ? loss.toExponential(2).replace("-", "−") : "not finite";
    const words = `epoch ${epoch} · loss ${error}` + (rate ? ` · ${fewDigits(rate)} epochs/s` : "");
    this.find("status").textContent = words;
    Object.assign(this.root.dataset, { epoch, loss });
    const stopped = this.training && state !== "training";
    const late = performance.now() - this.announced > ANNOUNCED_EVERY;
    if (stopped) this.setTraining(false);
    if (state === "diverged") this.note(ADVICE);
    if (stopped || (this.training && late)) this.announce(`${stopped ? "Paused at " : ""}${words}`);
  }

  // For screen readers; the line that everyone sees changes too often to be read out.
  announce(words) {
    this.announced = performance.now();
    this.find("announced").textContent = words;
  }

  note(words) {
    this.find("note").textContent = words;
  }

  async copyLink() {
    this.writeAddress();
    const link = location.href.split("#")[0] + addressOf(this.form.values), field = this.find("link");
    try {
      await navigator.clipboard.writeText(link);
      this.announce("The link is in the clipboard.");
      this.find("copied").textContent = "Copied.";
      setTimeout(() => (this.find("copied").textContent = ""), 3000);
    } catch { // not allowed, or not a secure page: let the reader copy it
      field.hidden = false;
      field.value = link;
      field.focus();
      field.select();
    }
  }

  readColors() {
    const { color, fontFamily } = getComputedStyle(this.root), { palette, ramp } = this.data;
    return { ink: color, font: fontFamily, palette, ramp };
  }

  draw() {
    if (!this.frame || !this.problem || this.drawing || this.find("views").clientWidth === 0) return;
    this.colors = this.readColors();
    this.logarithmic = this.find("logarithmic").checked;
    VIEWS.forEach((view, i) => {
      const axes = view.draw(this.canvases[i].canvas, this);
      if (axes) this.axes = axes;
      this.drawLegend(this.canvases[i].legend, view.legend(this));
    });
    this.canvases[0].canvas.classList.toggle("playground-drawable", this.settings.target === "own");
  }

  drawLegend(list, entries) {
    const text = JSON.stringify(entries);
    if (list.dataset.shown === text) return;
    list.dataset.shown = text;
    list.replaceChildren(...entries.map(({ name, color, dash, ramp }) => {
      const sample = node("canvas", { width: 56, height: 20, "aria-hidden": "true" });
      const pen = sample.getContext("2d");
      pen.scale(2, 2);
      if (ramp !== undefined) {
        const [r, g, b] = new Uint8Array(this.data.ramp.slice(ramp ? -1 : 0).buffer);
        pen.fillStyle = `rgb(${r} ${g} ${b})`;
        pen.fillRect(8, 0, 12, 10);
        pen.strokeStyle = this.colors.ink; // darkest blue on a dark page
        pen.strokeRect(8.5, 0.5, 11, 9);
      } else {
        Object.assign(pen, { strokeStyle: color, lineWidth: 2 });
        pen.setLineDash(dash ?? []);
        pen.stroke(new Path2D("M0,5H28"));
      }
      return node("li", {}, sample, name);
    }));
  }
}

function beginPlayground(root) {
  root.dataset.ready = "yes";
  root.querySelector(".playground-app").hidden = false;
  try {
    root.playground = new Playground(root);
  } catch (error) { // some browsers let no worker start from a folder
    root.querySelector(".playground-note").textContent = `This browser cannot run it: ${error.message}`;
  }
}

for (const root of document.querySelectorAll(".specbias-playground:not([data-ready])")) beginPlayground(root);
