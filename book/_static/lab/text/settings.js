// The state of the text lab in an address; whatever an address says, it comes out usable.
import {OWN} from "./sampling.js";

export const LIMITS = {temperature: [0.1, 2], topK: [1, 100], topP: [0.05, 1], minP: [0, 0.5], penalty: [1, 2], count: [1, 100]};
export const MOST_LETTERS = 5000;
const MOST_TOKENS = 255, KEYS = ["temperature", "topK", "topP", "minP", "penalty"];

const within = (value, [low, high], otherwise) => Number.isFinite(value) ? Math.max(low, Math.min(high, value)) : otherwise;

/**
 * @param {string} hash of an address
 * @param {number} size of the vocabulary
 * @returns {{typed: string, written: number[], setting: object}|null} null where the address says nothing
 */
export function fromAddress(hash, size) {
  const found = new URLSearchParams(hash.replace(/^#/, ""));
  if (!found.has("text")) return null;
  const written = (found.get("written") ?? "").split(".").filter(Boolean).slice(0, MOST_TOKENS).map(Number);
  const setting = Object.fromEntries(KEYS.map((key) => {
    const said = found.get(key) ?? "", value = said.trim() === "" ? Number.NaN : Number(said);
    if (key === "topK") return [key, value === 0 ? 0 : Math.round(within(value, LIMITS.topK, OWN.topK))];
    return [key, within(value, LIMITS[key], OWN[key])];
  }));
  return {
    typed: found.get("text").slice(0, MOST_LETTERS),
    written: written.every((id) => Number.isInteger(id) && id >= 0 && id < size) ? written : [],
    setting,
  };
}

/** @returns {string} "#text=…": the part of an address that browsers keep to themselves */
export function toAddress({typed, written, setting}) {
  const changed = KEYS.filter((key) => setting[key] !== OWN[key]).map((key) => [key, setting[key]]);
  return `#${new URLSearchParams([["text", typed], ...(written.length ? [["written", written.join(".")]] : []), ...changed])}`;
}
