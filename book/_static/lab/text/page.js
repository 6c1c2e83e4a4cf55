// The text lab: type a text, see what the model expects next, and let it go on.
import {ask, loader} from "../client.js";
import {dial, field, fold, json, mount, share as shareLink} from "../controls.js";
import {choices, el, face, speaker} from "../shared.js";
import {bars, spokenTop} from "./bars.js";
import {Vocabulary} from "./faces.js";
import {attention} from "./looks.js";
import {OWN, top, warp} from "./sampling.js";
import {fromAddress, LIMITS, MOST_LETTERS, toAddress} from "./settings.js";
import {tree} from "./tree.js";

const HERE = new URL(".", import.meta.url).href, RESTING = 140;
const PANELS = [["next", "Next token"], ["tree", "Tree"], ["attention", "Attention"]];

/** What Python computed beforehand for one text: its tokens, all logits behind it, and the likeliest tokens by name. */
function prepared({typed, ids, logits, pieces, end, most}) {
  const encoder = new TextEncoder(), bytes = Uint8Array.from(atob(logits), (sign) => sign.charCodeAt(0));
  const vocabulary = new Vocabulary({pieces: Object.fromEntries(Object.entries(pieces).map(([id, piece]) => [id, encoder.encode(piece)])), end});
  return {typed, vocabulary, answer: {ids, typed: ids.length, lost: 0, most, logits: new Float32Array(bytes.buffer)}};
}

/** The sliders of the rules, and how many tokens are written at once. */
function rules(changed) {
  const none = LIMITS.topK[1] + 1, written = (value) => value.toFixed(2), unless = (own, say) => (value) => value === own ? "off" : say(value);
  const kinds = {
    temperature: ["Temperature", LIMITS.temperature, 0.05, written],
    topK: ["Top-k", [LIMITS.topK[0], none], 1, unless(none, String)],
    topP: ["Top-p", LIMITS.topP, 0.01, unless(1, written)],
    minP: ["Min-p", LIMITS.minP, 0.01, unless(0, written)],
    penalty: ["Repetition penalty", LIMITS.penalty, 0.05, unless(1, written)],
  };
  const dials = {}, node = el("div", "bk-text-dials"), count = dial("Tokens to write", LIMITS.count, 1, 20);
  for (const [key, [name, range, step, format]] of Object.entries(kinds)) {
    dials[key] = dial(name, range, step, key === "topK" ? none : OWN[key], {format, changed});
    node.append(dials[key].node);
  }
  node.append(count.node);
  const get = () => Object.fromEntries(Object.entries(dials).map(([key, one]) => [key, key === "topK" && one.get() === none ? 0 : one.get()]));
  const set = (to) => { for (const [key, one] of Object.entries(dials)) one.set(key === "topK" ? to.topK || none : to[key]); };
  const words = () => Object.entries(get()).filter(([key, value]) => value !== OWN[key]).map(([key, value]) => `${kinds[key][0].toLowerCase()} ${kinds[key][3](value)}`).join(", ");
  return {node, get, set, words, count};
}

function build(host, root, example) {
  const speech = speaker(), say = (text) => speech.say(text);
  const box = el("div", "bkv bk-lab bk-text"), form = el("form"), head = el("div", "bk-text-ask");
  const tokens = el("div", "bk-text-tokens", null, {role: "group", tabindex: 0, "aria-label": "The tokens of the text"}), hint = el("p", "bkv-note bk-text-hint"), wrong = el("p", "bk-lab-said", null, {role: "alert"});
  const state = {typed: example.typed, written: []};
  let vocabulary = example.vocabulary, answer = null, panel = host.dataset.panel ?? "next", asked = null, job = null, timer = 0, resting = 0, frame = 0;

  // What a reader sets.
  const text = field("Your text", "bk-text-input", {rows: 2, maxlength: MOST_LETTERS, "aria-describedby": "bk-text-hint", "aria-keyshortcuts": "Control+Enter"}, "textarea");
  hint.id = "bk-text-hint";
  const setting = rules(() => draw());
  const own = el("button", "bkv-link", "Back to the model’s own distribution", {type: "button"});
  const row = el("div", "bk-text-own"), settings = fold(() => setting.words() ? `Settings: ${setting.words()}` : "Settings: the model’s own distribution", setting.node, row);
  row.append(own);
  own.onclick = () => { setting.set(OWN); draw(); say("The model’s own distribution"); };

  // The model.
  const write = el("button", "bk-lab-main", "Write", {type: "submit"}), stop = el("button", "bk-lab-main", "Stop", {type: "button"}), control = el("div");
  const load = loader("text", {say, loaded: () => { arrive(); say("The model is loaded"); }}), press = load.node.querySelector(".bk-lab-main");
  stop.dataset.quiet = "";
  write.hidden = stop.hidden = true;
  control.append(press, write, stop);
  head.append(text.node, control, tokens, hint, load.node);
  const actions = el("div", "bk-lab-actions bk-text-actions"), timing = el("p", "bkv-note bk-text-timing");
  const action = (words, click) => { const button = el("button", "bkv-link", words, {type: "button"}); button.onclick = click; actions.append(button); return button; };
  const one = action("Write one token", () => go(1));
  const back = action("Step back", () => { const id = state.written.pop(); moved(`Taken back: ${vocabulary.face(id).name}. `); });
  const all = action("Back to your text", () => { state.written = []; moved("All that was written is taken back. "); });
  action("Clear the text", () => { fill({typed: "", written: []}); text.input.focus(); });
  action("Copy a link to this", async () => { timing.textContent = await shareLink(toAddress({...state, setting: setting.get()}), "the text and the settings"); say(timing.textContent); });
  form.append(head, settings.node, wrong);

  // Three ways to look at what the model makes of the text.
  const distribution = bars((id) => pick([id])), looks = attention();
  const branches = tree({
    say, vocabulary: () => vocabulary, take: (path) => pick(path),
    async likeliest(path) {
      const found = path.length ? await question("next", {...state, written: [...state.written, ...path]}).done : answer;
      const {shares} = warp(found.logits, found.ids, setting.get());
      return top(shares, 3).filter((id) => shares[id] > 0).map((id) => ({id, share: shares[id]}));
    },
  });
  const panels = {next: distribution.node, tree: branches.node, attention: looks.node}, absent = el("p", "bk-text-absent", "This needs the model, which is loaded when you press the button above.");
  const views = choices("What to look at", PANELS, panel, (key) => { panel = key; show(true); });
  const stage = el("div", "bk-text-stage");
  views.classList.add("bk-text-views");
  stage.append(views, absent, ...Object.values(panels));
  box.append(form, actions, timing, stage, speech.node);
  root.append(box);

  const ready = () => load.state() === "ready";
  const question = (name, about) => ask({op: "call", lab: "text", name, settings: about});
  const absence = () => { press.focus(); say(`The model is not here yet: ${press.textContent}`); };
  function complain(words) { wrong.textContent = words; wrong.hidden = !words; }
  function trouble(error) {
    if (error.kind === "cancelled") return;
    complain(error.message);
    if (error.kind === "memory" || error.kind === "unloaded") { load.reset(); control.prepend(press); head.append(load.node); write.hidden = true; }
  }
  async function arrive() {
    try { vocabulary = new Vocabulary(await question("vocabulary").done); } catch (error) { trouble(error); return; }
    actions.append(load.node);
    write.hidden = false;
    await moved();
  }

  // What the model makes of the text.
  const whole = () => state.typed + (ready() ? vocabulary.text(state.written) : "");
  /** The text has changed other than by typing; `words` say how. */
  function moved(words) {
    text.input.value = whole();
    return refresh(words);
  }
  function fill({typed, written}) {
    job?.cancel();
    Object.assign(state, {typed, written});
    return moved();
  }
  async function refresh(words = "") {
    clearTimeout(timer);
    asked?.cancel();
    asked = null;
    complain("");
    back.disabled = all.disabled = !state.written.length || !ready();
    if (!ready()) {
      answer = state.typed === example.typed && !state.written.length ? example.answer : null;
      draw();
      return;
    }
    const mine = question("next", {...state});
    asked = mine;
    try { answer = await mine.done; } catch (error) { trouble(error); return; }
    if (asked !== mine) return;
    asked = null;
    host.bookkit.answer = answer;
    draw();
    say(`${words}Likeliest next: ${spokenTop({after: warp(answer.logits, answer.ids, setting.get()), vocabulary})}`);
  }
  function draw() {
    const began = performance.now();
    settings.sum();
    own.disabled = !setting.words();
    tokens.hidden = !answer;
    hint.textContent = notes().join(" ");
    if (answer) {
      const faces = vocabulary.faces(answer.ids);
      faces[0] = {parts: [["u", answer.lost ? `${answer.lost} tokens before` : "beginning"]]};
      tokens.replaceChildren(...faces.flatMap(({parts}, i) => {
        const token = face(parts);
        if (i >= answer.typed) token.dataset.written = "";
        return [token, el("wbr")];
      }), el("span", "bk-text-blank", "?"));
      tokens.scrollTop = tokens.scrollHeight;
      distribution.show({before: warp(answer.logits, answer.ids, OWN), after: warp(answer.logits, answer.ids, setting.get()), vocabulary});
    }
    show();
    host.bookkit.handled.push(performance.now() - began);
  }
  function notes() {
    const said = [];
    if (!answer && !ready()) said.push("Load the model to see what it makes of this text.");
    else if (!ready()) said.push("Computed beforehand for this text. Load the model to type your own.");
    else if (!whole()) said.push("No text: the model begins one.");
    if (answer?.lost) said.push(`The text has ${answer.lost + answer.ids.length - 1} tokens; the model reads the last ${answer.ids.length - 1} of them.`);
    else if (answer && ready()) said.push(`${answer.ids.length} of at most ${answer.most} tokens, the beginning among them.`);
    return said;
  }
  /** Which of the three is seen; the tree and the attention are there once the model is, and follow when things rest. */
  function show(fresh = false) {
    for (const [key, node] of Object.entries(panels)) node.hidden = key !== panel || !answer || (key !== "next" && !ready());
    absent.hidden = !panels[panel].hidden;
    clearTimeout(resting);
    if (absent.hidden && panel !== "next") resting = setTimeout(() => look(fresh), fresh ? 0 : RESTING);
  }
  async function look(fresh) {
    try {
      if (panel === "tree") await branches.plant(String([answer.ids, Object.values(setting.get())]));
      else await looks.show(answer.ids, vocabulary, fresh, () => question("look", {...state}).done);
    } catch (error) { trouble(error); }
  }

  /** Tokens that the reader chose are written. */
  function pick(path) {
    if (!ready()) { absence(); return; }
    if (job) return;
    state.written = [...state.written, ...path];
    moved(`Written: ${vocabulary.text(path)}. `);
  }
  async function go(count = setting.count.get()) {
    if (job || load.state() === "loading") return;
    if (!ready()) {
      // What is kept in the browser starts by itself; a transfer waits for the reader's word.
      if (load.kept()) await load.load(); else absence();
      return;
    }
    clearTimeout(timer);
    asked?.cancel();
    asked = null;
    complain("");
    write.hidden = true;
    stop.hidden = false;
    one.disabled = back.disabled = all.disabled = true;
    const {written} = state, before = written.length;
    let news = "";
    job = ask({op: "run", lab: "text", settings: {...state, count, setting: setting.get()}}, ({event, token}) => {
      // What arrives after the reader has typed something else belongs to no text.
      if (event !== "step" || state.written !== written) return;
      written.push(token);
      // The model is faster than the screen.
      if (!frame) frame = requestAnimationFrame(() => { frame = 0; text.input.value = whole(); text.input.scrollTop = text.input.scrollHeight; });
    });
    try {
      answer = await job.done;
      host.bookkit.last = answer;
      timing.textContent = `${answer.fresh} token${answer.fresh === 1 ? "" : "s"} in ${answer.seconds.toFixed(2)} s on your machine: ${Math.round(answer.fresh / answer.seconds)} a second.${answer.ended ? " The model ended the text here." : ""}`;
      news = `Written: ${vocabulary.text(written.slice(before))}. `;
    } catch (error) {
      if (error.kind !== "cancelled") { trouble(error); return; }
      timing.textContent = "Stopped.";
      news = "Stopped. ";
    } finally {
      job = null;
      stop.hidden = true;
      write.hidden = !ready();
      one.disabled = false;
    }
    moved(news);
  }
  text.input.addEventListener("input", () => {
    job?.cancel();
    Object.assign(state, {typed: text.input.value.slice(0, MOST_LETTERS), written: []});
    clearTimeout(timer);
    timer = setTimeout(() => refresh(), RESTING);
  });
  text.input.addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); go(); } });
  form.onsubmit = (event) => { event.preventDefault(); go(); };
  stop.onclick = () => job?.cancel();

  function open() {
    const linked = fromAddress(location.hash, example.answer.logits.length);
    if (linked) { setting.set(linked.setting); fill(linked); }
    return Boolean(linked);
  }
  host.bookkit = Object.assign(host.bookkit || {}, {handled: [], state, go, fill, set: (to) => { setting.set({...setting.get(), ...to}); draw(); }, viewer: looks.viewer});
  complain("");
  if (!open()) fill(state);
  addEventListener("hashchange", () => { if (open()) say("The link’s text and settings are filled in"); });
  return load.ready;
}

mount("text", HERE, ["../viewers/attention.css", "text.css"], async () => prepared(await json("example.json", HERE)), build);
