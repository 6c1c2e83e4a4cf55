// The half that searches the book: by meaning, and beside it what the site's own search finds by words.
import {ask} from "../client.js";
import {field} from "../controls.js";
import {el} from "../shared.js";
import {keywordSearch, there} from "./keywords.js";
import {LIMITS} from "./settings.js";
import {bar, plural, unread, written} from "./words.js";

const SITE = new URL("../../../", import.meta.url).href, LISTED = 5;

/** A found place: where it leads, how near it is, and a passage of it where there is one. */
function hit({place, title, headings, text, near}) {
  const trail = [title, ...(headings ? headings.split(" › ") : [])], item = el("li", "bk-search-hit");
  item.append(el("a", null, trail.at(-1), {href: new URL(place, SITE).href}));
  if (headings) item.append(el("span", "bk-search-trail", trail.slice(0, -1).join(" › ")));
  if (near !== undefined) {
    const score = el("span", "bk-search-score");
    score.append(bar(near), el("b", null, written(near)));
    item.append(score);
  }
  // Of a table, the lines between its cells are left out.
  if (text) item.append(el("p", "bk-search-text", text.replace(/(^| )\|(?= |$)/g, "")));
  return item;
}

function column(title) {
  const node = el("div"), said = el("p", "bkv-note"), hits = el("ol", "bk-search-hits", null, {"aria-label": title});
  node.append(el("p", "bkv-title", title), said, hits);
  return {node, show: (words, found) => { said.textContent = words; hits.replaceChildren(...found.map(hit)); }};
}

/**
 * @param {{ready: () => boolean, failed: (error: Error) => void, say: (text: string) => void}} lab whether the model is here; a failure; spoken words
 * @returns {{node: HTMLElement, go: () => Promise<void>, question: () => string, set: (question: string) => void, found: () => object[]}}
 */
export function bookSearch({ready, failed, say}) {
  const node = el("section", "bk-search-book", null, {"aria-label": "Search this book"}), form = el("form", "bk-search-add");
  const {node: label, input} = field("A question to this book", "bk-search-field", {maxlength: LIMITS.signs, enterkeyhint: "search"});
  const both = el("div", "bk-search-found"), wrong = el("p", "bk-lab-said", null, {role: "alert"}), meaning = column("By meaning"), words = column("By words");
  let question = "", found = [];
  form.append(label, el("button", "bk-lab-main", "Find", {type: "submit"}));
  both.append(meaning.node, words.node);
  both.hidden = true;
  node.append(el("p", "bkv-title", "Search this book"), form, wrong, both);

  function byWords() {
    if (!there()) { words.show("The site's own search has not arrived: reload this page.", []); return; }
    const hits = keywordSearch(question);
    words.show(hits.length ? `The site's search box finds ${plural(hits.length, "other page or heading", "other pages or headings")}.` : "The site's search box finds nothing: no other page holds all of these words.", hits.slice(0, LISTED));
  }
  async function byMeaning() {
    const mine = question;
    meaning.show("This half needs the model.", []);
    if (!ready()) return;
    try {
      const {hits, lost, passages, seconds} = await ask({op: "call", lab: "search", name: "search", settings: {question: mine}}).done;
      if (mine !== question) return;
      found = hits;
      meaning.show(`The nearest of ${passages.toLocaleString("en")} passages, in ${Math.round(seconds * 1000)} ms. ${unread({lost})}`, hits);
      say(`Nearest by meaning: ${hits[0].headings || hits[0].title}`);
    } catch (error) { wrong.textContent = error.message; failed(error); }
  }
  async function go() {
    question = input.value.trim();
    wrong.textContent = question ? "" : "There is no question: write one, or a few words.";
    both.hidden = !question;
    if (!question) { input.focus(); return; }
    byWords();
    await byMeaning();
  }
  form.onsubmit = (event) => { event.preventDefault(); go(); };
  return {node, go, question: () => input.value.trim(), set: (to) => { input.value = to; }, found: () => found};
}
