// GPT-2's tensors as the model wants them: by the part they belong to, with one row for each output.

/** A matrix with its rows and columns exchanged. */
function transposed(values, [rows, columns]) {
  const out = new Float32Array(values.length);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) out[j * rows + i] = values[i * columns + j];
  return out;
}

/**
 * @param {Object<string, {shape: number[], values: Float32Array}>} tensors "transformer.h.0.attn.c_attn.weight" …
 * @returns {object} the same as a tree: h[0].attn.c_attn.weight
 */
export function parts(tensors) {
  const root = {};
  for (const [name, {shape, values}] of Object.entries(tensors)) {
    const path = name.replace(/^transformer\./, "").split("."), last = path.pop();
    const part = path.reduce((node, key) => { node[key] ??= {}; return node[key]; }, root);
    // GPT-2 keeps the matrices of its blocks (c_attn, c_proj, c_fc) with one row for each input.
    part[last] = last === "weight" && path.at(-1).startsWith("c_") ? transposed(values, shape) : values;
  }
  return root;
}
