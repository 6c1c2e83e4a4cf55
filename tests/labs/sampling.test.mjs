import assert from "node:assert/strict";
import test from "node:test";
import {floats, golden, modules} from "./golden.mjs";

const {draw, entropy, minP, OWN, penalise, softmax, temper, top, topK, topP, warp} = await import(new URL("text/sampling.js", modules));
const rules = {penalty: penalise, temperature: (scores, _, value) => temper(scores, value), topK: (scores, _, value) => topK(scores, value), topP: (scores, _, value) => topP(scores, value), minP: (scores, _, value) => minP(scores, value)};
const close = (one, other) => one === other || Math.abs(one - other) <= 1e-6 * Math.max(1, Math.abs(other));

for (const {rule, value, ids, logits, scores} of golden.rules)
  test(`${rule} ${value}`, () => {
    const found = rules[rule](floats(logits), ids, value), wanted = floats(scores);
    for (let id = 0; id < wanted.length; id++) assert.ok(close(found[id], wanted[id]), `token ${id}: ${found[id]} and ${wanted[id]}`);
  });

for (const {setting, ids, logits, shares} of golden.chains)
  test(JSON.stringify(setting), () => {
    const found = warp(floats(logits), ids, {...OWN, ...setting}), wanted = floats(shares);
    for (let id = 0; id < wanted.length; id++) {
      assert.equal(found.shares[id] > 0, wanted[id] > 0, `token ${id}`);
      assert.ok(Math.abs(found.shares[id] - wanted[id]) < 1e-6);
    }
    const cut = Object.values(found.cut).reduce((sum, count) => sum + count, 0);
    assert.equal(cut, wanted.filter((share) => share === 0).length);
    assert.equal([...wanted.keys()].filter(found.cutBy).length, cut);
  });

test("a draw falls where the number says", () => {
  const shares = Float64Array.of(0, 0.5, 0, 0.25, 0.25, 0);
  assert.deepEqual([0, 0.49, 0.51, 0.74, 0.76, 0.999999, 1].map((number) => draw(shares, number)), [1, 1, 3, 3, 4, 4, 4]);
  let count = 0;
  for (let i = 0; i < 10000; i++) count += draw(shares, Math.random()) === 1;
  assert.ok(Math.abs(count - 5000) < 300, `${count}`);
});

test("entropy and order", () => {
  assert.equal(entropy(Float64Array.of(0.5, 0.25, 0.25, 0)), 1.5);
  assert.deepEqual(top(Float64Array.of(0.1, 0.4, 0.1, 0.4), 3), [1, 3, 0]);
  assert.deepEqual(top(Float64Array.of(0.1, 0.4), 5), [1, 0]);
  assert.ok(Math.abs(softmax(Float32Array.of(1, 2, -Infinity)).reduce((sum, share) => sum + share) - 1) < 1e-12);
});
