import assert from "node:assert/strict";
import test from "node:test";
import {modules} from "./golden.mjs";

const {accept, chance, complete, segment, unknown} = await import(new URL("pictures/words.js", modules));
const {DEFAULTS, fromAddress, seedTrouble, toAddress} = await import(new URL("pictures/settings.js", modules));

const words = {parts: [
  {name: "subject", phrases: ["a cat", "a cat face", "an octopus", "grapes", "a slice of pizza"]},
  {name: "style", phrases: ["3d style", "flat style"]},
  {name: "background", phrases: ["on a teal background", "on an orange background"]},
]};

test("the part at the caret", () => {
  assert.deepEqual(segment("a cat, 3d", 2), {begin: 0, end: 5, text: "a cat", place: 0});
  assert.deepEqual(segment("a cat, 3d", 9), {begin: 6, end: 9, text: "3d", place: 1});
  assert.deepEqual(segment("", 0), {begin: 0, end: 0, text: "", place: 0});
});

test("completion knows the part, the article and what is there already", () => {
  assert.deepEqual(complete(words, "oct", 3), ["an octopus"]);
  assert.deepEqual(complete(words, "a c", 3), ["a cat", "a cat face"]);
  assert.deepEqual(complete(words, "pizza", 5), ["a slice of pizza"]);
  assert.deepEqual(complete(words, "a cat, ", 7), ["3d style", "flat style", "on a teal background", "on an orange background"]);
  assert.deepEqual(complete(words, "a cat, 3d style, ", 17), ["on a teal background", "on an orange background"]);
  assert.deepEqual(complete(words, "a cat, 3d style, te", 19), ["on a teal background"]);
  assert.deepEqual(complete(words, "a cat, 3d style, on a teal background, ", 39), []);
  assert.deepEqual(complete(words, "<script>", 8), []);
});

test("what is taken goes to its place", () => {
  assert.deepEqual(accept(words, "oct", 3, "an octopus"), {prompt: "an octopus, ", caret: 12});
  const done = accept(words, "an octopus, 3d style, te", 24, "on a teal background");
  assert.equal(done.prompt, "an octopus, 3d style, on a teal background");
  assert.equal(accept(words, "ca, 3d style", 2, "a cat").prompt, "a cat, 3d style");
});

test("unknown words are named once", () => {
  assert.deepEqual(unknown(words, "a cat with a Zebra, zebra, 3d style"), ["zebra"]);
  assert.deepEqual(unknown(words, "🍕 قطة"), ["قطة"]);
  assert.deepEqual(unknown(words, ""), []);
});

test("a sentence by chance has one phrase of each part", () => assert.equal(chance(words, () => 0.99), "a slice of pizza, flat style, on an orange background"));

test("an address gives back the settings that it was made of", () => {
  const settings = {...DEFAULTS, prompt: "a & b = 50% <b>#?", negative: "ü, 🍄", seed: "12345678901234567890", steps: 7, guidance: 2.5, sampler: "euler"};
  assert.deepEqual(fromAddress(toAddress(settings)), settings);
});

test("whatever an address says becomes usable settings", () => {
  assert.equal(fromAddress("#what-you-see"), null);
  assert.equal(fromAddress(""), null);
  const found = fromAddress("#prompt=x&steps=1e9&guidance=nonsense&seed=-3&sampler=dice");
  assert.deepEqual(found, {...DEFAULTS, prompt: "x", negative: "", steps: 50});
  assert.equal(fromAddress("#prompt=x&steps=&guidance=0").steps, DEFAULTS.steps);
  assert.equal(fromAddress(`#prompt=${"y".repeat(9000)}`).prompt.length, 2000);
});

test("seeds", () => {
  for (const good of ["0", "7", "18446744073709551615"]) assert.equal(seedTrouble(good), "");
  for (const bad of ["", "-1", "1.5", "x", "18446744073709551616", "99999999999999999999", "123456789012345678901"]) assert.match(seedTrouble(bad), /whole number/);
});
