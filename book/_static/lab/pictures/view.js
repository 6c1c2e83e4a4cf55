// One run on the page: the picture that is expected, what the sampler holds, the words and where each of them looks.
import {el, percent as share} from "../shared.js";

const percent = (value) => (share(value) || "0 %").replace(" ", "\u00a0");

/** A run as the page keeps it. Frames are filled while it goes on; the last one is the finished picture. */
export class Run {
  constructor(settings, {words = [], last = 0, places = 0, length = 0, side = 1} = {}) {
    Object.assign(this, {settings, words, last, places, length, side, frames: [], looks: [], times: [], seconds: 0, finished: false});
  }

  /** The nearest moment, at or before `index`, that has this picture; else the first that has, or -1. */
  near(kind, index) {
    for (let i = Math.min(index, this.frames.length - 1); i >= 0; i--) if (this.frames[i]?.[kind]) return i;
    return this.frames.findIndex((frame) => frame?.[kind]);
  }

  nearest(kind, index) { return this.frames[this.near(kind, index)]?.[kind]; }

  put(index, pictures) { this.frames[index] = {...this.frames[index], ...pictures}; }

  /** What can be looked at: each word, and what stands before and behind them. */
  chips() {
    const words = joined(this.words).map((word) => ({...word, other: false}));
    return [{text: "beginning", first: 0, count: 1, other: true}, ...words, {text: "end and padding", first: this.last, count: this.length - this.last, other: true}];
  }

  /** Where a chip's tokens are looked for, by place, at a step: a share of all looking from 0 to 1. */
  map(chip, index) {
    const looks = this.looks[Math.min(index, this.looks.length - 1)], out = new Float32Array(this.places);
    if (looks) for (let place = 0; place < this.places; place++)
      for (let token = chip.first; token < chip.first + chip.count; token++) out[place] += looks[place * this.length + token];
    return out;
  }

  share(chip, index) { return this.map(chip, index).reduce((sum, value) => sum + value, 0) / Math.max(1, this.places); }
}

/** Pieces that a reader sees as one word ("3" and "d" of "3d") stand together. */
export function joined(words) {
  const out = [], letter = /[\p{L}\p{N}]/u;
  for (const word of words) {
    const before = out.at(-1);
    if (before && before.at + before.text.length === word.at && letter.test(before.text.at(-1)) && letter.test(word.text[0])) {
      before.text += word.text;
      before.count = word.first + word.count - before.first;
    } else out.push({...word});
  }
  return out.filter((word) => letter.test(word.text) || /\P{P}/u.test(word.text));
}

/** A map over the picture in the colour of attention: from the least that the word gets anywhere to the most. */
export function overlay(canvas, map, colour) {
  const side = Math.round(Math.sqrt(map.length)), small = new OffscreenCanvas(side, side), image = new ImageData(side, side);
  const low = Math.min(...map), span = Math.max(...map) - low || 1;
  for (let i = 0; i < map.length; i++) image.data.set([...colour, 235 * ((map[i] - low) / span) ** 1.2], 4 * i);
  small.getContext("2d").putImageData(image, 0, 0);
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(small, 0, 0, canvas.width, canvas.height);
}

/** "#e69f00" or "rgb(…)" as three numbers. */
export function colourOf(node, name) {
  const text = getComputedStyle(node).getPropertyValue(name).trim();
  const hex = /^#([0-9a-f]{6})$/i.exec(text);
  return hex ? [0, 2, 4].map((at) => Number.parseInt(hex[1].slice(at, at + 2), 16)) : (text.match(/\d+/g) || [230, 159, 0]).slice(0, 3).map(Number);
}

/**
 * The view of a run.
 * @param {Run} run
 * @param {{say: (text: string) => void, alone: boolean}} told
 */
export function view(run, told) {
  const node = el("figure", "bk-pictures-view"), now = {index: 0, chip: null, hovered: null};
  const frame = (name, caption) => {
    const figure = el("div", `bk-pictures-figure ${name}`), box = el("div", "bk-pictures-frame"), canvas = el("canvas", "bk-pictures-canvas", null, {role: "img"});
    const words = el("p", "bk-pictures-caption", caption);
    box.append(canvas);
    figure.append(box, words);
    return {figure, box, canvas, words};
  };
  const large = frame("bk-pictures-large", ""), small = frame("bk-pictures-small", "");
  const map = el("canvas", "bk-pictures-map", null, {width: 256, height: 256, "aria-hidden": "true"});
  large.box.append(map);
  const side = el("div", "bk-pictures-side"), talk = el("div"), about = el("p", "bk-pictures-about"), list = el("ul", "bk-pictures-words", null, {"aria-label": "Words of the prompt: press one to see where it is looked for"});
  const looks = el("p", "bkv-note bk-pictures-looks");
  talk.append(list, about, looks);
  side.append(small.figure, talk);
  node.append(large.figure, side);

  let chips = [], buttons = [];
  function tell(index) {
    const {prompt, negative, seed, steps, guidance, sampler} = run.settings;
    const how = `${negative ? `without “${negative}”, ` : ""}seed ${seed}, ${steps} steps, guidance ${guidance}, ${sampler === "ddim" ? "DDIM" : "Euler"}`;
    about.replaceChildren(...told.alone ? [how] : [el("q", null, prompt || "(no words)"), ` ${how}`]);
    const from = run.near("expected", index), late = from >= 0 && from !== index ? ` (of step ${from})` : "";
    const what = from === run.settings.steps ? "the finished picture" : `the picture that the network expects, x̂₀${late}`;
    large.words.textContent = what;
    small.words.textContent = index >= run.settings.steps ? "all noise is gone" : "what the sampler holds, xₜ";
    large.canvas.setAttribute("aria-label", `${what}, step ${Math.min(index, run.settings.steps)} of ${run.settings.steps}, for: ${prompt || "no words"}`);
    small.canvas.setAttribute("aria-label", small.words.textContent);
  }
  function rebuild() {
    chips = run.chips();
    now.chip = now.hovered = null;
    buttons = chips.map((chip) => {
      const button = el("button", "bk-pictures-word", chip.text, {type: "button", "aria-pressed": "false", dir: "auto"});
      if (chip.other) button.dataset.other = "";
      button.onclick = () => { now.chip = now.chip === chip ? null : chip; now.hovered = null; draw(); told.say(now.chip ? looks.textContent : "The map is off"); };
      button.onpointerenter = (event) => { if (event.pointerType === "mouse") { now.hovered = chip; draw(); } };
      button.onpointerleave = () => { now.hovered = null; draw(); };
      return button;
    });
    list.replaceChildren(...buttons.map((button) => { const item = el("li"); item.append(button); return item; }));
  }
  function paint({canvas}, image) {
    if (canvas.width !== run.side) canvas.width = canvas.height = run.side;
    if (image) canvas.getContext("2d").putImageData(image, 0, 0);
  }
  function draw() {
    const {index} = now, chip = now.hovered || now.chip, any = run.looks.length > 0;
    paint(large, run.nearest("expected", index));
    paint(small, run.nearest("held", index));
    small.figure.hidden = !run.frames.some((one) => one?.held);
    const shares = chips.map((one) => run.share(one, index)), most = Math.max(...shares) || 1;
    chips.forEach((one, i) => {
      buttons[i].style.setProperty("--share", any ? (shares[i] / most).toFixed(3) : 0);
      buttons[i].setAttribute("aria-pressed", String(one === now.chip));
    });
    if (chip && any) {
      const values = run.map(chip, index), part = run.share(chip, index);
      overlay(map, values, colourOf(node, "--bk-orange"));
      large.box.dataset.looking = "";
      looks.textContent = `“${chip.text}” gets ${percent(part)} of the attention at this step: ${percent(Math.min(...values))} where it gets least, ${percent(Math.max(...values))} where the orange is deepest.`;
    } else {
      delete large.box.dataset.looking;
      looks.textContent = any ? `The bars compare how much attention each gets at this step; “${chips.at(-1).text}” has ${percent(shares.at(-1))}. Point at a word to see where.` : "";
    }
    tell(index);
  }
  rebuild();
  return {
    node, run, draw, rebuild,
    show(index) { now.index = index; draw(); },
    press: (text) => buttons[chips.findIndex((chip) => chip.text === text)]?.click(),
    pixel: (kind, x, y) => [...(kind === "held" ? small : large).canvas.getContext("2d").getImageData(x, y, 1, 1).data],
    looking: () => "looking" in large.box.dataset,
  };
}
