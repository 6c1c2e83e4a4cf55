// What the newer viewers share: elements, a row of choices, words for numbers, and the page's theme.

const el = (tag, name, text, attributes = {}) => {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text !== undefined && text !== null) element.textContent = text;
  for (const key in attributes) element.setAttribute(key, attributes[key]);
  return element;
};
const svg = (tag, attributes = {}) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const key in attributes) element.setAttribute(key, attributes[key]);
  return element;
};
const limit = (value, low, high) => Math.max(low, Math.min(high, value));

// A token as Python cut it: runs of text, and of what needs a symbol ("w" blank, "u" unseen, "x" bytes, "c" part of).
function face(parts, name = "bkv-token") {
  const box = el("bdi", name);
  for (const [kind, text] of parts)
    if (kind === "t") box.append(text); else box.append(el("span", "bkv-" + kind, text));
  return box;
}

// A number as a share: "43 %", "<1 %", and nothing for nothing.
const percent = (share) => share <= 0 ? "" : share < 0.005 ? "<1 %" : `${Math.round(share * 100)} %`;

// Radio buttons that look like words; changed(value) is called on each choice.
function choices(label, options, value, changed) {
  const group = el("div", "bkv-views", null, {role: "radiogroup", "aria-label": label});
  const name = "view" + Math.random().toString(36).slice(2);
  for (const [key, text] of options) {
    const option = el("label", "bkv-view"), radio = el("input", null, null, {type: "radio", name, value: key});
    radio.checked = key === value;
    radio.onchange = () => changed(key);
    option.append(radio, el("span", null, text));
    group.append(option);
  }
  return group;
}

// Says a sentence to a screen reader once things have come to rest.
function speaker() {
  const node = el("p", "bkv-sr", null, {"aria-live": "polite"});
  let timer = 0;
  return {node, say(text) { clearTimeout(timer); timer = setTimeout(() => { node.textContent = text; }, 350); }};
}

// Calls back when the page turns light or dark; canvases hold colours that no style sheet reaches.
function onTheme(redraw) {
  const watcher = new MutationObserver(redraw);
  for (const node of [document.documentElement, document.body])
    watcher.observe(node, {attributes: true, attributeFilter: ["class", "theme", "data-theme", "data-jp-theme-light"]});
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}

// A play button, a slider from 0 to `last` and words for where it stands. `show(step)` is called on every move (between
// whole steps, too, unless motion is unwelcome), `tell()` once it rests. `put` moves without telling, for the start.
function player(host, last, words, show, tell, seconds = 6) {
  const node = el("div", "bkv-bar"), play = el("button", "bkv-play", "Play", {type: "button"}), where = el("span", "bkv-where");
  const slider = el("input", null, null, {type: "range", min: 0, max: last, step: 1, "aria-label": "Step"});
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  let step = 0, playing = false, frame = 0, timer = 0;
  node.append(play, slider, where);
  function put(value) {
    step = limit(value, 0, last);
    slider.value = Math.round(step);
    where.textContent = words(Math.round(step));
    slider.setAttribute("aria-valuetext", where.textContent);
    play.textContent = playing ? "Pause" : step >= last ? "Play again" : "Play";
    show(step);
  }
  function go(value) { playing = false; cancelAnimationFrame(frame); clearTimeout(timer); put(Math.round(value)); tell(); }
  function start() {
    if (!last) return;
    playing = true;
    put(step >= last ? 0 : step);
    let before = performance.now();
    const move = (time) => {
      const next = still.matches ? step + 1 : step + Math.max(0, time - before) * last / (1000 * seconds);
      before = time;
      if (next >= last || !host.isConnected) go(last); else { put(next); again(); }
    };
    const again = () => { if (still.matches) timer = setTimeout(move, 400); else frame = requestAnimationFrame(move); };
    again();
  }
  play.onclick = () => playing ? go(step) : start();
  slider.oninput = () => go(Number(slider.value));
  return {node, go, put};
}
