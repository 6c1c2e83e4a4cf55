// pocket-diffusion in the worker: a sentence becomes vectors, noise becomes a picture, step by step.
import {Tokenizer} from "../bpe.js";
import {network} from "../runtime.js";
import {LabError} from "../store.js";
import {randn} from "./random.js";
import {SAMPLERS, sampler} from "./schedulers.js";
import {seedTrouble} from "./settings.js";

const MOST_STEPS = 100, PATIENCE = 2000;

/** The picture as a canvas takes it: RGBA, from channels that go from -1 to 1. */
function pixels(picture, side) {
  const out = new Uint8ClampedArray(4 * side * side), plane = side * side;
  for (let i = 0; i < plane; i++) {
    for (let channel = 0; channel < 3; channel++) out[4 * i + channel] = 255 * (picture[channel * plane + i] / 2 + 0.5);
    out[4 * i + 3] = 255;
  }
  return out;
}

export async function start(files) {
  const {graphs} = files.json("graphs.json"), schedule = files.json("scheduler.json");
  const tokenizer = new Tokenizer(files.json("tokenizer.json")), settings = files.json("tokenizer_config.json");
  const length = settings.model_max_length, [begin, end, pad] = ["bos_token", "eos_token", "pad_token"].map((key) => tokenizer.added.get(settings[key]));
  const latent = graphs.unet.inputs.latents.slice(1), places = graphs.unet.outputs.attention[0], side = graphs.decoder.outputs.picture.at(-1);
  const size = latent.reduce((a, b) => a * b, 1);
  // One after the other: each gives its file's memory back before the next is read.
  const encode = await network(files, "text_encoder.onnx", "text_encoder.safetensors");
  const predict = await network(files, "unet.onnx", "unet.safetensors");
  const decode = await network(files, "decoder.onnx", "decoder.safetensors");

  // The first calls are slow, while the browser still compiles: better now than in the first picture.
  const zeros = (shape) => ({data: new Float32Array(shape.reduce((a, b) => a * b, 1)), shape});
  await predict({latents: zeros([2, ...latent]), time: zeros([]), words: zeros(graphs.unet.inputs.words)});
  await decode({latents: zeros([1, ...latent])});

  /** Ids begun, ended and padded, and the words that they came from; what is longer is cut off. */
  function read(text) {
    const words = [], ids = [begin];
    let lost = 0;
    for (const word of tokenizer.words(text)) {
      const room = Math.max(0, length - 1 - ids.length), kept = word.ids.slice(0, room);
      lost += word.ids.length - kept.length;
      if (kept.length) words.push({text: word.text, at: word.at, first: ids.length, count: kept.length});
      ids.push(...kept);
    }
    ids.push(end);
    const last = ids.length - 1;
    while (ids.length < length) ids.push(pad);
    return {ids, words, last, lost};
  }

  function seedOf(text) {
    const trouble = seedTrouble(text);
    if (trouble) throw new LabError("input", trouble);
    return BigInt(text);
  }

  async function draw(latents) {
    const {picture} = await decode({latents: {data: latents, shape: [1, ...latent]}});
    return picture;
  }

  /**
   * settings: prompt, negative, seed (digits), steps, guidance, sampler, film: whether every step is decoded, or a few moments of what is expected.
   * Steps: {index: -1, words, last, lost, places, length, side}; {index, time, attention, expected?, held?} each;
   * {index, finished, seconds}; then {index, expected?, held} for what was left out.
   */
  async function run({prompt, negative = "", seed, steps, guidance, sampler: name, film = true}, job) {
    if (!(name in SAMPLERS)) throw new LabError("input", `There is no sampler ${String(name).slice(0, 20)}.`);
    if (!(Number.isInteger(steps) && steps >= 1 && steps <= MOST_STEPS)) throw new LabError("input", `Steps are a whole number from 1 to ${MOST_STEPS}.`);
    if (!(guidance >= 0 && guidance <= 30)) throw new LabError("input", "Guidance is a number from 0 to 30.");
    const began = performance.now(), noise = randn(size, seedOf(String(seed))), way = sampler(name, schedule, steps);
    const wanted = read(prompt), unwanted = read(negative);
    const ids = BigInt64Array.from([...unwanted.ids, ...wanted.ids], BigInt);
    const {vectors} = await encode({ids: {type: "int64", data: ids, shape: [2, length]}});
    const words = {data: vectors, shape: [2, length, vectors.length / 2 / length]};
    let x = noise.map((value) => value * way.scale);
    job.step({index: -1, words: wanted.words, last: wanted.last, lost: wanted.lost, places, length, side});

    // Decoding takes as long as predicting: where that would try the reader's patience, some steps are left for later,
    // but seven moments are seen in any case.
    let stride = film ? 1 : Math.ceil(steps / 7);
    const later = [];
    let spent = {predicting: 0, decoding: 0, decoded: 0}, picture;
    for (let index = 0; index < steps; index++) {
      const from = performance.now(), shown = way.input(x, index), two = new Float32Array(2 * size);
      two.set(shown);
      two.set(shown, size);
      const {prediction, attention} = await predict({latents: {data: two, shape: [2, ...latent]}, time: {data: [way.times[index]], shape: []}, words});
      const output = new Float32Array(size);
      for (let i = 0; i < size; i++) output[i] = Math.fround(prediction[i] + Math.fround(guidance * Math.fround(prediction[size + i] - prediction[i])));
      const {x: next, expected} = way.step(x, output, index);
      spent.predicting += performance.now() - from;
      const step = {index, time: way.times[index], attention: attention.slice()}, moved = [step.attention.buffer];
      if (index % stride === 0 || index === steps - 1) {
        const at = performance.now();
        if (index === steps - 1) picture = await draw(next);
        step.expected = pixels(index === steps - 1 ? picture : await draw(expected), side);
        moved.push(step.expected.buffer);
        if (film && index % stride === 0) { step.held = pixels(await draw(shown), side); moved.push(step.held.buffer); }
        const count = film && index % stride === 0 ? 2 : 1;
        spent.decoding += performance.now() - at;
        spent.decoded += count;
        if (film && index === 0) stride = Math.min(Math.ceil(steps / 7), Math.max(1, Math.ceil(2 * steps * (performance.now() - at) / count / PATIENCE)));
      }
      if (film && !step.held) later.push({index, shown, expected: step.expected ? null : expected});
      job.step(step, moved);
      x = next;
      await job.pause();
    }
    const seconds = (performance.now() - began) / 1000;
    job.step({index: steps, finished: true, seconds});
    for (const {index, shown, expected} of later) {
      const step = {index};
      if (expected) step.expected = pixels(await draw(expected), side);
      step.held = pixels(await draw(shown), side);
      job.step(step);
      await job.pause();
    }
    spent = {step: spent.predicting / steps, decode: spent.decoding / spent.decoded};
    return {seconds, spent, side, picture: picture.slice()};
  }

  return {run, calls: {read}};
}
