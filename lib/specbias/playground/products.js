// The three matrix products of a layer, in float64.
//
// Matrices of samples lie row after row, samples innermost, so that every inner loop runs along memory. Each
// loop works on a block of rows and columns at a time, since otherwise reading and writing would take longer
// than multiplying.

const SAMPLES_AT_ONCE = 256; // so many columns of a hundred rows stay in a processor's cache

// z += w a for two rows of z and four of a, from sample `begin` up to `end`.
function addBlock(z, row, a, first, n, begin, end, p0, p1, p2, p3, q0, q1, q2, q3) {
  const z0 = row * n, z1 = z0 + n, a0 = first * n, a1 = a0 + n, a2 = a1 + n, a3 = a2 + n;
  for (let s = begin; s < end; s++) {
    const t0 = a[a0 + s], t1 = a[a1 + s], t2 = a[a2 + s], t3 = a[a3 + s];
    z[z0 + s] += p0 * t0 + p1 * t1 + (p2 * t2 + p3 * t3);
    z[z1 + s] += q0 * t0 + q1 * t1 + (q2 * t2 + q3 * t3);
  }
}

function addRow(z, row, a, other, n, begin, end, factor) {
  const to = row * n, from = other * n;
  for (let s = begin; s < end; s++) z[to + s] += factor * a[from + s];
}

// z (rows, n) += w a, with a (columns, n). The strides tell where w[row, column] lies: exchanged, they make
// the product with the transpose of w.
function addProduct(z, w, at, rowStride, columnStride, a, rows, columns, n) {
  const pairs = rows - (rows % 2), fours = columns - (columns % 4);
  for (let begin = 0; begin < n; begin += SAMPLES_AT_ONCE) {
    const end = Math.min(n, begin + SAMPLES_AT_ONCE);
    for (let row = 0; row < pairs; row += 2) {
      for (let column = 0; column < fours; column += 4) {
        const p = at + row * rowStride + column * columnStride, q = p + rowStride, c = columnStride;
        addBlock(z, row, a, column, n, begin, end, w[p], w[p + c], w[p + 2 * c], w[p + 3 * c],
          w[q], w[q + c], w[q + 2 * c], w[q + 3 * c]);
      }
    }
    for (let row = 0; row < rows; row++) { // what the blocks have left over
      for (let column = row < pairs ? fours : 0; column < columns; column++) {
        addRow(z, row, a, column, n, begin, end, w[at + row * rowStride + column * columnStride]);
      }
    }
  }
}

function dot(d, row, a, column, n) {
  const d0 = row * n, a0 = column * n;
  let sum = 0;
  for (let s = 0; s < n; s++) sum += d[d0 + s] * a[a0 + s];
  return sum;
}

// g[at ...] (rows, columns) = d aᵀ, with d (rows, n) and a (columns, n): two rows by two columns at a time.
function innerProducts(g, at, d, a, rows, columns, n) {
  const rowPairs = rows - (rows % 2), columnPairs = columns - (columns % 2);
  for (let row = 0; row < rowPairs; row += 2) {
    const d0 = row * n, d1 = d0 + n;
    for (let column = 0; column < columnPairs; column += 2) {
      const a0 = column * n, a1 = a0 + n, to = at + row * columns + column;
      let s00 = 0, s01 = 0, s10 = 0, s11 = 0;
      for (let s = 0; s < n; s++) {
        const x = d[d0 + s], y = d[d1 + s], u = a[a0 + s], v = a[a1 + s];
        s00 += x * u; s01 += x * v; s10 += y * u; s11 += y * v;
      }
      g[to] = s00; g[to + 1] = s01; g[to + columns] = s10; g[to + columns + 1] = s11;
    }
  }
  for (let row = 0; row < rows; row++) {
    for (let column = row < rowPairs ? columnPairs : 0; column < columns; column++) {
      g[at + row * columns + column] = dot(d, row, a, column, n);
    }
  }
}
