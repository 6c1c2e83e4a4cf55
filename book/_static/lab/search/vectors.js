// What is computed with vectors: cosines, vectors as eight bits, and a flat map of many.

/** The cosine of two vectors of length 1. @param {ArrayLike<number>} a @param {ArrayLike<number>} b */
export function cosine(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/**
 * Vectors that are stored as a float32 scale each, then whole numbers of eight bits.
 * @param {Uint8Array} bytes @param {number} count how many
 * @returns {(i: number) => Float32Array} the vector with this number
 */
export function unpack(bytes, count) {
  const width = bytes.length / count - 4;
  if (!(Number.isInteger(width) && width > 0)) throw new Error(`${bytes.length} bytes do not hold ${count} vectors.`);
  const scales = new Float32Array(bytes.slice(0, 4 * count).buffer), whole = new Int8Array(bytes.buffer, bytes.byteOffset + 4 * count, count * width);
  const all = new Float32Array(count * width);
  for (let i = 0, at = 0; i < count; i++) for (const end = at + width; at < end; at++) all[at] = whole[at] * scales[i];
  return (i) => all.subarray(i * width, (i + 1) * width);
}

/** The eigenvalues and eigenvectors of a symmetric matrix, the largest first, by Jacobi's rotations. */
function eigen(matrix) {
  const n = matrix.length, a = matrix.map((row) => Float64Array.from(row)), v = a.map((_, i) => Float64Array.from(a, (_, j) => Number(i === j)));
  const size = Math.max(1e-30, ...a.map((row, i) => Math.abs(row[i])));
  for (let sweep = 0, off = 1; sweep < 50 && off > 1e-12 * size; sweep++) {
    off = 0;
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) {
      off = Math.max(off, Math.abs(a[p][q]));
      if (Math.abs(a[p][q]) < 1e-15 * size) continue;
      const theta = (a[q][q] - a[p][p]) / (2 * a[p][q]), t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.hypot(theta, 1));
      const c = 1 / Math.hypot(t, 1), s = t * c;
      for (let k = 0; k < n; k++) { const x = a[k][p], y = a[k][q]; a[k][p] = c * x - s * y; a[k][q] = s * x + c * y; }
      for (let k = 0; k < n; k++) { const x = a[p][k], y = a[q][k]; a[p][k] = c * x - s * y; a[q][k] = s * x + c * y; }
      for (let k = 0; k < n; k++) { const x = v[k][p], y = v[k][q]; v[k][p] = c * x - s * y; v[k][q] = s * x + c * y; }
    }
  }
  return a.map((row, i) => ({value: Math.max(0, row[i]), vector: v.map((one) => one[i])})).sort((one, other) => other.value - one.value);
}

/**
 * Principal components: the flat map that keeps as much of the variance as two directions can.
 * @param {Float32Array[]} vectors
 * @returns {{points: [number, number][], shares: [number, number]}} where each vector lies, and each direction's share of the variance
 */
export function flatten(vectors) {
  const n = vectors.length, width = n ? vectors[0].length : 0, middle = new Float64Array(width);
  for (const vector of vectors) for (let i = 0; i < width; i++) middle[i] += vector[i] / n;
  const centred = vectors.map((vector) => Float64Array.from(vector, (number, i) => number - middle[i]));
  // Few vectors of many numbers: the products of all pairs hold the same components as the covariance, in a small matrix.
  const products = centred.map(() => new Float64Array(n));
  for (let i = 0; i < n; i++) for (let j = i; j < n; j++) products[i][j] = products[j][i] = cosine(centred[i], centred[j]);
  const all = products.reduce((sum, row, i) => sum + row[i], 0), found = eigen(products).slice(0, 2);
  while (found.length < 2) found.push({value: 0, vector: new Array(n).fill(0)});
  const axes = found.map(({value, vector}) => {
    // A direction may point either way: its largest number is positive, so that a map does not jump.
    const largest = vector.reduce((most, number) => Math.abs(number) > Math.abs(most) + 1e-9 ? number : most, 0);
    return vector.map((number) => number * Math.sqrt(value) * (largest < 0 ? -1 : 1));
  });
  const share = ({value}) => all > 1e-9 ? value / all : 0;
  return {points: vectors.map((_, i) => [axes[0][i], axes[1][i]]), shares: [share(found[0]), share(found[1])]};
}
