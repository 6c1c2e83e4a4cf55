// GPT-2, the whole model: a token goes in, a score for every possible next one comes out.

/** The dot product of `size` numbers of `x` and of `y`, each from its own place on. */
function dot(x, y, size, start, at) {
  let a = 0, b = 0, c = 0, d = 0; // four sums, which a processor adds up side by side
  for (let i = 0; i < size; i += 4) {
    a += x[start + i] * y[at + i];
    b += x[start + i + 1] * y[at + i + 1];
    c += x[start + i + 2] * y[at + i + 2];
    d += x[start + i + 3] * y[at + i + 3];
  }
  return a + b + c + d;
}
const add = (x, y) => x.map((value, i) => value + y[i]);
const linear = (x, {weight, bias}) =>
  bias.map((value, row) => value + dot(x, weight, x.length, 0, row * x.length));

function norm(x, {weight, bias}) {
  const mean = x.reduce((sum, value) => sum + value, 0) / x.length;
  const variance = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length;
  const by = 1 / Math.sqrt(variance + 1e-5);
  return x.map((value, i) => (value - mean) * by * weight[i] + bias[i]);
}

const gelu = (x) =>
  0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
function softmax(scores) {
  const most = scores.reduce((one, other) => Math.max(one, other));
  const powers = scores.map((score) => Math.exp(score - most));
  const sum = powers.reduce((one, other) => one + other);
  return powers.map((power) => power / sum);
}

export class GPT2 {
  constructor({wte, wpe, h, ln_f}, heads) {
    Object.assign(this, {wte: wte.weight, wpe: wpe.weight, blocks: Object.values(h)});
    Object.assign(this, {ln_f, heads, width: ln_f.bias.length, length: 0});
    this.cache = this.blocks.map(() => []);
  }

  /** Keeps the first `length` tokens of the text; the next one will follow them. */
  forget(length) {
    for (const past of this.cache) past.length = length;
    this.length = length;
  }

  /** Reads one more token, and returns the state behind it. */
  step(id) {
    const row = (table, at) => table.subarray(at * this.width, (at + 1) * this.width);
    let x = add(row(this.wte, id), row(this.wpe, this.length));
    this.blocks.forEach((block, i) => {
      x = add(x, this.attend(norm(x, block.ln_1), block.attn, this.cache[i]));
      const inner = linear(norm(x, block.ln_2), block.mlp.c_fc).map(gelu);
      x = add(x, linear(inner, block.mlp.c_proj));
    });
    this.length++;
    return norm(x, this.ln_f);
  }

  attend(x, {c_attn, c_proj}, past) {
    const all = linear(x, c_attn);
    const part = (i) => all.subarray(i * x.length, (i + 1) * x.length);
    const query = part(0), size = x.length / this.heads;
    const out = new Float32Array(x.length), shares = [];
    past.push({key: part(1), value: part(2), shares});
    for (let start = 0; start < x.length; start += size) {
      const fits = past.map(({key}) => dot(query, key, size, start, start));
      const weights = softmax(fits.map((fit) => fit / Math.sqrt(size)));
      past.forEach(({value}, at) => {
        for (let i = start; i < start + size; i++) out[i] += weights[at] * value[i];
      });
      shares.push(weights);
    }
    return linear(out, c_proj);
  }

  /** The logits: the product of that state with the embedding of every token. */
  scores(state) {
    const count = this.wte.length / this.width;
    const product = (_, id) => dot(state, this.wte, this.width, 0, id * this.width);
    return Float32Array.from({length: count}, product);
  }
}
