// What both halves of the lab write: numbers, bars, and what the model could not read.
import {el} from "../shared.js";

/** A count with its word: "1 token", "3 tokens". */
export const plural = (count, one, several = `${one}s`) => `${count} ${count === 1 ? one : several}`;

/** A cosine as it is written: "0.47", "−0.02". */
export const written = (near) => near.toFixed(2).replace(/^-0\.00$/, "0.00").replace("-", "−");

/** A bar from 0 to 1; a cosine below 0 has none. */
export function bar(near) {
  const box = el("span", "bk-search-bar", null, {"aria-hidden": "true"});
  box.style.setProperty("--share", Math.max(0, near));
  return box;
}

/** What the model could not read of a text, as sentences; nothing where it could read all. */
export function unread({lost, unknown}) {
  const said = [];
  if (lost) said.push(`The text is too long for the model: its last ${plural(lost, "token was", "tokens were")} cut off.`);
  if (unknown) said.push(`${plural(unknown, "word or sign is", "words or signs are")} unknown to the model.`);
  return said.join(" ");
}
