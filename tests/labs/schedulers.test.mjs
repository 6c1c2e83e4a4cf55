import assert from "node:assert/strict";
import test from "node:test";
import {apart, floats, golden, modules} from "./golden.mjs";

const {sampler, signals} = await import(new URL("pictures/schedulers.js", modules));

for (const [name, config, values] of golden.signals)
  test(`signals: ${name}`, () => assert.ok(apart(signals(config), floats(values)) < 1e-6));

for (const run of golden.runs)
  test(run.name, () => {
    const one = sampler(run.sampler, run.config, run.steps);
    assert.ok(apart(one.times, run.times) < 1e-6, `${one.times} ${run.times}`);
    assert.ok(Math.abs(one.scale / run.scale - 1) < 1e-6);
    let x = floats(run.x);
    run.moves.forEach((move, index) => {
      assert.ok(apart(one.input(x, index), floats(move.input)) < 2e-5, `what the network is shown, step ${index}`);
      const {x: next, expected} = one.step(x, floats(move.output), index);
      assert.ok(apart(expected, floats(move.expected)) < 2e-5, `what is expected, step ${index}`);
      // Euler takes a small x from a large one: the difference cannot be finer than the large one's last bit.
      const wanted = floats(move.next), coarse = 2 ** -22 * Math.max(...x.map(Math.abs)) / Math.max(...wanted.map(Math.abs));
      assert.ok(apart(next, wanted) < 2e-5 + coarse, `the next x, step ${index}`);
      x = wanted;
    });
  });

test("an unknown sampler is refused", () => assert.throws(() => sampler("dice", golden.runs[0].config, 5), /no sampler dice/));
