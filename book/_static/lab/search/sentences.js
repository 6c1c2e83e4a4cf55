// The half with the reader's own sentences: a list by cosine, and its map.
import {ask} from "../client.js";
import {field} from "../controls.js";
import {el} from "../shared.js";
import {sentenceMap} from "./map.js";
import {LIMITS, lines} from "./settings.js";
import {cosine} from "./vectors.js";
import {bar, plural, unread, written} from "./words.js";

/** So many of the nearest have a line on the map. */
const CLOSE = 3;
const HINT = "Press Enter to add it. Several lines at once are several sentences.";

/**
 * @param {Map<string, {vector: Float32Array, lost: number, unknown: number}>} known what the model has read so far
 * @param {{ready: () => boolean, failed: (error: Error) => void, say: (text: string) => void, changed: () => void}} lab whether the model is here; a failure; spoken words; called whenever another list is shown
 * @returns {{node: HTMLElement, read: () => Promise<void>, set: (sentences: string[], chosen?: number) => void, complain: (text: string) => void, shown: () => object, last: () => object}}
 */
export function sentenceList(known, {ready, failed, say, changed}) {
  const node = el("div"), form = el("form", "bk-search-add"), {node: label, input} = field("A sentence of your own", "bk-search-field", {rows: 1, "aria-describedby": "bk-search-hint"}, "textarea");
  const wrong = el("p", "bk-lab-said", null, {role: "alert"}), hint = el("p", "bkv-note", HINT, {id: "bk-search-hint"});
  const main = el("div", "bk-search-main"), left = el("div"), head = el("p", "bk-search-head"), list = el("ol", "bk-search-list", null, {"aria-label": "The sentences, the nearest first"});
  const map = sentenceMap({choose: (sentence) => choose(sentence)});
  let sentences = [], chosen = "", job = null, last;
  form.append(label, el("button", "bk-lab-main", "Add", {type: "submit"}));
  left.append(head, list);
  main.append(left, map.node);
  node.append(el("p", "bkv-title", "Your sentences"), form, wrong, hint, main);

  /** All sentences but the chosen one, the nearest first; those that the model has not read yet stand last. */
  function ranked() {
    const mine = known.get(chosen), near = (sentence) => mine && known.has(sentence) ? cosine(mine.vector, known.get(sentence).vector) : undefined;
    return sentences.filter((sentence) => sentence !== chosen).map((sentence) => ({sentence, near: near(sentence)}))
      .sort((one, other) => (other.near ?? -2) - (one.near ?? -2));
  }
  function away(sentence, name) {
    const button = el("button", "bk-search-away", "×", {type: "button", "aria-label": name, title: "Remove"});
    button.onclick = () => remove(sentence);
    return button;
  }
  function row({sentence, near}) {
    const item = el("li", "bk-search-row"), pick = el("button", "bk-search-pick", null, {type: "button"});
    pick.append(el("bdi", "bk-search-sentence", sentence), bar(near ?? 0), el("b", null, near === undefined ? "…" : written(near)));
    pick.onclick = () => { choose(sentence); list.querySelector("button").focus({preventScroll: true}); };
    item.append(pick, away(sentence, `Remove: ${sentence.slice(0, 60)}`));
    return item;
  }
  function show() {
    const order = ranked(), read = sentences.filter((sentence) => known.has(sentence)), waiting = sentences.length - read.length;
    head.replaceChildren(el("span", "bk-lab-name", "How near the others are to"), el("bdi", "bk-search-chosen", chosen, {dir: "auto"}));
    if (order.length) head.append(away(chosen, "Remove the sentence that is compared"));
    list.replaceChildren(...order.map(row));
    map.show(read.map((sentence) => ({sentence, vector: known.get(sentence).vector})), chosen, order.filter(({near}) => near !== undefined).slice(0, CLOSE).map(({sentence}) => sentence));
    hint.textContent = waiting ? `${plural(waiting, "sentence")} of ${sentences.length} still ${waiting === 1 ? "waits" : "wait"} for the model.` : unread(known.get(chosen)) || HINT;
    changed();
  }
  function tell() {
    const [first] = ranked();
    say(first?.near === undefined ? chosen : `${chosen} Nearest: ${first.sentence} ${written(first.near)}`);
  }
  function choose(sentence) { chosen = sentence; show(); tell(); }
  function remove(sentence) {
    if (sentence === chosen) chosen = ranked()[0].sentence;
    sentences = sentences.filter((one) => one !== sentence);
    show();
    input.focus({preventScroll: true});
    say(`Removed. ${plural(sentences.length, "sentence")} left.`);
  }
  function complain(text) {
    wrong.textContent = text;
    input.setAttribute("aria-invalid", String(Boolean(text)));
  }
  function set(to, at = 0) {
    sentences = to;
    chosen = to[at];
    complain("");
    show();
  }
  /** Has the model read what it has not read yet. */
  async function read() {
    const texts = sentences.filter((sentence) => !known.has(sentence));
    if (!texts.length || job || !ready()) return;
    let drawn = 0;
    job = ask({op: "run", lab: "search", settings: {texts}}, ({event, index, vector, lost, unknown}) => {
      if (event !== "step") return;
      known.set(texts[index], {vector, lost, unknown});
      // Many sentences come faster than a list and a map should be drawn.
      if (performance.now() - drawn > 200) { show(); drawn = performance.now(); }
    });
    try {
      last = {count: texts.length, ...await job.done};
      show();
      tell();
    } catch (error) { complain(error.message); failed(error); return; } finally { job = null; }
    await read(); // what was added meanwhile
  }
  form.onsubmit = (event) => {
    event.preventDefault();
    const found = lines(input.value), all = [...new Set([...sentences, ...found])];
    complain("");
    if (!found.length) complain("There is no sentence: write one, or paste several lines.");
    else if (all.length > LIMITS.sentences) complain(`The list holds at most ${LIMITS.sentences} sentences: remove some first.`);
    if (wrong.textContent) { input.focus(); return; }
    input.value = "";
    set(all, all.indexOf(found.at(-1)));
    read();
  };
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
  input.addEventListener("input", () => complain(""));
  return {node, read, set, complain, shown: () => ({sentences, chosen, rows: ranked(), map: map.shown()}), last: () => last};
}
