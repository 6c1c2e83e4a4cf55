import assert from "node:assert/strict";
import {readFileSync} from "node:fs";
import test from "node:test";
import {golden, modules} from "./golden.mjs";

const {Tokenizer} = await import(new URL("bpe.js", modules));

for (const {file, texts, bytes} of golden.tokenizers)
  test(file, () => {
    const tokenizer = new Tokenizer(JSON.parse(readFileSync(file, "utf8")));
    for (const [text, ids] of texts) assert.deepEqual(tokenizer.encode(text), ids, JSON.stringify(text));
    if (bytes) for (const [text, ids] of texts) assert.deepEqual(ids.flatMap((id) => [...tokenizer.bytes(id)]), [...new TextEncoder().encode(text)], JSON.stringify(text));
  });
