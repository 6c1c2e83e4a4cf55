// The page's side of the labs: what there is to load, one worker for all labs, and the button that loads.
import {el} from "./shared.js";

const BASE = new URL(".", import.meta.url).href;

let listing, worker, count = 0;
const waiting = new Map();

/** @returns {Promise<object>} labs.json: which files each lab needs */
function manifest() {
  listing ??= fetch(new URL("labs.json", BASE)).then((response) => {
    if (!response.ok) throw new Error(`labs.json: ${response.status}`);
    return response.json();
  }).catch((error) => { listing = undefined; throw error; });
  return listing;
}

function start() {
  if (worker) return worker;
  worker = new Worker(new URL("worker.js", BASE), {type: "module", name: "labs"});
  worker.onmessage = ({data}) => {
    const job = waiting.get(data.id);
    if (!job) return;
    if (data.event === "done") job.resolve(data.result);
    else if (data.event === "error") job.reject(Object.assign(new Error(data.message), {kind: data.kind}));
    else if (data.event === "cancelled") job.reject(Object.assign(new Error("cancelled"), {kind: "cancelled"}));
    else { job.on?.(data); return; }
    waiting.delete(data.id);
  };
  // A worker that dies takes all jobs with it; the next one starts afresh.
  worker.onerror = (event) => {
    event.preventDefault();
    worker.terminate();
    worker = undefined;
    for (const job of waiting.values()) job.reject(Object.assign(new Error("The lab's worker stopped, which happens where memory is short. Load the model again."), {kind: "memory"}));
    waiting.clear();
  };
  return worker;
}

/**
 * Asks the worker.
 * @param {object} message with its op
 * @param {(event: object) => void} [on] hears progress and steps
 * @returns {{done: Promise<any>, cancel: () => void}}
 */
export function ask(message, on) {
  const id = ++count, target = start();
  const done = new Promise((resolve, reject) => waiting.set(id, {resolve, reject, on}));
  target.postMessage({...message, id});
  return {done, cancel: () => target.postMessage({op: "cancel", target: id, id: 0})};
}

/** Bytes as a reader counts them. */
const megabytes = (bytes) => `${bytes < 9.95e6 ? (bytes / 1e6).toFixed(1) : Math.round(bytes / 1e6)} MB`;

/** @param {string} lab @returns {Promise<boolean>} whether this site was built with the lab's model */
export const offered = async (lab) => lab in (await manifest()).labs;

/** The files of a lab, each with the name that a sentence may call it by. */
async function filesOf(lab) {
  const {labs} = await manifest();
  return Object.fromEntries(Object.entries(labs[lab].files).map(([key, file]) => [key, {...file, name: key}]));
}

/**
 * The control that loads a lab's model: "Load (48 MB)", a bar in bytes, then nothing but "Free the space". A lab may
 * move its button (`.bk-lab-main`) to where its own will stand.
 * @param {string} lab
 * @param {{loaded: () => void, say: (text: string) => void}} told called when the model is there; spoken words
 * @returns {{node: HTMLElement, load: () => Promise<void>, reset: () => Promise<void>, ready: Promise<void>, state: () => string, kept: () => boolean}}
 */
export function loader(lab, told) {
  const node = el("div", "bk-lab-load"), button = el("button", "bk-lab-main", "Load", {type: "button"});
  const bar = el("progress", "bk-lab-progress", null, {max: 1, value: 0, "aria-label": "Loading the model"}), words = el("p", "bkv-note");
  const stop = el("button", "bkv-link", "Stop", {type: "button"}), away = el("button", "bkv-link", "Free the space", {type: "button"});
  let state = "idle", job, files, total = 0;
  bar.hidden = stop.hidden = away.hidden = true;
  node.append(button, bar, stop, words, away);

  async function look() {
    try {
      files = await filesOf(lab);
      total = Object.values(files).reduce((sum, file) => sum + file.bytes, 0);
      const kept = await ask({op: "kept", files: Object.values(files), base: BASE}).done;
      button.textContent = kept ? "Start" : `Load (${megabytes(total)})`;
      words.textContent = kept
        ? `The model is kept in your browser (${megabytes(total)}); nothing is transferred.`
        : "Once; then it is kept in your browser. It runs here on your machine: nothing you type leaves it.";
      away.hidden = !kept;
      node.dataset.kept = String(kept);
    } catch { fail("The list of files did not come. Is the connection there? Reload this page to try again."); }
  }
  function fail(text) {
    words.textContent = text;
    node.dataset.trouble = "true";
    told.say(text);
  }
  async function load() {
    if (state === "loading" || state === "ready") return;
    state = "loading";
    delete node.dataset.trouble;
    button.hidden = away.hidden = true;
    bar.hidden = stop.hidden = false;
    bar.value = 0;
    words.textContent = "Loading …";
    told.say(`Loading ${megabytes(total)}`);
    try {
      files ??= await filesOf(lab);
      job = ask({op: "load", lab, files, base: BASE}, ({event, received, total: all}) => {
        if (event !== "progress") return;
        bar.value = received / all;
        words.textContent = received < all ? `${(received / 1e6).toFixed(1)} of ${megabytes(all)}` : "All here; starting …";
      });
      const {note} = await job.done;
      // What an earlier version of this site has kept is of no more use.
      manifest().then(({labs}) => ask({op: "tidy", files: Object.values(labs).flatMap((one) => Object.values(one.files)), base: BASE}).done).catch(() => {});
      state = "ready";
      bar.hidden = stop.hidden = true;
      words.textContent = note;
      words.hidden = !note;
      away.hidden = false;
      node.dataset.ready = "true";
      told.loaded();
    } catch (error) {
      state = "idle";
      bar.hidden = stop.hidden = true;
      button.hidden = false;
      await look();
      if (error.kind === "cancelled") words.textContent = "Stopped. What has arrived in full is kept.";
      else fail(error.message);
    }
  }
  button.onclick = load;
  stop.onclick = () => job?.cancel();
  away.onclick = async () => {
    await ask({op: "free"}).done;
    if (state === "ready") { words.hidden = false; words.textContent = "Freed. The model stays until you leave this page."; away.hidden = true; } else await look();
    told.say(words.textContent);
  };
  function reset() { state = "idle"; button.hidden = words.hidden = false; delete node.dataset.ready; return look(); }
  const ready = look();
  return {node, load, reset, ready, state: () => state, kept: () => node.dataset.kept === "true"};
}
