import assert from "node:assert/strict";
import {readFileSync} from "node:fs";
import test from "node:test";
import {golden, modules} from "./golden.mjs";

const {start} = await import(new URL("text/engine.js", modules));
const {fromAddress, toAddress} = await import(new URL("text/settings.js", modules));
const {OWN} = await import(new URL("text/sampling.js", modules));
const read = (name) => readFileSync(`${golden.model}/${name}`);
const engine = await start({json: (name) => JSON.parse(read(name)), take: (name) => new Uint8Array(read(name))});
const job = () => ({steps: [], step(fields) { this.steps.push(fields); }, async pause() { await null; }});
const likeliest = ({logits}) => logits.indexOf(Math.max(...logits));

test("it goes on as the library's greedy search does", async () => {
  for (const {typed, ids, written} of golden.greedy) {
    const one = job(), found = await engine.run({typed, written: [], count: written.length, setting: {...OWN, topK: 1}}, one);
    assert.deepEqual(one.steps.map(({token}) => token), written);
    assert.deepEqual(found.ids, [...ids, ...written]);
    assert.equal(found.fresh, written.length);
    assert.equal(found.typed, ids.length);
  }
});

test("a branch, and the text again", async () => {
  const text = {typed: "The fox said", written: []}, before = await engine.calls.next(text, job());
  await engine.calls.next({...text, written: [likeliest(before), 17, 300]}, job());
  assert.deepEqual((await engine.calls.next(text, job())).logits, before.logits);
});

test("no text is a text", async () => {
  const found = await engine.calls.next({typed: "", written: []}, job());
  assert.deepEqual(found.ids, [0]);
  assert.equal(found.logits.length, 6144);
});

test("a long text is read from behind, and can be gone on with", async () => {
  const typed = "The old king walked home. ".repeat(60), found = await engine.calls.next({typed, written: []}, job());
  assert.ok(found.lost > 0 && found.lost % 55 === 0 && found.ids.length > 200 && found.ids.length <= 256, `${found.lost}`);
  const all = found.lost + found.ids.length - 1, one = job();
  const end = await engine.run({typed, written: [], count: 60, setting: {...OWN, topK: 3}}, one);
  assert.equal(end.fresh, one.steps.length);
  assert.ok(end.ended || end.fresh === 60);
  assert.equal(end.lost + end.ids.length - 1, all + end.fresh);
});

test("what is stopped leaves the model in order", async () => {
  const typed = "A long way from home there lived a raven who had lost his ring in the snow.", text = {typed, written: []};
  await assert.rejects(engine.calls.next(text, {async pause() { throw new Error("cancelled"); }}), /cancelled/);
  const found = await engine.calls.next(text, job()), other = await engine.calls.next({typed: "Other", written: []}, job());
  assert.notDeepEqual(found.logits, other.logits);
  assert.deepEqual((await engine.calls.next(text, job())).logits, found.logits);
});

test("where tokens look: a byte each, and what lies far back is one token", async () => {
  for (const typed of ["The fox met the raven.", "The fox met the raven and the frog. ".repeat(9), ""]) {
    const {ids, earlier, layers, heads, codes} = await engine.calls.look({typed, written: []}, job()), n = ids.length + 1;
    assert.ok(n <= 32 && earlier >= 1);
    assert.equal(codes.length, layers * heads * n * (n + 1) / 2);
    for (let row = 0, at = 0; at < codes.length; row = (row + 1) % n) {
      const sum = codes.subarray(at, at + row + 1).reduce((one, other) => one + other, 0);
      assert.ok(Math.abs(sum - 255) <= row + 1, `${sum}`);
      at += row + 1;
    }
  }
});

test("layer 1, head 0 looks at the beginning more than any other head, as the page says", async () => {
  for (const typed of ["Once upon a time there was a little", 'The raven said: "Where is my ring?" Nobody answered, and the snow fell on.', "Anna and Tom went to the forest. There Tom met a fox, and"]) {
    const {ids, heads, codes} = await engine.calls.look({typed, written: []}, job()), n = ids.length + 1, size = n * (n + 1) / 2, firsts = [];
    for (let map = 0; map < codes.length; map += size) {
      let sum = 0;
      for (let query = 1; query < n; query++) sum += codes[map + query * (query + 1) / 2];
      firsts.push(sum);
    }
    assert.equal(firsts.indexOf(Math.max(...firsts)), 1 * heads + 0, typed);
  }
});

test("an address holds the text and what was written", () => {
  const state = {typed: "a & b #ü 🦊\n", written: [5, 6143], setting: {...OWN, temperature: 0.7, topK: 40}};
  assert.deepEqual(fromAddress(toAddress(state), 6144), state);
  assert.equal(toAddress({typed: "", written: [], setting: OWN}), "#text=");
  assert.equal(fromAddress("#prompt=x", 6144), null);
  for (const hash of ["#text=x&written=6144", "#text=x&written=-1", "#text=x&written=a.b", "#text=x&written=1.5.2"])
    assert.deepEqual(fromAddress(hash, 6144).written, hash.endsWith("1.5.2") ? [1, 5, 2] : []);
  const wild = fromAddress(`#text=${"y".repeat(9000)}&temperature=999&topK=1e9&topP=abc&minP=-4&penalty=`, 6144);
  assert.equal(wild.typed.length, 5000);
  assert.deepEqual(wild.setting, {temperature: 2, topK: 100, topP: 1, minP: 0, penalty: 1});
});
