// The picture lab: write a sentence, watch it become a picture.
import {ask, loader} from "../client.js";
import {dial, field, fold, json, mount, narrow, share as shareLink} from "../controls.js";
import {choices, el, onTheme, player, speaker, svg} from "../shared.js";
import {animatedPng, stripPng, png, strip} from "./film.js";
import {DEFAULTS, fromAddress, LIMITS, seedTrouble, toAddress} from "./settings.js";
import {colourOf, Run, view} from "./view.js";
import {accept, chance, complete, unknown} from "./words.js";

const HERE = new URL(".", import.meta.url).href;

/** The run that was made beforehand, cut out of its sheet. */
async function prepared() {
  const [record, image] = await Promise.all([json("example.json", HERE), new Promise((resolve, reject) => {
    const picture = new Image();
    picture.onload = () => resolve(picture);
    picture.onerror = reject;
    picture.src = new URL("example.webp", HERE).href;
  })]);
  const run = new Run(record.settings, record), {side, places, length} = record, canvas = new OffscreenCanvas(image.width, image.height);
  const pen = canvas.getContext("2d", {willReadFrequently: true});
  pen.drawImage(image, 0, 0);
  for (let index = 0; index <= run.settings.steps; index++)
    run.put(index, {held: pen.getImageData(index * side, 0, side, side), expected: pen.getImageData(index * side, side, side, side)});
  const bytes = Uint8Array.from(atob(record.attention), (sign) => sign.charCodeAt(0));
  for (let index = 0; index < run.settings.steps; index++)
    run.looks[index] = Float32Array.from(bytes.subarray(index * places * length, (index + 1) * places * length), (byte) => (byte / 255) ** 2);
  Object.assign(run, {finished: true, times: record.times});
  return run;
}

/** The text field of the prompt, with the phrases that the model knows. */
function promptField(words, told) {
  const {node, input} = field("Your sentence", "bk-pictures-prompt", {role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": "bk-pictures-list", maxlength: LIMITS.prompt, enterkeyhint: "go"});
  const list = el("ul", "bk-pictures-list", null, {id: "bk-pictures-list", role: "listbox", "aria-label": "Words that the model knows"}), box = el("div", "bk-pictures-field");
  let offers = [], chosen = -1;
  list.hidden = true;
  node.append(input);
  box.append(node, list);
  function close() { list.hidden = true; chosen = -1; input.setAttribute("aria-expanded", "false"); input.removeAttribute("aria-activedescendant"); }
  function open() {
    offers = complete(words, input.value, input.selectionStart ?? input.value.length);
    if (!offers.length) { close(); return; }
    chosen = -1;
    list.replaceChildren(...offers.map((phrase, i) => {
      const item = el("li", null, phrase, {role: "option", id: `bk-pictures-offer-${i}`, "aria-selected": "false"});
      item.onpointerdown = (event) => { event.preventDefault(); take(i); };
      return item;
    }));
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
  }
  function mark(to) {
    chosen = (to + offers.length) % offers.length;
    [...list.children].forEach((item, i) => { item.setAttribute("aria-selected", String(i === chosen)); });
    list.children[chosen].scrollIntoView({block: "nearest"});
    input.setAttribute("aria-activedescendant", `bk-pictures-offer-${chosen}`);
  }
  function take(i) {
    const done = accept(words, input.value, input.selectionStart ?? input.value.length, offers[i]);
    input.value = done.prompt;
    input.setSelectionRange(done.caret, done.caret);
    told();
    if (done.prompt.endsWith(", ")) open(); else close();
  }
  input.addEventListener("input", () => { told(); open(); });
  input.addEventListener("focus", () => { if (!input.value) open(); });
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "ArrowDown") { event.preventDefault(); if (list.hidden) open(); if (!list.hidden) mark(chosen + 1); }
    else if (event.key === "ArrowUp" && !list.hidden) { event.preventDefault(); mark(chosen < 0 ? -1 : chosen - 1); }
    else if (event.key === "Enter" && chosen >= 0) { event.preventDefault(); take(chosen); }
    else if (event.key === "Enter") close();
    else if (event.key === "Escape" && !list.hidden) { event.preventDefault(); close(); }
  });
  return {box, input, close};
}

function save(blob, name) {
  const link = el("a", null, null, {href: URL.createObjectURL(blob), download: name});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function build(host, root, example, words) {
  const speech = speaker(), say = (text) => speech.say(text), start = {...DEFAULTS, ...example.settings};
  const box = el("div", "bkv bk-lab bk-pictures"), form = el("form"), top = el("div", "bk-pictures-ask");
  const hint = el("p", "bkv-note bk-pictures-hint"), wrong = el("p", "bk-lab-said", null, {role: "alert"});
  let job = null, views = [], bar = null, following = true, filling = false, shown = example;

  // What a reader sets.
  const prompt = promptField(words, () => { note(); });
  const negative = field("Without (negative prompt)", "", {maxlength: LIMITS.prompt}), seed = field("Seed", "", {inputmode: "numeric", maxlength: 24, "aria-describedby": "bk-pictures-wrong"});
  wrong.id = "bk-pictures-wrong";
  const dice = el("button", "bk-pictures-dice", null, {type: "button", "aria-label": "Another seed", title: "Another seed"}), face = svg("svg", {viewBox: "0 0 24 24", fill: "none", stroke: "currentColor", "stroke-width": 1.8, "aria-hidden": "true"});
  face.append(svg("rect", {x: 4, y: 4, width: 16, height: 16, rx: 3.5}), ...[[8.6, 8.6], [15.4, 8.6], [12, 12], [8.6, 15.4], [15.4, 15.4]].map(([cx, cy]) => svg("circle", {cx, cy, r: 1, fill: "currentColor"})));
  dice.append(face);
  const seedBox = el("div"), seedRow = el("div", "bk-pictures-seed");
  seedRow.append(seed.input, dice);
  seed.node.append(seedRow);
  seedBox.append(seed.node);
  const steps = dial("Steps", LIMITS.steps, 1, start.steps), guidance = dial("Guidance", LIMITS.guidance, 0.5, start.guidance, {format: (value) => value.toFixed(1)});
  const samplerBox = el("div", "bk-pictures-sampler");
  let sampler = start.sampler, samplerChoice;
  function setSampler(to) {
    sampler = to;
    samplerChoice = choices("Sampler", [["ddim", "DDIM"], ["euler", "Euler"]], to, (key) => { sampler = key; });
    samplerBox.replaceChildren(el("span", "bk-pictures-label", "Sampler"), samplerChoice);
  }
  const film = el("label", "bk-pictures-film"), every = el("input", null, null, {type: "checkbox"});
  every.checked = !narrow.matches;
  film.append(every, "every step");
  const dials = el("div", "bk-pictures-dials");
  setSampler(start.sampler);
  dials.append(negative.node, seedBox, steps.node, guidance.node);

  const settings = () => ({prompt: prompt.input.value.trim(), negative: negative.input.value.trim(), seed: seed.input.value.trim(), steps: steps.get(), guidance: guidance.get(), sampler});
  function fill(to) {
    prompt.input.value = to.prompt;
    negative.input.value = to.negative;
    seed.input.value = to.seed;
    steps.set(to.steps);
    guidance.set(to.guidance);
    setSampler(to.sampler);
    note();
    sum();
  }
  function note(lost = 0) {
    const strange = unknown(words, prompt.input.value).slice(0, 4), said = [];
    if (!prompt.input.value.trim()) said.push("No words: the model draws what comes to it.");
    if (strange.length) said.push(`Not among the words listed here: ${strange.join(", ")}. The model may read them in pieces, and guess.`);
    if (lost) said.push(`The sentence is too long: its last ${lost} token${lost > 1 ? "s" : ""} did not fit and ${lost > 1 ? "were" : "was"} cut off.`);
    hint.textContent = said.join(" ");
  }
  function complain(text) {
    wrong.textContent = text;
    wrong.hidden = !text;
    seed.input.setAttribute("aria-invalid", String(Boolean(text) && Boolean(seedTrouble(seed.input.value.trim()))));
  }
  complain("");
  dice.onclick = () => { seed.input.value = String(crypto.getRandomValues(new Uint32Array(1))[0] % 10000); complain(""); say(`Seed ${seed.input.value}`); };
  seed.input.addEventListener("input", () => complain(""));

  // The model.
  const draw = el("button", "bk-lab-main", "Draw", {type: "submit"}), stop = el("button", "bk-lab-main", "Stop", {type: "button"});
  stop.dataset.quiet = "";
  const load = loader("pictures", {say, loaded: () => { ready(); say("The model is loaded"); }});
  const control = el("div");
  draw.hidden = stop.hidden = true;
  const press = load.node.querySelector(".bk-lab-main");
  control.append(press, draw, stop);
  function ready() { draw.hidden = false; actions.append(load.node); }
  top.append(prompt.box, control, load.node, hint);
  const row = el("div", "bk-pictures-row"), chanceButton = el("button", "bkv-link", "A sentence by chance", {type: "button"});
  chanceButton.onclick = () => { prompt.input.value = chance(words); dice.onclick(); note(); say(prompt.input.value); };
  row.append(samplerBox, film, chanceButton);
  // On a phone the settings are folded, so that the picture stays in sight.
  const {node: folded, sum} = fold(() => `Seed ${seed.input.value}, ${steps.get()} steps, guidance ${guidance.get().toFixed(1)}, ${sampler === "ddim" ? "DDIM" : "Euler"}`, dials, row);
  form.append(top, folded, wrong);
  const stage = el("div", "bk-pictures-stage"), strips = el("canvas", "bk-pictures-strip", null, {"aria-hidden": "true"}), holder = el("div", "bk-pictures-player");
  const actions = el("div", "bk-lab-actions"), timing = el("p", "bkv-note"), action = (text, click) => { const button = el("button", "bkv-link", text, {type: "button"}); button.onclick = click; actions.append(button); return button; };
  box.append(form, stage, holder, strips, actions, timing, speech.node);
  root.append(box);

  // What is shown: one run, or two side by side, at the same share of their steps.
  let marks = [];
  function unroll() {
    const width = strips.clientWidth || box.clientWidth;
    const [accent, empty] = ["--bk-accent", "--bk-rule"].map((name) => `rgb(${colourOf(host, name).join(",")})`);
    if (width) marks = strip(strips, shown, width, at(shown), {accent, empty});
  }
  let share = 1;
  const at = (run) => Math.round(share * run.settings.steps);
  function redraw() { for (const one of views) one.show(at(one.run)); unroll(); }
  function play(run) {
    bar = player(host, run.settings.steps, (step) => `step ${step} of ${run.settings.steps}${run.times[step] === undefined ? "" : `, t = ${Math.round(run.times[step])}`}`,
      (step) => { share = step / run.settings.steps; redraw(); }, () => { following = false; say(`Step ${at(run)} of ${run.settings.steps}`); }, Math.min(6, 1.5 + run.settings.steps / 6));
    holder.replaceChildren(bar.node);
  }
  function present(runs) {
    shown = runs.at(-1);
    views = runs.map((run) => view(run, {say, alone: runs.length === 1}));
    stage.replaceChildren(...views.map((one) => one.node));
    stage.dataset.runs = String(runs.length);
    together.textContent = runs.length > 1 ? "Show one only" : "Keep beside the next";
    play(shown);
  }
  const unit = () => Math.min(67, (strips.clientWidth + 3) / Math.max(1, marks.length));
  strips.onclick = (event) => {
    const place = strips.getBoundingClientRect(), column = Math.floor((event.clientX - place.left) / unit());
    if (marks[column] !== undefined) bar.go(marks[column]);
  };

  let keep = null;
  const together = action("Keep beside the next", () => {
    if (views.length > 1 || keep) { keep = null; present([shown]); bar.put(shown.settings.steps); say("One picture"); return; }
    keep = shown;
    together.textContent = "Kept: the next stands beside it";
    say("Kept. The next picture will stand beside it.");
  });
  action("Copy a link to this", async () => {
    timing.textContent = await shareLink(toAddress(settings()), "the sentence and the settings");
    say(timing.textContent);
  });
  const name = () => (shown.settings.prompt.toLowerCase().replace(/[^a-z0-9]+/g, "-").slice(0, 40) || "picture") + `-seed-${shown.settings.seed}`;
  action("Save the picture", async () => save(await png(shown, at(shown)), `${name()}.png`));
  action("Save the film", async () => save(await animatedPng(shown), `${name()}-film.png`));
  action("Save the film as a strip", async () => save(await stripPng(shown), `${name()}-strip.png`));

  // A run.
  async function go() {
    if (job) {
      if (!filling) return;
      // The picture is finished and only steps that were left out are still being decoded.
      job.cancel();
      await job.done.catch(() => {});
    }
    const asked = settings(), trouble = seedTrouble(asked.seed);
    prompt.close();
    complain(trouble);
    if (trouble) { seed.input.focus(); return; }
    if (load.state() === "loading") return;
    if (load.state() !== "ready") {
      // What is kept in the browser starts by itself; a transfer waits for the reader's word.
      if (load.kept()) { await load.load(); if (load.state() === "ready") go(); } else { press.focus(); say(`The model is not here yet: ${press.textContent}`); }
      return;
    }
    let run = null, said = 0;
    draw.hidden = true;
    stop.hidden = false;
    following = true;
    filling = false;
    timing.textContent = "";
    const began = performance.now(), filmed = every.checked;
    job = ask({op: "run", lab: "pictures", settings: {...asked, film: filmed}}, (step) => {
      if (step.event !== "step") return;
      const heard = performance.now();
      queueMicrotask(() => host.bookkit.handled.push(performance.now() - heard));
      if (step.index === -1) {
        run = Object.assign(new Run(asked, step), {film: filmed});
        note(step.lost);
        present(keep ? [keep, run] : [run]);
        bar.put(0);
        return;
      }
      if (step.attention) { run.looks[step.index] = step.attention; run.times[step.index] = step.time; }
      const image = (data) => new ImageData(data, run.side, run.side), pictures = {};
      for (const kind of ["expected", "held"]) if (step[kind]) pictures[kind] = image(step[kind]);
      run.put(step.index, pictures);
      if (step.index === asked.steps - 1 && step.attention) run.put(asked.steps, {expected: pictures.expected, held: filmed ? pictures.expected : undefined});
      if (step.finished) {
        run.finished = true;
        run.seconds = step.seconds;
        filling = true;
        stop.hidden = true;
        draw.hidden = false;
        keep = null;
        if (stage.dataset.runs === "1") together.textContent = "Keep beside the next";
        timing.textContent = `${asked.steps} steps in ${step.seconds.toFixed(1)} s on your machine.`;
        if (following) bar.put(asked.steps);
        say(`The picture is finished: ${asked.prompt || "no words"}.`);
      } else if (following && !run.finished) bar.put(step.index);
      else redraw();
      const now = performance.now();
      if (!run.finished && now - said > 900) { said = now; speech.node.textContent = `Step ${step.index + 1} of ${asked.steps}`; }
    });
    try {
      const result = await job.done;
      host.bookkit.last = {...result, run, wall: (performance.now() - began) / 1000};
    } catch (error) {
      if (error.kind === "cancelled" && filling) return;
      if (error.kind === "cancelled") timing.textContent = "Stopped.";
      else { complain(error.message); if (error.kind === "memory" || error.kind === "unloaded") { load.reset(); top.append(load.node); } }
      say(timing.textContent || error.message);
    } finally {
      job = null;
      stop.hidden = true;
      draw.hidden = load.state() !== "ready";
    }
  }
  form.onsubmit = (event) => { event.preventDefault(); go(); };
  stop.onclick = () => job?.cancel();

  const asked = () => fromAddress(location.hash, start);
  fill(asked() || start);
  addEventListener("hashchange", () => { const to = asked(); if (to) { fill(to); say("The link's sentence and settings are filled in"); } });
  host.bookkit = Object.assign(host.bookkit || {}, {handled: [], go, settings, fill, views: () => views, at: () => at(shown), put: (step) => bar.go(step), load: load.load, shown: () => shown, state: load.state});
  present([example]);
  bar.put(example.settings.steps);
  new ResizeObserver(() => unroll()).observe(strips.parentElement);
  onTheme(redraw);
  return load.ready;
}

mount("pictures", HERE, ["pictures.css"], () => Promise.all([prepared(), json("words.json", HERE)]),
  (host, root, [example, words]) => build(host, root, example, words));
