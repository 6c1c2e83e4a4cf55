import assert from "node:assert/strict";
import {readFileSync} from "node:fs";
import test from "node:test";
import {golden, modules} from "./golden.mjs";

const {WordPiece} = await import(new URL("search/wordpiece.js", modules));
const tokenizer = new WordPiece(readFileSync(golden.vocabulary, "utf8"));

for (const [text, ids] of golden.texts)
  test(`ids of ${JSON.stringify(text).slice(0, 60)}`, () => assert.deepEqual(tokenizer.encode(text), ids));

test("every sign by itself", () => {
  const other = golden.signs.filter(([sign, ids]) => JSON.stringify(tokenizer.encode(sign)) !== JSON.stringify(ids)).map(([sign]) => sign);
  console.log(`${golden.signs.length} signs, ${other.length} read otherwise: ${other.map((sign) => sign.codePointAt(1).toString(16)).join(" ")}`);
  assert.ok(other.length <= golden.newer, other.join(" "));
});

test("a text is begun, ended and cut off where the model's reading ends", () => {
  const {ids, lost} = tokenizer.read("word ".repeat(300), golden.longest);
  assert.deepEqual([ids.length, ids[0], ids.at(-1), lost], [golden.longest, 101, 102, 300 - (golden.longest - 2)]);
  assert.deepEqual(tokenizer.read("", golden.longest), {ids: [101, 102], lost: 0, unknown: 0});
  assert.equal(tokenizer.read("pizza 🍕 and 🦊", golden.longest).unknown, 2);
});
