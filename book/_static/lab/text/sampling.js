// From logits to a choice: what repetition penalty, temperature, top-k, top-p and min-p make of a distribution.
// Each rule does what the library's logits processor of this name does; the order is that of `generate`.

/** The settings that leave the model's distribution as it is. */
export const OWN = {temperature: 1, topK: 0, topP: 1, minP: 0, penalty: 1};
export const RULES = {topK: "top-k", topP: "top-p", minP: "min-p"};

const {fround} = Math;

/** Tokens of the text become less likely: a positive score is divided, a negative one multiplied. */
export function penalise(scores, ids, penalty) {
  const out = scores.slice(), by = fround(penalty);
  for (const id of new Set(ids)) out[id] = out[id] < 0 ? out[id] * by : out[id] / by;
  return out;
}

export const temper = (scores, temperature) => scores.map((score) => score / fround(temperature));

/** Tokens below this score are cut. Tokens with equal scores stay or go together. */
const cutBelow = (scores, least) => scores.map((score) => score < least ? -Infinity : score);

export function topK(scores, k) {
  return cutBelow(scores, scores.slice().sort()[Math.max(0, scores.length - k)]);
}

/** Shares of 1; a token that is cut has none. */
export function softmax(scores) {
  const most = scores.reduce((one, other) => Math.max(one, other), -Infinity);
  const powers = Float64Array.from(scores, (score) => Math.exp(score - most));
  const sum = powers.reduce((one, other) => one + other, 0);
  return powers.map((power) => power / sum);
}

/** The unlikeliest tokens go as long as they hold no more than 1 - p together. */
export function topP(scores, p) {
  const rising = scores.slice().sort(), shares = softmax(rising), last = rising.length - 1;
  let sum = 0, first = 0;
  while (first < last && sum + shares[first] <= 1 - p) sum += shares[first++];
  return cutBelow(scores, rising[first]);
}

/** A token stays if it has at least this share of what the likeliest one has. */
export function minP(scores, p) {
  const most = scores.reduce((one, other) => Math.max(one, other), -Infinity);
  return scores.map((score) => Math.exp(score - most) < p ? -Infinity : score);
}

/**
 * @param {Float32Array} logits @param {number[]} ids of the text so far
 * @param {{temperature: number, topK: number, topP: number, minP: number, penalty: number}} setting 0 or 1: rule is off
 * @returns {{shares: Float64Array, cut: Object<string, number>, cutBy: (id: number) => string|undefined}}
 */
export function warp(logits, ids, setting) {
  let scores = logits;
  if (setting.penalty !== 1) scores = penalise(scores, ids, setting.penalty);
  if (setting.temperature !== 1) scores = temper(scores, setting.temperature);
  const stages = [];
  const apply = (rule, change) => { const before = scores; scores = change(scores); stages.push({rule, before, after: scores}); };
  if (setting.topK > 0) apply("topK", (old) => topK(old, setting.topK));
  if (setting.topP < 1) apply("topP", (old) => topP(old, setting.topP));
  if (setting.minP > 0) apply("minP", (old) => minP(old, setting.minP));
  const went = ({before, after}, id) => after[id] === -Infinity && before[id] !== -Infinity;
  const cut = Object.fromEntries(stages.map((stage) => [stage.rule, scores.reduce((sum, _, id) => sum + went(stage, id), 0)]));
  return {shares: softmax(scores), cut, cutBy: (id) => stages.find((stage) => went(stage, id))?.rule};
}

/** How unsure a distribution is, in bits. */
export const entropy = (shares) => shares.reduce((sum, share) => share > 0 ? sum - share * Math.log2(share) : sum, 0);

/** The token on which a number from 0 to 1 falls. @param {Float64Array} shares */
export function draw(shares, number) {
  let last = 0;
  for (let id = 0; id < shares.length; id++) {
    if (shares[id] === 0) continue;
    last = id;
    number -= shares[id];
    if (number < 0) break;
  }
  return last;
}

/** The tokens with the largest of these numbers, the largest first. */
export function top(numbers, count) {
  const least = numbers.slice().sort()[Math.max(0, numbers.length - count)], found = [];
  numbers.forEach((number, id) => { if (number >= least) found.push(id); });
  return found.sort((one, other) => numbers[other] - numbers[one] || one - other).slice(0, count);
}
