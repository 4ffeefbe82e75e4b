// Full-batch training: PyTorch's two optimizers, and the loop.

// buffer = momentum buffer + gradient; parameters -= lr buffer
class Momentum {
  constructor(count, { lr, momentum }) {
    Object.assign(this, { lr, momentum, buffer: new Float64Array(count) });
  }

  step(parameters, gradient) {
    const { lr, momentum, buffer } = this;
    for (let i = 0; i < parameters.length; i++) {
      buffer[i] = momentum * buffer[i] + gradient[i];
      parameters[i] -= lr * buffer[i];
    }
  }
}

// Running means of the gradient and of its square, freed of their start at zero.
class Adam {
  constructor(count, { lr }) {
    Object.assign(this, { lr, steps: 0, mean: new Float64Array(count), square: new Float64Array(count) });
  }

  step(parameters, gradient) {
    const first = 0.9, second = 0.999, { mean, square } = this;
    this.steps += 1;
    const length = this.lr / (1 - first ** this.steps), root = Math.sqrt(1 - second ** this.steps);
    for (let i = 0; i < parameters.length; i++) {
      const g = gradient[i];
      mean[i] += (1 - first) * (g - mean[i]);
      square[i] = second * square[i] + (1 - second) * g * g;
      parameters[i] -= (length * mean[i]) / (Math.sqrt(square[i]) / root + 1e-8);
    }
  }
}

const OPTIMIZERS = { sgd: Momentum, adam: Adam };

// `parameters` are changed in place; `loss` is always that of the parameters as they are.
class Trainer {
  constructor(network, parameters, target, settings) {
    Object.assign(this, { network, parameters, target, epoch: 0 });
    this.gradient = new Float64Array(parameters.length);
    this.optimizer = new OPTIMIZERS[settings.optimizer](parameters.length, settings);
    network.forward(parameters);
    this.loss = network.loss(target);
  }

  advance() {
    this.network.backward(this.parameters, this.target, this.gradient);
    this.optimizer.step(this.parameters, this.gradient);
    this.network.forward(this.parameters);
    this.loss = this.network.loss(this.target);
    this.epoch += 1;
  }
}
