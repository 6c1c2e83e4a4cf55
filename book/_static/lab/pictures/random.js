// Normal random numbers as PyTorch draws them: torch.randn(n, generator=torch.Generator().manual_seed(seed)), float32.
//
// PyTorch's generator on the CPU is the Mersenne Twister (Matsumoto and Nishimura, 1998). Pairs of uniform numbers
// become pairs of normal ones by the method of Box and Muller (1958), sixteen numbers at a time. Logarithm, sine and
// cosine are computed as PyTorch's vector code does it (polynomials of the Cephes library, products and sums fused),
// so that the same seed gives the same picture in a chapter and on a page.

const single = Math.fround;

/** a·b + c, rounded once: the product of two float32 numbers is exact in float64. */
const fused = (a, b, c) => single(a * b + c);

/** The Mersenne Twister, MT19937. */
export class Twister {
  /** @param {bigint|number|string} seed a whole number; as in PyTorch, its low 32 bits count */
  constructor(seed) {
    const state = new Uint32Array(624);
    state[0] = Number(BigInt.asUintN(32, BigInt(seed)));
    for (let i = 1; i < 624; i++) state[i] = Math.imul(1812433253, state[i - 1] ^ (state[i - 1] >>> 30)) + i;
    this.state = state;
    this.next = 624;
  }

  /** @returns {number} the next 32 random bits */
  bits() {
    const {state} = this;
    if (this.next === 624) {
      for (let k = 0; k < 624; k++) {
        const joined = (state[k] & 0x80000000) | (state[(k + 1) % 624] & 0x7fffffff);
        state[k] = state[(k + 397) % 624] ^ (joined >>> 1) ^ (joined & 1 ? 0x9908b0df : 0);
      }
      this.next = 0;
    }
    let drawn = state[this.next++];
    drawn ^= drawn >>> 11;
    drawn ^= (drawn << 7) & 0x9d2c5680;
    drawn ^= (drawn << 15) & 0xefc60000;
    return (drawn ^ (drawn >>> 18)) >>> 0;
  }

  /** @returns {number} uniform in [0, 1), a multiple of 2⁻²⁴ */
  uniform() { return (this.bits() & 0xffffff) / 0x1000000; }
}

const LOG = [7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
  -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1].map(single);
const LN2_LOW = single(-2.12194440e-4), LN2_HIGH = 0.693359375;
const QUARTERS = [-0.78515625, -2.4187564849853516e-4, -3.774894977445941e-8].map(single);
const SIN = [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1].map(single);
const COS = [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2].map(single);
const bits = new Uint32Array(1), number = new Float32Array(bits.buffer);

/** The natural logarithm of a positive float32. */
function log(value) {
  number[0] = Math.max(value, 1.1754943508222875e-38);
  let exponent = (bits[0] >>> 23) - 126;
  bits[0] = (bits[0] & 0x807fffff) | 0x3f000000;
  let x = number[0];
  if (x < single(Math.SQRT1_2)) { exponent -= 1; x = single(single(x - 1) + x); } else x = single(x - 1);
  const square = single(x * x);
  let y = LOG[0];
  for (let i = 1; i < 9; i++) y = fused(y, x, LOG[i]);
  y = single(fused(single(y * x), square, single(exponent * LN2_LOW)) - square / 2);
  return fused(exponent, LN2_HIGH, single(x + y));
}

/** Sine and cosine of a float32 that is not negative. */
function sincos(angle) {
  const eighth = (Math.trunc(single(angle * single(4 / Math.PI))) + 1) & ~1;
  let x = angle;
  for (const part of QUARTERS) x = fused(eighth, part, x);
  const square = single(x * x);
  let cos = fused(fused(COS[0], square, COS[1]), square, COS[2]);
  cos = single(fused(single(cos * square), square, -square / 2) + 1);
  let sin = fused(fused(SIN[0], square, SIN[1]), square, SIN[2]);
  sin = fused(single(sin * square), x, x);
  if (eighth & 2) [sin, cos] = [cos, sin];
  return [eighth & 4 ? -sin : sin, ~(eighth - 2) & 4 ? -cos : cos];
}

/**
 * @param {number} count at least 16: for fewer, PyTorch goes another way
 * @param {bigint|number|string} seed
 * @returns {Float32Array} normal random numbers
 */
export function randn(count, seed) {
  if (count < 16) throw new RangeError("randn gives 16 numbers or more");
  const twister = new Twister(seed), out = new Float32Array(count), circle = single(2 * Math.PI);
  for (let i = 0; i < count; i++) out[i] = twister.uniform();
  const block = (begin) => {
    for (let i = begin; i < begin + 8; i++) {
      const radius = single(Math.sqrt(single(-2 * log(single(1 - out[i])))));
      const [sin, cos] = sincos(single(circle * out[i + 8]));
      out[i] = single(radius * cos);
      out[i + 8] = single(radius * sin);
    }
  };
  for (let begin = 0; begin + 16 <= count; begin += 16) block(begin);
  if (count % 16) {
    for (let i = count - 16; i < count; i++) out[i] = twister.uniform();
    block(count - 16);
  }
  return out;
}
