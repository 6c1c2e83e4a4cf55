// The weights of a model as its safetensors file holds them: a header in JSON, then number after number.

/** What every number of half precision is worth; there are only 65,536 of them. */
function halves() {
  return Float32Array.from({length: 65536}, (_, bits) => {
    const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
    if (exponent === 0) return sign * fraction * 2 ** -24;
    if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
    return sign * (1024 + fraction) * 2 ** (exponent - 25);
  });
}

function widened(bits, table) {
  const out = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) out[i] = table[bits[i]];
  return out;
}

/**
 * @param {Uint8Array} file
 * @returns {Object<string, {shape: number[], values: Float32Array}>} every tensor by its name
 */
export function tensors(file) {
  const size = file.length >= 8 ? Number(new DataView(file.buffer, file.byteOffset, 8).getBigUint64(0, true)) : Infinity;
  if (8 + size > file.length) throw new Error("These are no safetensors: the header is cut off.");
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + size))), table = halves(), found = {};
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const {dtype, shape, data_offsets: [begin, end]} = entry;
    if (8 + size + end > file.length) throw new Error(`The weights are cut off in ${name}.`);
    const bytes = file.slice(8 + size + begin, 8 + size + end).buffer;
    if (dtype === "F32") found[name] = {shape, values: new Float32Array(bytes)};
    else if (dtype === "F16") found[name] = {shape, values: widened(new Uint16Array(bytes), table)};
    else throw new Error(`Numbers of the kind ${dtype} are not read here.`);
  }
  return found;
}
