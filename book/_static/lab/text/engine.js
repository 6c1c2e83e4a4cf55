// pocket-gpt2 in the worker: what could follow a text, how it goes on, and where its tokens look.
import {Tokenizer} from "../bpe.js";
import {tensors} from "../safetensors.js";
import {GPT2} from "./gpt2.js";
import {draw, warp} from "./sampling.js";
import {parts} from "./weights.js";

/** A text that is too long loses its first tokens, as many at once, so that some more can be written before it loses others. */
const LOSS = 55;
const LOOKING = 32, EVERY = 4;

export async function start(files) {
  const config = files.json("config.json"), tokenizer = new Tokenizer(files.json("tokenizer.json"));
  const model = new GPT2(parts(tensors(files.take("model.safetensors"))), config.n_head);
  const most = config.n_positions, begin = config.bos_token_id;
  let read = [], states = [];

  /** The ids of a text: the beginning, what was typed, what was written; of a long one only the end. */
  function idsOf({typed, written}) {
    const given = tokenizer.encode(typed), all = [...given, ...written];
    const lost = LOSS * Math.ceil(Math.max(0, all.length - (most - 1)) / LOSS);
    return {ids: [begin, ...all.slice(lost)], lost, typed: 1 + Math.max(0, given.length - lost)};
  }

  /** Lets the model read what it has not read of these, and returns the logits behind the last. */
  async function logitsOf(ids, job) {
    let same = 0;
    while (same < ids.length && ids[same] === read[same]) same++;
    model.forget(same);
    read = read.slice(0, same);
    states = states.slice(0, same);
    for (const id of ids.slice(same)) {
      states.push(model.step(id));
      read.push(id);
      if (read.length % EVERY === 0) await job.pause();
    }
    return model.scores(states[ids.length - 1]);
  }

  /** What the model makes of a text: {ids, typed (how many of them), lost, logits, most}. */
  async function next(text, job) {
    const found = idsOf(text);
    return {...found, most, logits: await logitsOf(found.ids, job)};
  }

  /** Writes at most `count` tokens: a step {token} for each; in the end what `next` says, {seconds, fresh, ended}. */
  async function write({count, setting, typed, written}, job) {
    const began = performance.now(), fresh = [];
    const text = () => ({typed, written: [...written, ...fresh]});
    while (fresh.length < count && fresh.at(-1) !== config.eos_token_id) {
      const {ids, logits} = await next(text(), job), id = draw(warp(logits, ids, setting).shares, Math.random());
      fresh.push(id);
      job.step({token: id});
      await job.pause();
    }
    const seconds = (performance.now() - began) / 1000;
    return {...await next(text(), job), seconds, fresh: fresh.length, ended: fresh.at(-1) === config.eos_token_id};
  }

  /**
   * Where each of the last tokens looks, in every layer and head, a byte for a share, keys up to the query alone. What
   * lies further back is one token, the first.
   */
  async function look(text, job) {
    const {ids} = idsOf(text);
    await logitsOf(ids, job);
    const earlier = Math.max(1, ids.length - LOOKING + 1), codes = [];
    for (const layer of model.cache)
      for (let head = 0; head < config.n_head; head++) {
        codes.push(255);
        for (const {shares} of layer.slice(earlier)) {
          const row = shares[head], sum = row.slice(0, earlier).reduce((one, other) => one + other, 0);
          for (const share of [sum, ...row.slice(earlier)]) codes.push(Math.round(255 * share));
        }
      }
    return {ids: ids.slice(earlier), earlier, layers: config.n_layer, heads: config.n_head, codes: Uint8Array.from(codes)};
  }

  // The first tokens are slow, while the browser still compiles: better now than in the reader's first text.
  for (let i = 0; i < 24; i++) model.scores(model.step(begin));
  model.forget(0);

  const vocabulary = () => ({pieces: tokenizer.pieces.map((_, id) => tokenizer.bytes(id)), begin, end: config.eos_token_id});
  return {run: write, calls: {next, look, vocabulary}};
}
