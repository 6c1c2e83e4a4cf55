// Where the tokens of the text look, layer by layer and head by head: the attention viewer of chapter 4.
import {el} from "../shared.js";
import {mount} from "../viewers/attention.js";

/** The head in which the last token looks hardest at another token than the first and itself. */
function strongest({layers, heads, codes}, n) {
  const size = n * (n + 1) / 2, last = size - n;
  let found = {layer: 0, head: 0, code: -1};
  for (let layer = 0; layer < layers; layer++)
    for (let head = 0; head < heads; head++)
      for (let key = 1; key < n - 1; key++) {
        const code = codes[(layer * heads + head) * size + last + key];
        if (code > found.code) found = {layer, head, code};
      }
  return found;
}

export function attention() {
  const node = el("div", "bk-text-attention"), place = el("div"), again = el("button", "bkv-link", "The text has changed: look at it as it is now", {type: "button"});
  let seen = "", drawing = "";
  again.hidden = true;
  node.append(again, place);

  async function draw(ids, vocabulary, ask) {
    drawing = String(ids);
    const found = await ask();
    if (drawing !== String(ids)) return;
    const faces = vocabulary.faces(found.ids), before = found.earlier === 1 ? "beginning" : `${found.earlier} tokens before`;
    const tokens = [{parts: [["u", before]], name: before}, ...faces], chosen = place.firstChild?.bookkit.now ?? strongest(found, tokens.length), view = el("div");
    const data = {
      layers: found.layers, heads: found.heads, causal: true, tokens, token: tokens.length - 1, layer: chosen.layer, head: chosen.head,
      title: "Where each token looks", cut: found.earlier === 1 ? "" : `The last ${faces.length} tokens are shown; those before them count as one.`,
      note: "Each weight is kept in one byte, so it is off by at most 0.2 percentage points. In the small maps and the matrix, a deeper orange is a larger weight, on a square-root scale.",
      blob: btoa(String.fromCharCode(...found.codes)),
    };
    place.replaceChildren(view);
    mount(view, data, view);
    seen = drawing;
    again.hidden = true;
  }
  /**
   * Draws the attention of these tokens the first time and whenever `fresh`; else offers to.
   * @param {() => Promise<object>} ask what the engine's `look` says
   */
  async function show(ids, vocabulary, fresh, ask) {
    if (seen === String(ids)) { again.hidden = true; return; }
    if (fresh || !seen) { await draw(ids, vocabulary, ask); return; }
    again.hidden = false;
    again.onclick = () => draw(ids, vocabulary, ask);
  }
  return {node, show, viewer: () => place.firstChild?.bookkit};
}
