// Files of a lab: fetched with progress, held to their sha256, and kept in the browser for the next visit.

const NAME = "bookkit-lab";

/** A failure that a reader is told in one sentence. */
export class LabError extends Error {
  /** @param {"network"|"damaged"|"memory"|"unloaded"|"unsupported"|"input"|"other"} kind @param {string} message */
  constructor(kind, message) { super(message); this.kind = kind; }
}

/** The browser's cache, or null where there is none (plain http, private windows of some browsers). */
async function shelf() {
  try { return "caches" in globalThis ? await caches.open(NAME) : null; } catch { return null; }
}

async function sha256(bytes) {
  if (!globalThis.crypto?.subtle) return null; // only on secure pages
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Whether these are the bytes that labs.json names. */
async function whole(bytes, file) {
  if (bytes.length !== file.bytes) return false;
  const found = await sha256(bytes);
  return found === null || found === file.sha256;
}

async function read(response, file, received) {
  const bytes = new Uint8Array(file.bytes), reader = response.body.getReader();
  let at = 0;
  for (;;) {
    const {done, value} = await reader.read();
    if (done) return bytes.subarray(0, at);
    if (at + value.length > file.bytes) { await reader.cancel(); throw new LabError("damaged", "A file of the lab is longer than it should be."); }
    bytes.set(value, at);
    at += value.length;
    received(value.length);
  }
}

/**
 * One file, from the cache or from the site.
 * @param {{url: string, bytes: number, sha256: string}} file of labs.json
 * @param {string} base what the url is relative to
 * @param {{received: (count: number) => void, signal: AbortSignal, note: (text: string) => void}} job
 * @returns {Promise<Uint8Array>}
 */
export async function get(file, base, job) {
  const url = new URL(file.url, base).href, cache = await shelf();
  const kept = await cache?.match(url).catch(() => undefined);
  if (kept) {
    const bytes = new Uint8Array(await kept.arrayBuffer());
    if (await whole(bytes, file)) { job.received(bytes.length); return bytes; }
    await cache.delete(url);
  }
  let response, bytes;
  try {
    // "no-cache": a copy of the host's or the browser's that was cut off is asked for again.
    response = await fetch(url, {signal: job.signal, cache: kept ? "no-cache" : "default"});
  } catch (error) {
    if (job.signal.aborted) throw error;
    throw new LabError("network", "The site could not be reached. Is the connection there? Then press again.");
  }
  if (!response.ok) throw new LabError("network", `The site has no ${file.name} (${response.status}): it may have been renewed; reload this page.`);
  try { bytes = await read(response, file, job.received); } catch (error) {
    if (job.signal.aborted || error instanceof LabError) throw error;
    throw new LabError("network", "The connection broke off. Press again: what has arrived in full is kept.");
  }
  if (!await whole(bytes, file)) throw new LabError("damaged", `${file.name} arrived damaged, or of another version than this page. Reload the page and press again.`);
  try {
    await cache?.put(url, new Response(bytes, {headers: {"content-type": "application/octet-stream"}}));
  } catch { job.note("Your browser has no room to keep the model, so the next visit will load it again."); }
  return bytes;
}

/** @returns {Promise<boolean>} whether all these files are kept here */
export async function kept(files, base) {
  const cache = await shelf();
  if (!cache) return false;
  const found = await Promise.all(files.map((file) => cache.match(new URL(file.url, base).href).catch(() => undefined)));
  return found.every(Boolean);
}

/** Removes every file that labs have kept, those of earlier versions, too. */
export async function free() {
  if ("caches" in globalThis) await caches.delete(NAME).catch(() => false);
}

/** Files of earlier versions of the site go away once a lab has all of its new ones. */
export async function tidy(known, base) {
  const cache = await shelf(), wanted = new Set(known.map((file) => new URL(file.url, base).href));
  for (const request of await cache?.keys().catch(() => []) ?? [])
    if (!wanted.has(request.url)) await cache.delete(request);
}

/** Unpacks gzip; a host that has unpacked it on the way leaves nothing to do. */
export async function unpacked(bytes) {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
