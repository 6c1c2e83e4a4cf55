// The settings of a run, in the address and in the fields; whatever an address says, they come out usable.

export const DEFAULTS = {prompt: "a mushroom, 3d style, on a teal background", negative: "", seed: "0", steps: 20, guidance: 5, sampler: "ddim"};
export const LIMITS = {steps: [1, 50], guidance: [1, 15], prompt: 2000};
const LARGEST = 2n ** 64n;

/** What is wrong with a seed, as a sentence; nothing where it is good. */
export function seedTrouble(text) {
  return /^\d{1,20}$/.test(text) && BigInt(text) < LARGEST ? "" : "A seed is a whole number from 0 to 18446744073709551615.";
}

const within = (value, [low, high], otherwise) => Number.isFinite(value) ? Math.max(low, Math.min(high, value)) : otherwise;

/** @param {string} hash of an address; @returns {object|null} the settings in it, null where there are none */
export function fromAddress(hash, defaults = DEFAULTS) {
  const found = new URLSearchParams(hash.replace(/^#/, ""));
  if (!found.has("prompt")) return null;
  const number = (key) => found.has(key) && found.get(key).trim() !== "" ? Number(found.get(key)) : Number.NaN;
  const seed = (found.get("seed") ?? "").trim(), sampler = found.get("sampler");
  return {
    prompt: found.get("prompt").slice(0, LIMITS.prompt),
    negative: (found.get("without") ?? "").slice(0, LIMITS.prompt),
    seed: seedTrouble(seed) ? defaults.seed : seed,
    steps: Math.round(within(number("steps"), LIMITS.steps, defaults.steps)),
    guidance: within(number("guidance"), LIMITS.guidance, defaults.guidance),
    sampler: ["ddim", "euler"].includes(sampler) ? sampler : defaults.sampler,
  };
}

/** @returns {string} "#prompt=…": the part of an address that browsers keep to themselves */
export function toAddress({prompt, negative, seed, steps, guidance, sampler}) {
  const said = new URLSearchParams({prompt, ...(negative ? {without: negative} : {}), seed, steps, guidance, sampler});
  return `#${said}`;
}
