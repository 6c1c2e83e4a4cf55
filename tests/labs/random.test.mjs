import assert from "node:assert/strict";
import test from "node:test";
import {floats, golden, modules} from "./golden.mjs";

const {randn, Twister} = await import(new URL("pictures/random.js", modules));

test("the twister's first numbers are those of the generator's authors", () => {
  const twister = new Twister(5489);
  const first = [twister.bits(), twister.bits(), twister.bits()];
  assert.deepEqual(first, [3499211612, 581869302, 3890346734]);
  for (let i = 3; i < 9999; i++) twister.bits();
  assert.equal(twister.bits(), 4123659995); // the 10,000th, as the C++ standard names it
});

test("normal numbers are torch's", () => {
  let equal = 0, all = 0, most = 0;
  for (const {count, seed, values} of golden.draws) {
    const wanted = floats(values), found = randn(count, seed);
    assert.equal(found.length, wanted.length);
    for (let i = 0; i < count; i++) {
      all++;
      if (Object.is(found[i], wanted[i])) equal++;
      most = Math.max(most, Math.abs(found[i] - wanted[i]));
    }
  }
  console.log(`${equal} of ${all} equal to the last bit, the others at most ${most} apart`);
  assert.ok(most <= 1e-6, `${most}`);
  if (golden.exact) assert.equal(equal, all);
});

test("fewer than 16 are refused", () => assert.throws(() => randn(15, 0), RangeError));
