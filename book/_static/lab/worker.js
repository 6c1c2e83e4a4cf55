// The one worker of a page: it loads labs and runs their engines, one job at a time.
//
// A message has an id and an op; every answer repeats the id.
//   load   {lab, files, base}       -> progress {received, total} …, done {note}
//   run    {lab, settings}          -> step {…} …, done {…}        as the lab's engine says
//   call   {lab, name, settings}    -> done {…}                    a question to the engine
//   cancel {target}                 -> the job `target` ends with `cancelled`
//   kept   {files, base}            -> done: whether all is in the browser's cache
//   tidy   {files, base}            -> done: the cache holds no others
//   free   {}                       -> done: the cache is empty
// What goes wrong: error {kind, message}, a sentence.
import {free, get, kept, LabError, tidy} from "./store.js";

const engines = new Map(), jobs = new Map();
let line = Promise.resolve();

class Cancelled extends Error {}

/** Lets messages in between two steps of a job. */
const breathe = () => new Promise((resolve) => { const {port1, port2} = new MessageChannel(); port2.onmessage = () => { port2.close(); resolve(); }; port1.postMessage(0); });

function job(id) {
  const abort = new AbortController();
  const self = {
    id,
    signal: abort.signal,
    cancel: () => abort.abort(new Cancelled()),
    say: (event, fields = {}, transfer = []) => postMessage({id, event, ...fields}, transfer),
    step: (fields, transfer) => self.say("step", fields, transfer),
    async pause() { await breathe(); if (abort.signal.aborted) throw new Cancelled(); },
  };
  return self;
}

/** The files of a lab as its engine sees them; `take` gives a file away, so that its memory can be freed. */
function shelf(bytes) {
  const text = (key) => new TextDecoder().decode(bytes.get(key));
  return {
    take(key) { const one = bytes.get(key); bytes.delete(key); return one; },
    json: (key) => JSON.parse(text(key)),
  };
}

async function load({lab, files, base}, self) {
  if (engines.has(lab)) return {note: ""};
  const bytes = new Map(), fetched = Object.entries(files);
  const total = fetched.reduce((sum, [, file]) => sum + file.bytes, 0);
  let received = 0, said = 0, note = "";
  const watch = {signal: self.signal, note: (text) => { note = text; },
    received(count) {
      received += count;
      const now = performance.now();
      if (now - said > 60 || received >= total) { said = now; self.say("progress", {received, total}); }
    }};
  for (const [key, file] of fetched) {
    bytes.set(key, await get(file, base, watch));
    await self.pause();
  }
  self.say("progress", {received: total, total});
  const {start} = await import(`./${lab}/engine.js`);
  engines.set(lab, await start(shelf(bytes)));
  return {note};
}

function engine(lab) {
  const found = engines.get(lab);
  if (!found) throw new LabError("unloaded", "The model is not loaded: press the button that loads it.");
  return found;
}

const operations = {
  load,
  run: ({lab, settings}, self) => engine(lab).run(settings, self),
  call: ({lab, name, settings}, self) => engine(lab).calls[name](settings, self),
  kept: ({files, base}) => kept(files, base),
  tidy: ({files, base}) => tidy(files, base),
  free: () => free(),
};

async function perform(message, self) {
  try {
    if (self.signal.aborted) throw new Cancelled();
    const result = await operations[message.op](message, self);
    self.say("done", {result});
  } catch (error) {
    if (error instanceof Cancelled || self.signal.aborted) self.say("cancelled");
    else {
      const memory = error instanceof RangeError || /out of memory|allocation/i.test(String(error));
      const kind = error.kind || (memory ? "memory" : "other");
      const sentence = error instanceof LabError ? error.message
        : memory ? "There is not enough memory here for the model: close other pages, and try again."
          : `Something went wrong that the lab did not foresee: ${String(error?.message || error).slice(0, 200)}`;
      self.say("error", {kind, message: sentence});
    }
  } finally { jobs.delete(message.id); }
}

self.onmessage = ({data: message}) => {
  if (message.op === "cancel") { jobs.get(message.target)?.cancel(); return; }
  const one = job(message.id);
  jobs.set(message.id, one);
  // A look into the cache need not wait for a picture.
  if (message.op === "kept" || message.op === "free") perform(message, one);
  else line = line.then(() => perform(message, one));
};
