// What is looked at while a network trains: frequencies, shares learned, and at which epochs.

// Amplitudes and phases at wavenumbers 0 ... highest (waves in the interval) of values on midpoints.
class Spectrum {
  constructor(n, highest) {
    Object.assign(this, { n, highest });
    this.cosines = Float64Array.from({ length: 2 * n }, (_, i) => Math.cos((Math.PI * i) / n));
  }

  // Coefficients of cosines and sines, [Float64Array, Float64Array].
  coefficients(values) {
    const { n, highest, cosines } = this;
    const real = new Float64Array(highest + 1), imaginary = new Float64Array(highest + 1);
    for (let k = 0; k <= highest; k++) {
      let c = 0, s = 0; // the angle at midpoint j is pi k (2j + 1) / n, and sin a = cos(a - pi / 2)
      for (let j = 0, angle = k; j < n; j++, angle = (angle + 2 * k) % (2 * n)) {
        c += values[j] * cosines[angle];
        s += values[j] * cosines[(angle + 2 * n - n / 2) % (2 * n)];
      }
      real[k] = ((k ? 2 : 1) * c) / n;
      imaginary[k] = (2 * s) / n;
    }
    return [real, imaginary];
  }
}

const amplitudesOf = ([real, imaginary]) => Float32Array.from(real, (c, k) => Math.hypot(c, imaginary[k]));

// How far up wavenumbers are shown: to where the target has something, and as far again.
function highestShown(amplitudes) {
  const largest = Math.max(...amplitudes.subarray(1));
  let top = 1;
  amplitudes.forEach((a, k) => { if (k > 0 && a > 0.1 * largest) top = k; });
  return Math.min(amplitudes.length - 1, Math.max(10, Math.ceil(1.6 * top)));
}

const MOST_TRACKED = 4;

// The wavenumbers whose amplitude ratio is followed: the strongest peaks of the target.
function strongest(amplitudes) {
  const inner = Array.from(amplitudes.keys()).slice(1, -1), largest = Math.max(...amplitudes.subarray(1));
  const peak = (k) => amplitudes[k] > 0.1 * largest && amplitudes[k] > amplitudes[k + 1]
    && (k === 1 || amplitudes[k] > amplitudes[k - 1]);
  const largestFirst = inner.filter(peak).sort((a, b) => amplitudes[b] - amplitudes[a]);
  return largestFirst.slice(0, MOST_TRACKED).sort((a, b) => a - b);
}

// How much of a wavenumber of the target is in the output, in the target's phase.
function amplitudeRatio(target, output, k) {
  const size = target[0][k] ** 2 + target[1][k] ** 2;
  return (output[0][k] * target[0][k] + output[1][k] * target[1][k]) / size;
}
