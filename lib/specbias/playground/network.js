// A fully connected network with one output: forwards, loss, and backwards.
//
// The parameters are one array, in PyTorch's order: weights (to, from) and biases of each layer in turn.

// Where each layer's numbers begin, for sizes such as [1, 100, 100, 1].
function layersOf(sizes) {
  const layers = [];
  let at = 0;
  for (let i = 1; i < sizes.length; i++) {
    const from = sizes[i - 1], to = sizes[i];
    layers.push({ from, to, weights: at, biases: at + from * to });
    at += from * to + to;
  }
  return { layers, count: at };
}

// Replaces z by the activation of z; returns nothing, but leaves in `slope` what a later step back needs.
const ACTIVATIONS = {
  tanh(z) {
    for (let i = 0; i < z.length; i++) z[i] = Math.tanh(z[i]);
  },
  relu(z) {
    for (let i = 0; i < z.length; i++) z[i] = z[i] > 0 ? z[i] : z[i] === z[i] ? 0 : NaN;
  },
  sin(z, slope, omega) {
    for (let i = 0; i < z.length; i++) {
      const angle = omega * z[i];
      z[i] = Math.sin(angle);
      slope[i] = omega * Math.cos(angle);
    }
  },
};

// Multiplies d by the slope of the activation, which for tanh and ReLU its value a tells.
const SLOPES = {
  tanh(d, a) {
    for (let i = 0; i < d.length; i++) d[i] *= 1 - a[i] * a[i];
  },
  relu(d, a) {
    for (let i = 0; i < d.length; i++) if (!(a[i] > 0)) d[i] = 0;
  },
  sin(d, a, slope) {
    for (let i = 0; i < d.length; i++) d[i] *= slope[i];
  },
};

// A network at n fixed inputs (features, n). What it computes stays in its arrays until the next call.
class Network {
  constructor(sizes, activation, omega, inputs) {
    const { layers, count } = layersOf(sizes);
    Object.assign(this, { layers, parameterCount: count, activation, omega, n: inputs.length / sizes[0] });
    this.values = [inputs, ...layers.map(({ to }) => new Float64Array(to * this.n))]; // of every layer
    this.slopes = layers.map(({ to }) => new Float64Array(activation === "sin" ? to * this.n : 0));
    this.backs = null; // gradients by the values, made when first needed
  }

  // Returns the output (n).
  forward(parameters) {
    const { layers, values, n } = this;
    layers.forEach(({ from, to, weights, biases }, i) => {
      const z = values[i + 1];
      for (let row = 0; row < to; row++) z.fill(parameters[biases + row], row * n, (row + 1) * n);
      addProduct(z, parameters, weights, from, 1, values[i], to, from, n);
      if (i < layers.length - 1) ACTIVATIONS[this.activation](z, this.slopes[i], this.omega);
    });
    return values[layers.length];
  }

  // The functions of the last hidden layer (units, n), after `forward`.
  get basis() {
    return this.values[this.layers.length - 1];
  }

  // Mean square of output minus target, after `forward`.
  loss(target) {
    const output = this.values[this.layers.length];
    let sum = 0;
    for (let s = 0; s < this.n; s++) sum += (output[s] - target[s]) ** 2;
    return sum / this.n;
  }

  // Fills `gradient` with the loss's, after `forward`.
  backward(parameters, target, gradient) {
    const { layers, values, n } = this, last = layers.length - 1;
    this.backs ??= layers.map(({ to }) => new Float64Array(to * n));
    const output = values[last + 1], backs = this.backs;
    for (let s = 0; s < n; s++) backs[last][s] = (2 / n) * (output[s] - target[s]);
    for (let i = last; i >= 0; i--) {
      const { from, to, weights, biases } = layers[i], d = backs[i];
      innerProducts(gradient, weights, d, values[i], to, from, n);
      for (let row = 0; row < to; row++) {
        let sum = 0;
        for (let s = row * n; s < (row + 1) * n; s++) sum += d[s];
        gradient[biases + row] = sum;
      }
      if (i === 0) return;
      backs[i - 1].fill(0);
      addProduct(backs[i - 1], parameters, weights, 1, from, d, from, to, n);
      SLOPES[this.activation](backs[i - 1], values[i], this.slopes[i - 1]);
    }
  }
}
