// Draws every scrubber of the page that has not been drawn yet, from the data inside it.
(() => {
  "use strict";
  const GAP = 65535;
  const CHARACTER = 7; // width of a letter at 12 px, on the safe side
  const FAINTEST = 0.02; // opacity from which a line of a family is drawn
  const MARKERS = [ // as drawn from the point itself: circle, square, triangle, diamond, triangle down, plus
    "m-3,0a3,3 0 1,0 6,0a3,3 0 1,0 -6,0", "m-3,-3h6v6h-6z", "m0,-4l3.6,6.4h-7.2z",
    "m0,-4l4,4l-4,4l-4,-4z", "m0,4l3.6,-6.4h-7.2z", "m-1,-3.5h2v2.5h2.5v2h-2.5v2.5h-2v-2.5h-2.5v-2h2.5z",
  ];

  function element(name, attributes, parent, text) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    parent.append(node);
    return node;
  }

  const superscript = (n) => [...String(n)].map((c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] ?? "⁻").join("");
  const powerOfTen = (n) => (n === 0 ? "1" : n === 1 ? "10" : "10" + superscript(n));

  // Ticks: [{at, text}] in axis units, at most `limit` of them; a log axis counts in powers of ten.
  function logTicks([low, high], limit) {
    const first = Math.ceil(low - 1e-9), last = Math.floor(high + 1e-9);
    const stride = Math.ceil((last - first + 1) / limit);
    const ticks = [];
    for (let n = Math.ceil(first / stride) * stride; n <= last; n += stride) ticks.push({ at: n, text: powerOfTen(n) });
    if (stride === 1 && high - low <= 4) {
      for (let n = first - 1; n <= last; n++) {
        for (let m = 2; m < 10; m++) {
          const at = n + Math.log10(m);
          if (at > low && at < high) ticks.push({ at, text: "" });
        }
      }
    }
    return { ticks, unit: "" };
  }

  function linearTicks([low, high], limit) {
    const rough = (high - low) / limit;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find((m) => m * power >= rough * (1 - 1e-9));
    const size = Math.max(Math.abs(low), Math.abs(high));
    const exponent = size >= 1e5 || size < 1e-2 ? Math.floor(Math.log10(size)) : 0;
    const decimals = Math.max(0, exponent - Math.floor(Math.log10(step) + 1e-9));
    const ticks = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) {
      const text = ((i * step) / 10 ** exponent).toFixed(decimals).replace("-", "−");
      ticks.push({ at: i * step, text });
    }
    return { ticks, unit: exponent ? ` (×${powerOfTen(exponent)})` : "" };
  }

  const width = (ticks) => CHARACTER * Math.max(0, ...ticks.map((tick) => tick.text.length));

  // Fewer and fewer ticks until the labels stand `needed(ticks)` px apart or more.
  function ticksThatFit(axis, length, most, needed) {
    const make = axis.scale === "log" ? logTicks : linearTicks;
    for (let limit = most; ; limit--) {
      const made = make(axis.range, limit);
      const labels = made.ticks.filter((tick) => tick.text).length;
      if (limit <= 1 || labels * needed(made.ticks) <= length) return made;
    }
  }

  const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

  function decode(line) {
    const steps = new Uint16Array(bytesOf(line.y).buffer);
    return { ...line, steps, opacities: line.opacity && bytesOf(line.opacity) };
  }

  // `row` counts the lines of a family, frame after frame; other lines have one row per frame.
  function pathOf(line, row, xs, toY, base) {
    const n = xs.length, offset = row * n;
    let d = "", pen = "M";
    for (let i = 0; i < n; i++) {
      const step = line.steps[offset + i];
      if (step === GAP) { pen = "M"; continue; }
      const x = xs[i], y = toY(line.low + step * line.step).toFixed(2);
      if (line.kind === "line") { d += `${pen}${x},${y}`; pen = "L"; }
      else if (line.kind === "stem") d += `M${x},${base}V${y}${MARKERS[line.marker]}`;
      else d += `M${x},${y}${MARKERS[line.marker]}`;
    }
    return d;
  }

  const strokeOf = (line) => ({
    fill: line.kind === "line" ? "none" : line.color, stroke: line.color,
    "stroke-width": line.kind === "line" ? line.width : 1.2,
    "stroke-dasharray": line.dash, "stroke-linejoin": "round",
  });

  // Adds a line, or all of a family; returns the function that draws a frame.
  function addLine(line, parent, toX, toY, base) {
    const xs = line.x.map((x) => toX(x).toFixed(2));
    const look = { ...strokeOf(line), "data-name": line.name };
    if (!line.opacities) {
      const path = element("path", look, parent);
      return (frame) => path.setAttribute("d", pathOf(line, line.moves ? frame : 0, xs, toY, base));
    }
    const group = element("g", look, parent);
    const paths = Array.from({ length: line.count }, () => element("path", {}, group));
    return (frame) => paths.forEach((path, i) => {
      const opacity = line.opacities[frame * line.count + i] / 255;
      const row = (line.moves ? frame * line.count : 0) + i;
      path.setAttribute("d", opacity < FAINTEST ? "" : pathOf(line, row, xs, toY, base));
      path.setAttribute("stroke-opacity", opacity.toFixed(3));
    });
  }

  // Draws the axes for the width there is now; returns the function that draws a frame.
  function layOut(panel, svg) {
    const w = svg.parentNode.clientWidth, h = Math.min(280, Math.max(190, Math.round(0.72 * w)));
    svg.replaceChildren();
    svg.setAttribute("viewBox", `0 0 ${w} ${h}`);
    const top = 10, bottom = h - 40;
    const yTicks = ticksThatFit(panel.y, bottom - top, 6, () => 22);
    const left = 26 + width(yTicks.ticks);
    const guess = ticksThatFit(panel.x, w - left - 10, 7, (ticks) => width(ticks) + 12);
    const right = w - Math.max(8, width(guess.ticks) / 2);
    const scale = ([low, high], from, to) => (v) => from + ((v - low) / (high - low)) * (to - from);
    const toX = scale(panel.x.range, left, right), toY = scale(panel.y.range, bottom, top);

    const axes = element("g", { stroke: "currentColor", fill: "none" }, svg);
    const words = element("g", { fill: "currentColor", "text-anchor": "middle" }, svg);
    element("path", { d: `M${left},${top}V${bottom}H${right}` }, axes);
    for (const { at, text } of guess.ticks) {
      const x = toX(at);
      element("path", { d: `M${x},${bottom}v${text ? 5 : 3}` }, axes);
      if (!text) continue;
      element("path", { d: `M${x},${bottom}V${top}`, opacity: 0.13 }, axes);
      element("text", { x, y: bottom + 17, "data-axis": "x", "data-at": at }, words, text);
    }
    for (const { at, text } of yTicks.ticks) {
      const y = toY(at);
      element("path", { d: `M${left},${y}h${text ? -5 : -3}` }, axes);
      if (!text) continue;
      element("path", { d: `M${left},${y}H${right}`, opacity: 0.13 }, axes);
      element("text", { x: left - 8, y: y + 4, "text-anchor": "end", "data-axis": "y", "data-at": at }, words, text);
    }
    element("text", { x: (left + right) / 2, y: h - 5 }, words, panel.x.label + guess.unit);
    element("text", { transform: `translate(12,${(top + bottom) / 2})rotate(-90)` }, words, panel.y.label + yTicks.unit);

    // A nested svg cuts off what leaves the axes, without an id that another figure might use too.
    const box = { x: left, y: top, width: right - left, height: bottom - top };
    const inside = element("svg", { ...box, viewBox: Object.values(box).join(" "), overflow: "hidden" }, svg);
    const zero = panel.y.scale === "log" ? bottom : Math.min(bottom, Math.max(top, toY(0)));
    const cursor = panel.cursor && element("path", { stroke: "currentColor", "stroke-dasharray": "2 2" }, inside);
    const lines = panel.lines.map((line) => addLine(line, inside, toX, toY, zero.toFixed(2)));
    return (frame) => {
      lines.forEach((draw) => draw(frame));
      if (cursor) cursor.setAttribute("d", panel.cursor[frame] === null ? "" : `M${toX(panel.cursor[frame])},${top}V${bottom}`);
    };
  }

  function drawLegend(list, panels) {
    const lines = new Map();
    for (const line of panels.flatMap((panel) => panel.lines)) if (!lines.has(line.name)) lines.set(line.name, line);
    for (const [name, line] of lines) {
      const item = document.createElement("li");
      const sample = element("svg", { viewBox: "0 0 30 12", width: 30, "aria-hidden": "true" }, item);
      if (line.opacities) { // neighbours, some fainter: the one entry stands for many lines
        for (const [y, opacity] of [[6.5, 1], [2.5, 0.6], [10.5, 0.35]]) {
          element("path", { d: `M0,${y}H30`, ...strokeOf(line), "stroke-opacity": opacity }, sample);
        }
      } else {
        const d = line.kind === "line" ? "M0,6H30" : "M15,6" + MARKERS[line.marker];
        element("path", { d, ...strokeOf(line) }, sample);
      }
      item.append(name);
      list.append(item);
    }
  }

  function addPanel(panel, parent) {
    const holder = document.createElement("div"), title = document.createElement("div");
    title.className = "scrubber-title";
    title.textContent = panel.title;
    holder.append(title);
    parent.append(holder);
    const name = `${panel.title}: ${panel.y.label} against ${panel.x.label}`;
    return element("svg", { role: "img", "aria-label": name }, holder);
  }

  function start(root) {
    const data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
    const range = root.querySelector("input"), button = root.querySelector("button");
    const readout = root.querySelector("output"), grid = root.querySelector(".scrubber-panels");
    const panels = data.panels.map((panel) => ({ ...panel, lines: panel.lines.map(decode) }));
    const images = panels.map((panel) => addPanel(panel, grid));
    drawLegend(root.querySelector(".scrubber-legend"), panels);
    let draw = [], timer = null, drawnWidth = 0;

    function show() {
      const text = data.frames[range.value];
      readout.textContent = text;
      range.setAttribute("aria-valuetext", `${data.label} ${text}`);
      draw.forEach((frame) => frame(Number(range.value)));
    }
    function stop() {
      clearInterval(timer);
      timer = null;
      button.textContent = "▶ Play";
      readout.setAttribute("aria-live", "polite");
    }
    function play() {
      if (range.value === range.max) range.value = 0;
      button.textContent = "❚❚ Pause";
      readout.setAttribute("aria-live", "off"); // a hundred frames read aloud help nobody
      show();
      timer = setInterval(() => {
        range.stepUp();
        show();
        if (range.value === range.max) stop();
      }, Math.min(400, Math.max(40, 6000 / data.frames.length)));
    }
    range.addEventListener("input", () => { stop(); show(); });
    button.addEventListener("click", () => (timer === null ? play() : stop()));
    new ResizeObserver(() => {
      if (grid.clientWidth === 0 || grid.clientWidth === drawnWidth) return; // hidden, or only the height changed
      drawnWidth = grid.clientWidth;
      draw = panels.map((panel, i) => layOut(panel, images[i]));
      show();
    }).observe(grid);
  }

  for (const root of document.querySelectorAll(".specbias-scrubber:not([data-ready])")) {
    root.dataset.ready = "yes";
    start(root);
  }
})();
