// The search lab: sentences of the reader's own by their cosine and on a map, and a search by meaning in this book.
import {ask, loader, offered} from "../client.js";
import {field, json, mount, share} from "../controls.js";
import {el, speaker} from "../shared.js";
import {keywordSearch, there} from "./keywords.js";
import {sentenceMap} from "./map.js";
import {fromAddress, LIMITS, lines, toAddress} from "./settings.js";
import {cosine, unpack} from "./vectors.js";

const HERE = new URL(".", import.meta.url).href, SITE = new URL("../../../", HERE).href, LISTED = 5, CLOSE = 3;
const HINT = "Press Enter to add it. Several lines at once are several sentences.";

/** The sentences that stand there at first, and their vectors, made beforehand. */
async function prepared() {
  if (!await offered("search")) throw Object.assign(new Error("no model"), {sentence: "This copy of the site was built without the model, so only these bars, computed beforehand, are here."});
  const {sentences, vectors} = await json("example.json", HERE);
  const shelf = unpack(Uint8Array.from(atob(vectors), (sign) => sign.charCodeAt(0)), sentences.length);
  return {sentences, vectors: new Map(sentences.map((sentence, i) => [sentence, {vector: shelf(i), lost: 0, unknown: 0}]))};
}

const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

/** What the model could not read of a text, as a sentence; nothing where it could read all. */
function unread({lost, unknown}) {
  const said = [];
  if (lost) said.push(`The text is too long for the model: its last ${plural(lost, "token")} ${lost === 1 ? "was" : "were"} cut off.`);
  if (unknown) said.push(`${plural(unknown, "word or sign").replace(/word or signs/, "words or signs")} ${unknown === 1 ? "is" : "are"} unknown to the model.`);
  return said.join(" ");
}

/** A cosine as it is written: "0.47", "−0.02". */
const written = (near) => near.toFixed(2).replace(/^-0\.00$/, "0.00").replace("-", "−");

/** A bar from 0 to 1; a cosine below 0 has none. */
function bar(near) {
  const box = el("span", "bk-search-bar", null, {"aria-hidden": "true"});
  box.style.setProperty("--share", Math.max(0, near));
  return box;
}

/** A found place: where it leads, how near it is, and a passage of it where there is one. */
function hit({place, title, headings, text, near}) {
  const item = el("li", "bk-search-hit"), link = el("a", null, headings ? headings.split(" › ").at(-1) : title, {href: new URL(place, SITE).href});
  const trail = [title, ...(headings ? headings.split(" › ").slice(0, -1) : [])];
  item.append(link);
  if (headings) item.append(el("span", "bk-search-trail", trail.join(" › ")));
  if (near !== undefined) {
    const score = el("span", "bk-search-score");
    score.append(bar(near), el("b", null, written(near)));
    item.append(score);
  }
  // Of a table, the lines between its cells are left out.
  if (text) item.append(el("p", "bk-search-text", text.replace(/(?<=^| )\|(?: |$)/g, "")));
  return item;
}

function build(host, root, example) {
  const speech = speaker(), say = (text) => speech.say(text), known = example.vectors;
  const box = el("div", "bkv bk-lab bk-search");
  let sentences = [], chosen = "", question = "", job = null;

  // The model.
  const load = loader("search", {say, loaded: () => { actions.append(load.node); say("The model is loaded"); fresh(); if (asked.input.value.trim()) search(); }});
  const top = el("div", "bk-search-top");
  top.append(load.node);

  // The reader's sentences.
  const form = el("form", "bk-search-add"), {node: label, input: typed} = field("A sentence of your own", "bk-search-field", {rows: 1, "aria-describedby": "bk-search-hint"}, "textarea");
  const add = el("button", "bk-lab-main", "Add", {type: "submit"}), hint = el("p", "bkv-note", HINT, {id: "bk-search-hint"}), wrong = el("p", "bk-lab-said", null, {role: "alert"});
  form.append(label, add);
  const main = el("div", "bk-search-main"), left = el("div", "bk-search-left"), list = el("ol", "bk-search-list", null, {"aria-label": "The sentences, the nearest first"});
  const head = el("p", "bk-search-head"), map = sentenceMap({choose: (sentence) => choose(sentence, true)});
  const actions = el("div", "bk-lab-actions"), action = (text, click) => { const button = el("button", "bkv-link", text, {type: "button"}); button.onclick = click; actions.append(button); return button; };
  const done = el("p", "bkv-note");
  left.append(head, list);
  main.append(left, map.node);

  const near = (one, other) => cosine(known.get(one).vector, known.get(other).vector);
  /** All sentences but the chosen one, the nearest first; those without a vector yet stand last. */
  function ranked() {
    const others = sentences.filter((sentence) => sentence !== chosen);
    if (!known.has(chosen)) return others.map((sentence) => ({sentence}));
    return others.map((sentence) => ({sentence, near: known.has(sentence) ? near(chosen, sentence) : undefined}))
      .sort((one, other) => (other.near ?? -2) - (one.near ?? -2));
  }
  function row({sentence, near: value}) {
    const item = el("li", "bk-search-row"), pick = el("button", "bk-search-pick", null, {type: "button"}), away = el("button", "bk-search-away", "×", {type: "button", "aria-label": `Remove: ${sentence.slice(0, 60)}`, title: "Remove"});
    pick.append(el("bdi", "bk-search-sentence", sentence), bar(value ?? 0), el("b", null, value === undefined ? "…" : written(value)));
    pick.onclick = () => choose(sentence);
    away.onclick = () => remove(sentence);
    item.append(pick, away);
    return item;
  }
  function show() {
    const order = ranked(), waiting = sentences.filter((sentence) => !known.has(sentence)).length;
    head.replaceChildren(el("span", "bk-lab-name", "How near the others are to"), el("bdi", "bk-search-chosen", chosen));
    head.lastChild.dir = "auto";
    if (sentences.length > 1) {
      const away = el("button", "bk-search-away", "×", {type: "button", "aria-label": "Remove the sentence that is compared", title: "Remove"});
      away.onclick = () => remove(chosen);
      head.append(away);
    }
    list.replaceChildren(...order.map(row));
    const ready = sentences.filter((sentence) => known.has(sentence));
    map.show(ready.map((sentence) => ({sentence, vector: known.get(sentence).vector})), chosen, order.filter((one) => one.near !== undefined).slice(0, CLOSE).map(({sentence}) => sentence));
    hint.textContent = waiting ? `${plural(waiting, "sentence")} of ${sentences.length} still ${waiting === 1 ? "waits" : "wait"} for the model.` : unread(known.get(chosen) ?? {}) || HINT;
    done.textContent = "";
  }
  function choose(sentence, focus = false) {
    chosen = sentence;
    show();
    const [first] = ranked();
    say(first?.near === undefined ? chosen : `${chosen} Nearest: ${first.sentence} ${written(first.near)}`);
    if (!focus) list.querySelector("button")?.focus({preventScroll: true});
  }
  function remove(sentence) {
    const [next] = ranked();
    sentences = sentences.filter((one) => one !== sentence);
    if (sentence === chosen) chosen = next?.sentence ?? sentences[0];
    show();
    typed.focus({preventScroll: true});
    say(`Removed. ${plural(sentences.length, "sentence")} left.`);
  }
  function complain(text) {
    wrong.textContent = text;
    wrong.hidden = !text;
    typed.setAttribute("aria-invalid", String(Boolean(text)));
  }
  function set(to) {
    sentences = to.sentences ?? example.sentences;
    chosen = sentences[to.chosen ?? 0];
    question = to.question ?? "";
    asked.input.value = question;
    complain("");
    show();
  }
  /** Vectors for the sentences that have none yet. */
  async function fresh() {
    const texts = sentences.filter((sentence) => !known.has(sentence));
    if (!texts.length || job || load.state() !== "ready") return;
    job = ask({op: "run", lab: "search", settings: {texts}}, ({event, index, vector, lost, unknown}) => {
      if (event !== "step") return;
      known.set(texts[index], {vector, lost, unknown});
      show();
    });
    try {
      const {seconds} = await job.done;
      host.bookkit.last = {count: texts.length, seconds};
      const [first] = ranked();
      if (first?.near !== undefined) say(`Nearest to ${chosen}: ${first.sentence} ${written(first.near)}`);
    } catch (error) { trouble(error); return; } finally { job = null; }
    await fresh(); // what was added meanwhile
  }
  function trouble(error, tell = complain) {
    tell(error.message);
    say(error.message);
    if (error.kind === "memory" || error.kind === "unloaded") { load.reset(); top.append(load.node); }
  }
  /**
   * Whether the model is here. One that is kept in the browser starts by itself, a transfer waits for the reader's word;
   * once it is there, whatever waits for it goes on.
   */
  function ready() {
    if (load.state() === "idle" && load.kept()) load.load();
    else if (load.state() === "idle") {
      const press = load.node.querySelector(".bk-lab-main");
      press.focus();
      say(`The model is not here yet: ${press.textContent}`);
    }
    return load.state() === "ready";
  }
  form.onsubmit = async (event) => {
    event.preventDefault();
    const found = lines(typed.value), more = found.filter((sentence) => !sentences.includes(sentence));
    complain("");
    if (!found.length) { complain("There is no sentence: write one, or paste several lines."); typed.focus(); return; }
    if (sentences.length + more.length > LIMITS.sentences) { complain(`The list holds at most ${LIMITS.sentences} sentences: remove some first.`); typed.focus(); return; }
    sentences = [...sentences, ...more];
    chosen = found.at(-1);
    typed.value = "";
    show();
    if (ready()) await fresh();
  };
  typed.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
  typed.addEventListener("input", () => complain(""));

  action("Copy a link to this", async () => {
    const hash = toAddress({sentences, chosen: sentences.indexOf(chosen), question});
    if (hash.length > LIMITS.link) { complain("These sentences are too long for a link: remove some first."); return; }
    done.textContent = await share(hash, "the sentences and the question");
    say(done.textContent);
  });
  action("Remove all but this one", () => { sentences = [chosen]; show(); typed.focus(); say("One sentence left"); });
  action("Back to the examples", () => { set({question}); say("The examples are back"); });

  // The book.
  const book = el("section", "bk-search-book", null, {"aria-label": "Search this book"}), asking = el("form", "bk-search-add");
  const asked = field("A question to this book", "bk-search-field", {maxlength: LIMITS.signs, enterkeyhint: "search"});
  const go = el("button", "bk-lab-main", "Find", {type: "submit"}), found = el("div", "bk-search-found"), told = el("p", "bkv-note bk-search-told");
  asking.append(asked.node, go);
  const column = (title, note) => {
    const node = el("div", "bk-search-column"), hits = el("ol", "bk-search-hits", null, {"aria-label": title}), said = el("p", "bkv-note", note);
    node.append(el("p", "bkv-title", title), said, hits);
    return {node, hits, said};
  };
  const meaning = column("By meaning", ""), words = column("By words", "");
  found.append(meaning.node, words.node);
  found.hidden = true;
  book.append(asking, told, found);

  function byWords() {
    if (!there()) { words.said.textContent = "The site's own search has not arrived: reload this page."; words.hits.replaceChildren(); return; }
    const hits = keywordSearch(question);
    words.said.textContent = hits.length ? `The site's search box finds ${plural(hits.length, "page or heading").replace("page or headings", "pages or headings")}.` : "The site's search box finds nothing: no page holds all of these words.";
    words.hits.replaceChildren(...hits.slice(0, LISTED).map(hit));
  }
  async function byMeaning() {
    const mine = question;
    meaning.hits.replaceChildren();
    meaning.said.textContent = "This half needs the model.";
    if (!ready()) return;
    try {
      const {hits, lost, passages, seconds} = await ask({op: "call", lab: "search", name: "search", settings: {question: mine}}).done;
      if (mine !== question) return;
      meaning.said.textContent = `The nearest of ${passages.toLocaleString("en")} passages, in ${Math.round(seconds * 1000)} ms. ${unread({lost})}`;
      meaning.hits.replaceChildren(...hits.map(hit));
      host.bookkit.found = hits;
      say(`Nearest by meaning: ${hits[0].headings || hits[0].title}`);
    } catch (error) { trouble(error, (text) => { told.textContent = text; }); }
  }
  async function search() {
    question = asked.input.value.trim();
    told.textContent = question ? "" : "There is no question: write one, or a few words.";
    found.hidden = !question;
    if (!question) { asked.input.focus(); say(told.textContent); return; }
    byWords();
    await byMeaning();
  }
  asking.onsubmit = (event) => { event.preventDefault(); search(); };

  box.append(top, el("p", "bkv-title", "Your sentences"), form, wrong, hint, main, actions, done, el("p", "bkv-title bk-search-second", "Search this book"), book, speech.node);
  root.append(box);
  set(fromAddress(location.hash) ?? {});
  addEventListener("hashchange", () => { const to = fromAddress(location.hash); if (to) { set(to); fresh(); say("The link's sentences are filled in"); } });
  host.bookkit = Object.assign(host.bookkit, {state: load.state, load: load.load, shown: () => ({sentences, chosen, question, rows: ranked(), map: map.shown()}), vector: (text) => known.get(text)?.vector});
  return load.ready;
}

mount("search", HERE, ["search.css"], prepared, build);
