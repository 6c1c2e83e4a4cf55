// The distribution of the next token: a bar for the model's own probability, one for what the settings make of it.
import {el, face} from "../shared.js";
import {entropy, RULES, top} from "./sampling.js";

const FEW = 12, MORE = 24;

/** "43 %", "0.4 %", "<0.1 %", and nothing for nothing. */
export const small = (share) => share <= 1e-9 ? "" : share < 0.0005 ? "<0.1 %" : share < 0.0995 ? `${(100 * share).toFixed(1)} %` : `${Math.round(100 * share)} %`;
const count = (number) => number.toLocaleString("en");

/** What the settings have done, as a sentence with its important words apart: [strong, rest, …]. */
function told(before, after) {
  const all = before.shares.length, kept = after.shares.filter((share) => share > 0).length, bits = [before, after].map(({shares}) => entropy(shares).toFixed(2));
  const cuts = Object.entries(after.cut).filter(([, number]) => number).map(([rule, number]) => `${count(number)} by ${RULES[rule]}`);
  const held = before.shares.reduce((sum, share, id) => after.shares[id] > 0 ? sum + share : sum, 0);
  const what = cuts.length
    ? [`${count(kept)} of ${count(all)} tokens`, ` stay${kept === 1 ? "s" : ""}; the model gave ${kept === 1 ? "it" : "them"} ${small(held)} of the probability. Cut: ${cuts.join(", ")}. `]
    : [`All ${count(all)} tokens`, " stay. "];
  const was = bits[0] === bits[1] ? "" : ` (before: ${bits[0]})`;
  return [...what, "Entropy: ", `${bits[1]} bits`, `${was}, as unsure as a choice among ${(2 ** Number(bits[1])).toFixed(Number(bits[1]) < 6.64 ? 1 : 0)} equally likely tokens.`];
}

/** @param {(id: number) => void} pick is called with the token of the row that the reader presses */
export function bars(pick) {
  const node = el("div", "bk-text-next"), said = el("p", "bk-text-said"), list = el("ol", "bk-text-bars", null, {"aria-label": "Next tokens, the likeliest first: press one to write it"});
  const key = el("p", "bkv-note bk-text-key", null, {"aria-hidden": "true"}), more = el("button", "bkv-link", "Show more tokens", {type: "button"});
  for (const [name, words] of [["", "the model’s own probability"], ["bk-text-now", "after the settings"]]) {
    const entry = el("span");
    entry.append(el("i", name), words);
    key.append(entry);
  }
  const others = {node: el("li", "bk-text-row bk-text-others"), words: el("span"), share: el("small")};
  others.node.append(el("span", null, "all others"), others.words, others.share);
  let rows = [], most = FEW, last = null;
  more.onclick = () => { most += MORE; show(last); };
  node.append(said, key, list, more);

  function newRow() {
    const item = el("li"), button = el("button", "bk-text-row", null, {type: "button"}), token = el("span", "bk-text-token"), track = el("span", "bk-text-track"), why = el("span", "bk-text-why"), share = el("small");
    track.append(el("i", "bk-text-before"), el("i", "bk-text-after"), why);
    button.append(token, track, share);
    item.append(button);
    const row = {item, button, token, track, why, share, id: -1};
    button.onclick = () => pick(row.id);
    return row;
  }

  /** @param {{before: object, after: object, vocabulary: object}} what two results of `warp` */
  function show(what) {
    last = what;
    // What is kept comes first, and then what is cut.
    const {before, after, vocabulary} = what, order = top(after.shares.map((share, id) => share || before.shares[id] * 1e-9), most + 1);
    const seen = order.slice(0, most).filter((id) => vocabulary.has(id)), highest = Math.max(...seen.map((id) => Math.max(before.shares[id], after.shares[id])));
    while (rows.length < seen.length) rows.push(newRow());
    rows = rows.slice(0, seen.length);
    seen.forEach((id, i) => {
      const row = rows[i], {parts, name} = vocabulary.face(id), rule = after.cutBy(id);
      row.id = id;
      row.token.replaceChildren(face(parts));
      row.button.dataset.cut = String(Boolean(rule));
      row.track.style.setProperty("--before", 0.84 * before.shares[id] / highest);
      row.track.style.setProperty("--after", 0.84 * after.shares[id] / highest);
      row.why.textContent = rule ? `cut by ${RULES[rule]}` : "";
      row.share.textContent = small(after.shares[id]);
      row.button.setAttribute("aria-label", `${name}, ${small(before.shares[id])}${rule ? `, cut by ${RULES[rule]}` : `, with the settings ${small(after.shares[id])}`}`);
    });
    const rest = after.shares.length - seen.length, kept = (ids) => ids.reduce((sum, share) => sum + (share > 0), 0), shown = seen.map((id) => after.shares[id]);
    const left = kept(after.shares) - kept(shown);
    others.words.textContent = left === rest ? `${count(left)} tokens` : left ? `${count(left)} kept, ${count(rest - left)} cut` : `${count(rest)} tokens, all cut`;
    others.share.textContent = small(1 - shown.reduce((sum, share) => sum + share, 0));
    if (list.childElementCount !== rows.length + 1) list.replaceChildren(...rows.map(({item}) => item), others.node);
    more.hidden = !vocabulary.has(order[most]) || most >= 4 * MORE;
    said.replaceChildren(...told(before, after).map((words, i) => i === 0 || words.endsWith("bits") ? el("b", null, words) : words));
  }
  return {node, show};
}

/** The likeliest tokens, as a screen reader is told them. */
export const spokenTop = ({after, vocabulary}) => top(after.shares, 3).filter((id) => vocabulary.has(id)).map((id) => `${vocabulary.face(id).name} ${small(after.shares[id])}`).join(", ");
