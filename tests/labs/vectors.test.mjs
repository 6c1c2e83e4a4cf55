import assert from "node:assert/strict";
import test from "node:test";
import {apart, floats, golden, modules} from "./golden.mjs";

const {cosine, flatten, unpack} = await import(new URL("search/vectors.js", modules));
const {fromAddress, LIMITS, lines, toAddress} = await import(new URL("search/settings.js", modules));

for (const {name, count, vectors, points, shares} of golden.maps)
  test(`the map of ${name} is NumPy's`, () => {
    const all = floats(vectors), width = all.length / count;
    const found = flatten(Array.from({length: count}, (_, i) => all.subarray(i * width, (i + 1) * width)));
    const wanted = floats(points);
    for (const axis of [0, 1]) {
      const ours = found.points.map((point) => point[axis]), theirs = ours.map((_, i) => wanted[2 * i + axis]);
      // A direction may point either way, and one without extent is nothing but rounding.
      const flipped = cosine(ours, theirs) < 0 ? theirs.map((number) => -number) : theirs;
      if (shares[axis] > 1e-6) assert.ok(apart(ours, flipped) < 1e-4, `axis ${axis}: ${apart(ours, flipped)}`);
      assert.ok(Math.abs(found.shares[axis] - shares[axis]) < 1e-5, `${found.shares} ${shares}`);
    }
  });

test("a map of nothing, of one and of equal texts", () => {
  assert.deepEqual(flatten([]), {points: [], shares: [0, 0]});
  const one = Float32Array.of(0.6, 0.8);
  for (const same of [[one], [one, one, one]]) {
    const {points, shares} = flatten(same);
    assert.deepEqual(shares, [0, 0]);
    assert.ok(points.flat().every((number) => Math.abs(number) < 1e-6));
  }
});

test("vectors come out of eight bits as NumPy sees them", () => {
  const {bytes, count, wanted} = golden.packed, all = floats(wanted), width = all.length / count;
  const shelf = unpack(new Uint8Array(Buffer.from(bytes, "base64")), count);
  for (let i = 0; i < count; i++) assert.deepEqual(shelf(i), all.slice(i * width, (i + 1) * width));
  assert.throws(() => unpack(new Uint8Array(7), 3), /do not hold/);
});

test("lines become sentences", () => {
  assert.deepEqual(lines(" one \r\n\ntwo\none\u2028three\t\n"), ["one", "two", "three"]);
  assert.deepEqual(lines(" \n\t"), []);
  assert.equal(lines("x".repeat(9000))[0].length, LIMITS.signs);
  assert.deepEqual(lines("<b>bold</b>\nمرحبا\n🍕"), ["<b>bold</b>", "مرحبا", "🍕"]);
});

test("an address gives back what it was made of", () => {
  const shown = {sentences: ["a & b = 50% <b>#?", "ü, 🍄", "مرحبا"], chosen: 2, question: "what? & why"};
  assert.deepEqual(fromAddress(toAddress(shown)), shown);
});

test("whatever an address says becomes usable", () => {
  assert.equal(fromAddress("#what-you-see"), null);
  assert.equal(fromAddress(""), null);
  assert.deepEqual(fromAddress("#sentences=&chosen=3"), {sentences: null, chosen: 0, question: ""});
  assert.deepEqual(fromAddress("#sentences=a%0Ab&chosen=-1e9"), {sentences: ["a", "b"], chosen: 0, question: ""});
  assert.deepEqual(fromAddress("#question=%20x%20&chosen=nonsense"), {sentences: null, chosen: 0, question: "x"});
  assert.equal(fromAddress(`#sentences=${Array.from({length: 99}, (_, i) => i).join("%0A")}`).sentences.length, LIMITS.sentences);
});
