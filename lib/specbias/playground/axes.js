// Axes on a canvas: ticks, lines and points in units of the data, sharp on every screen.

const LETTER = 7; // width of a letter at 12 px, on the safe side
const superscript = (n) => [...String(n)].map((c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] ?? "⁻").join("");

function linearTicks([low, high], most) {
  const rough = (high - low) / most, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((m) => m * power >= rough * (1 - 1e-9));
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9)), ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) {
    ticks.push({ at: i * step, text: (i * step).toFixed(decimals).replace("-", "−") });
  }
  return ticks;
}

// A logarithmic axis is drawn in powers of ten: low and high are exponents.
function logTicks([low, high], most) {
  const stride = Math.ceil((high - low + 1) / most), ticks = [];
  for (let n = Math.ceil(low / stride) * stride; n <= high; n += stride) {
    ticks.push({ at: n, text: `10${superscript(n)}` });
  }
  return ticks;
}

class Axes {
  // x and y: { range, label, log }.
  constructor(canvas, colors, x, y) {
    const ratio = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    const yTicks = (y.log ? logTicks : linearTicks)(y.range, 5);
    const left = 24 + LETTER * Math.max(...yTicks.map(({ text }) => text.length)), bottom = height - 36;
    Object.assign(this, { pen, colors, x, y, left, right: width - 14, top: 8, bottom });
    this.drawFrame(yTicks, linearTicks(x.range, Math.min(6, Math.max(2, Math.floor((width - left) / 60)))));
  }

  toX(value) {
    const [low, high] = this.x.range;
    return this.left + ((value - low) / (high - low)) * (this.right - this.left);
  }

  toY(value) {
    const [low, high] = this.y.range, at = this.y.log ? Math.log10(value) : value;
    return this.bottom + ((at - low) / (high - low)) * (this.top - this.bottom);
  }

  drawFrame(yTicks, xTicks) {
    const { pen, colors, left, right, top, bottom } = this;
    pen.font = `12px ${colors.font}`;
    pen.fillStyle = pen.strokeStyle = colors.ink;
    pen.lineWidth = 1;
    pen.textAlign = "center";
    const path = new Path2D(`M${left},${top}V${bottom}H${right}`), grid = new Path2D();
    for (const { at, text } of xTicks) {
      const x = this.toX(at);
      path.addPath(new Path2D(`M${x},${bottom}v4`));
      grid.addPath(new Path2D(`M${x},${bottom}V${top}`));
      pen.fillText(text, x, bottom + 16);
    }
    pen.fillText(this.x.label, (left + right) / 2, bottom + 32);
    pen.textAlign = "right";
    for (const { at, text } of yTicks) {
      const y = this.toY(this.y.log ? 10 ** at : at);
      path.addPath(new Path2D(`M${left},${y}h-4`));
      grid.addPath(new Path2D(`M${left},${y}H${right}`));
      pen.fillText(text, left - 7, y + 4);
    }
    pen.stroke(path);
    pen.globalAlpha = 0.13;
    pen.stroke(grid);
    pen.globalAlpha = 1;
    pen.save();
    pen.translate(11, (top + bottom) / 2);
    pen.rotate(-Math.PI / 2);
    pen.textAlign = "center";
    pen.fillText(this.y.label, 0, 0);
    pen.restore();
  }

  // Nothing that `draw` does shows outside the axes.
  inside(draw) {
    const { pen, left, right, top, bottom } = this;
    pen.save();
    pen.beginPath();
    pen.rect(left, top, right - left, bottom - top);
    pen.clip();
    draw();
    pen.restore();
  }

  line(xs, ys, { color, width = 1.8, dash = [], opacity = 1 }) {
    const { pen } = this, far = 1e5; // beyond it a canvas may lose the line
    this.inside(() => {
      Object.assign(pen, { strokeStyle: color, lineWidth: width, globalAlpha: opacity, lineJoin: "round" });
      pen.setLineDash(dash);
      pen.beginPath();
      for (let i = 0; i < ys.length; i++) {
        const y = this.toY(ys[i]);
        pen.lineTo(this.toX(xs[i]), Math.min(far, Math.max(-far, Number.isNaN(y) ? far : y)));
      }
      pen.stroke();
    });
  }

  points(xs, ys, { color, radius = 2, opacity = 1 }) {
    const { pen } = this;
    this.inside(() => {
      Object.assign(pen, { fillStyle: color, globalAlpha: opacity });
      pen.beginPath();
      for (let i = 0; i < ys.length; i++) {
        const x = this.toX(xs[i]), y = this.toY(ys[i]);
        pen.moveTo(x + radius, y);
        pen.arc(x, y, radius, 0, 2 * Math.PI);
      }
      pen.fill();
    });
  }

  // A picture of rows by columns over part of the axes: x0 to x1, y0 to y1.
  picture(image, x0, x1, y0, y1) {
    const left = this.toX(x0), top = this.toY(y1);
    this.inside(() => {
      this.pen.imageSmoothingEnabled = false;
      this.pen.drawImage(image, left, top, this.toX(x1) - left, this.toY(y0) - top);
    });
  }
}
