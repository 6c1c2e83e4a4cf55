import assert from "node:assert/strict";
import {readFileSync} from "node:fs";
import test from "node:test";
import {floats, golden, modules} from "./golden.mjs";

const {GPT2} = await import(new URL("text/gpt2.js", modules));
const {parts} = await import(new URL("text/weights.js", modules));
const {tensors} = await import(new URL("safetensors.js", modules));
const bytes = (path) => new Uint8Array(readFileSync(path));

for (const {name, file, heads, texts} of golden.models) {
  const model = new GPT2(parts(tensors(bytes(file))), heads);
  for (const {ids, logits, attention} of texts)
    test(`${name}, ${ids.length} tokens`, () => {
      const wanted = floats(logits), size = wanted.length / ids.length, looks = attention && floats(attention), n = ids.length;
      // Half of it, something else, and then the text from where the two part: what the cache is for.
      model.forget(0);
      for (const id of ids.slice(0, n >> 1)) model.step(id);
      model.step(ids[0]);
      model.forget(n >> 1);
      const states = ids.slice(n >> 1).map((id) => model.step(id));
      let most = 0;
      states.forEach((state, i) => { model.scores(state).forEach((score, id) => { most = Math.max(most, Math.abs(score - wanted[((n >> 1) + i) * size + id])); }); });
      console.log(`${name}: ${n} tokens, logits at most ${most.toExponential(1)} apart`);
      assert.ok(most < golden.tolerance, `${most}`);
      if (!looks) return;
      model.cache.forEach((layer, l) => { layer.forEach(({shares}, query) => { shares.forEach((row, head) => { row.forEach((share, key) => {
        assert.ok(Math.abs(share - looks[((l * heads + head) * n + query) * n + key]) < 1e-5);
      }); }); }); });
    });
}

test("weights that are cut off, or of another kind, are refused", () => {
  const whole = bytes(golden.models[0].file);
  assert.throws(() => tensors(whole.subarray(0, whole.length - 1000)), /cut off in/);
  assert.throws(() => tensors(whole.subarray(0, 100)), /header is cut off/);
  assert.throws(() => tensors(whole.subarray(0, 4)), /header is cut off/);
  const header = new TextEncoder().encode('{"a":{"dtype":"I8","shape":[0],"data_offsets":[0,0]}}'), file = new Uint8Array(8 + header.length);
  file[0] = header.length;
  file.set(header, 8);
  assert.throws(() => tensors(file), /kind I8/);
});
