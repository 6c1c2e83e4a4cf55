// The search lab: sentences of the reader's own by their cosine and on a map, and a search by meaning in this book.
import {loader, offered} from "../client.js";
import {json, mount, share} from "../controls.js";
import {el, speaker} from "../shared.js";
import {bookSearch} from "./book.js";
import {sentenceList} from "./sentences.js";
import {fromAddress, LIMITS, toAddress} from "./settings.js";
import {unpack} from "./vectors.js";

const HERE = new URL(".", import.meta.url).href;

/** The sentences that stand there at first, and their vectors, made beforehand. */
async function prepared() {
  if (!await offered("search")) throw Object.assign(new Error("no model"), {sentence: "This copy of the site was built without the model, so only these bars, computed beforehand, are here."});
  const {sentences, vectors} = await json("example.json", HERE);
  const shelf = unpack(Uint8Array.from(atob(vectors), (sign) => sign.charCodeAt(0)), sentences.length);
  return {sentences, known: new Map(sentences.map((sentence, i) => [sentence, {vector: shelf(i), lost: 0, unknown: 0}]))};
}

function build(host, root, {sentences, known}) {
  const speech = speaker(), say = (text) => speech.say(text), box = el("div", "bkv bk-lab bk-search"), top = el("div", "bk-search-top");
  const actions = el("div", "bk-lab-actions"), done = el("p", "bkv-note");

  // The model. Where it is kept in the browser it starts by itself, a transfer waits for the reader's word; once it is
  // here, whatever waited for it goes on.
  const load = loader("search", {say, loaded: () => {
    actions.append(load.node);
    say("The model is loaded");
    list.read();
    if (book.question()) book.go();
  }});
  function ready() {
    if (load.state() === "idle" && load.kept()) load.load();
    else if (load.state() === "idle") {
      const press = load.node.querySelector(".bk-lab-main");
      press.focus();
      say(`The model is not here yet: ${press.textContent}`);
    }
    return load.state() === "ready";
  }
  function failed({kind, message}) {
    say(message);
    if (kind === "memory" || kind === "unloaded") { load.reset(); top.append(load.node); }
  }
  const list = sentenceList(known, {ready, failed, say, changed: () => { done.textContent = ""; }});
  const book = bookSearch({ready, failed, say});

  function action(text, click) {
    const button = el("button", "bkv-link", text, {type: "button"});
    button.onclick = click;
    actions.append(button);
  }
  action("Copy a link to this", async () => {
    const shown = list.shown(), hash = toAddress({...shown, chosen: shown.sentences.indexOf(shown.chosen), question: book.question()});
    if (hash.length > LIMITS.link) { list.complain("These sentences are too long for a link: remove some first."); return; }
    done.textContent = await share(hash, "the sentences and the question");
    say(done.textContent);
  });
  action("Remove all but this one", () => { list.set([list.shown().chosen]); say("One sentence left"); });
  action("Back to the examples", () => { list.set(sentences); say("The examples are back"); });
  top.append(load.node);
  box.append(top, list.node, actions, done, book.node, speech.node);
  root.append(box);

  /** What the address asks for; @returns {boolean} whether it asks for anything */
  function open() {
    const asked = fromAddress(location.hash);
    if (asked?.sentences) list.set(asked.sentences, asked.chosen);
    if (asked) book.set(asked.question);
    return Boolean(asked);
  }
  list.set(sentences);
  open();
  addEventListener("hashchange", () => {
    if (!open()) return;
    say("What the link holds is filled in");
    if (load.state() === "ready") list.read();
  });
  host.bookkit = Object.assign(host.bookkit, {state: load.state, list, book, vector: (text) => known.get(text)?.vector});
  return load.ready;
}

mount("search", HERE, ["search.css"], prepared, build);
