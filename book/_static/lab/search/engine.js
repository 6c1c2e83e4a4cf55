// MiniLM in the worker: a text becomes a vector, and a question finds passages of the book.
import {network} from "../runtime.js";
import {cosine, unpack} from "./vectors.js";
import {WordPiece} from "./wordpiece.js";

/** Tokens of a text; the library cuts off there, too. */
const LONGEST = 256;
/** Passages of the book that a question gets. */
const HITS = 5;

export async function start(files) {
  const tokenizer = new WordPiece(new TextDecoder().decode(files.take("vocab.txt")));
  const {pages, passages} = files.json("passages.json"), shelf = unpack(files.take("passages.bin"), passages.length);
  const encode = await network(files, "encoder.onnx", "encoder.safetensors");

  /** @returns {Promise<{vector: Float32Array, lost: number, unknown: number}>} how many tokens were cut off, or are unknown */
  async function read(text) {
    const {ids, lost, unknown} = tokenizer.read(text, LONGEST);
    const {vector} = await encode({ids: {type: "int64", data: BigInt64Array.from(ids, BigInt), shape: [1, ids.length]}});
    return {vector: vector.slice(), lost, unknown};
  }
  // The first call is slow, while the browser still compiles.
  await read("");

  /** settings: texts. Steps: {index, vector, lost, unknown}. @returns {Promise<{seconds: number}>} */
  async function run({texts}, job) {
    const began = performance.now();
    for (const [index, text] of texts.entries()) {
      job.step({index, ...await read(text)});
      await job.pause();
    }
    return {seconds: (performance.now() - began) / 1000};
  }

  /** The sections nearest to a question, the best passage of each. */
  async function search({question}) {
    const began = performance.now(), {vector, lost} = await read(question), best = new Map();
    const order = passages.map((_, i) => [cosine(vector, shelf(i)), i]).sort((a, b) => b[0] - a[0]);
    for (const [near, i] of order) {
      const [page, anchor, headings, text] = passages[i], [title, url] = pages[page], place = `${url}#${anchor}`;
      if (!best.has(place)) best.set(place, {place, title, headings, text, near});
      if (best.size === HITS) break;
    }
    return {hits: [...best.values()], lost, passages: passages.length, seconds: (performance.now() - began) / 1000};
  }

  return {run, calls: {search}};
}
