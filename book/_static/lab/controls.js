// What the pages of the labs are put together from: sliders, fields, settings that fold on a phone, links, and the start.
import {el} from "./shared.js";

export const narrow = matchMedia("(max-width: 600px)");

/** A file beside a lab's page, as JSON. */
export async function json(name, base) {
  const response = await fetch(new URL(name, base));
  if (!response.ok) throw new Error(`${name}: ${response.status}`);
  return response.json();
}

/** A slider with its name and value above it. */
export function dial(name, [low, high], step, value, {format = String, changed = () => {}} = {}) {
  const node = el("label"), words = el("span", "bk-lab-name", `${name} `), shown = el("span", "bk-lab-value", format(value));
  const input = el("input", "bk-lab-range", null, {type: "range", min: low, max: high, step, "aria-label": name});
  input.value = value;
  words.append(shown);
  node.append(words, input);
  const told = () => { shown.textContent = format(Number(input.value)); input.setAttribute("aria-valuetext", format(Number(input.value))); };
  input.oninput = () => { told(); changed(); };
  told();
  return {node, get: () => Number(input.value), set: (to) => { input.value = to; told(); }};
}

/** A line of text, or several, with its name above it. */
export function field(name, className = "", attributes = {}, tag = "input") {
  const node = el("label"), input = el(tag, `bk-lab-input ${className}`, null, {autocomplete: "off", spellcheck: "false", dir: "auto", ...(tag === "input" ? {type: "text"} : {}), ...attributes});
  node.append(el("span", "bk-lab-name", name), input);
  return {node, input};
}

/**
 * Settings that are folded on a phone, so that what they change stays in sight; `words` says them in a line.
 * @returns {{node: HTMLElement, sum: () => void}}
 */
export function fold(words, ...rows) {
  const node = el("details", "bk-lab-settings"), summary = el("summary", "bk-lab-summary"), sum = () => { summary.textContent = words(); };
  node.append(summary, ...rows);
  node.open = !narrow.matches;
  node.addEventListener("toggle", sum);
  narrow.addEventListener("change", () => { node.open = !narrow.matches; });
  return {node, sum};
}

/** Puts the state into the address and onto the clipboard. @returns {Promise<string>} what to tell the reader */
export async function share(hash, holds) {
  const address = new URL(hash, location.href);
  history.replaceState(null, "", address.hash);
  try { await navigator.clipboard.writeText(address.href); return `Copied: the link holds ${holds}, and nothing about you.`; }
  catch { return "The link stands in the address bar."; }
}

/**
 * Brings the elements of a lab to life: what stood in them before stays until all is there, and where it cannot start.
 * @param {string} lab its name @param {string[]} sheets its style sheets, relative to `base`
 * @param {() => Promise<any>} prepare what was made beforehand
 * @param {(host: HTMLElement, root: ShadowRoot, prepared: any) => Promise<void>} build builds at once; resolved when all is told
 */
export function mount(lab, base, sheets, prepare, build) {
  async function start(host) {
    const prepared = await prepare();
    const root = host.attachShadow({mode: "open"}), links = ["../shared.css", "../lab.css", ...sheets].map((path) => el("link", null, null, {rel: "stylesheet", href: new URL(path, base).href}));
    const arrived = Promise.all(links.map((link) => new Promise((resolve) => { link.onload = link.onerror = resolve; })));
    root.append(...links, el("slot"));
    await arrived;
    const listed = build(host, root, prepared);
    root.querySelector("slot").remove();
    await listed;
  }
  const bring = (host) => start(host).catch((error) => {
    // An error with a sentence is foreseen.
    if (!error.sentence) console.error(error);
    const note = host.querySelector(".bk-lab-note");
    if (note) note.textContent = error.sentence ?? "The lab could not start in this browser; what stands above was made beforehand.";
  });
  // A lab in the midst of a chapter begins when the reader comes near.
  const near = new IntersectionObserver((seen) => {
    for (const {target, isIntersecting} of seen)
      if (isIntersecting) { near.unobserve(target); target.bookkit.ready = bring(target); }
  }, {rootMargin: "400px"});
  for (const host of document.querySelectorAll(`[data-lab="${lab}"]`)) {
    host.bookkit = {};
    if ("later" in host.dataset) near.observe(host);
    else host.bookkit.ready = bring(host);
  }
}
