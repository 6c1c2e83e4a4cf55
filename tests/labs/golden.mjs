// What every test of a lab's module begins with: the golden values that Python wrote, and the modules.
import {readFileSync} from "node:fs";

export const golden = JSON.parse(readFileSync(process.env.GOLDEN, "utf8"));
export const floats = (text) => new Float32Array(new Uint8Array(Buffer.from(text, "base64")).buffer);
export const modules = new URL("../../book/_static/lab/", import.meta.url);

/** The largest difference between two lists, relative to the largest number. */
export function apart(one, other) {
  if (one.length !== other.length) throw new Error(`${one.length} numbers and ${other.length}`);
  let most = 0, largest = 0;
  for (let i = 0; i < one.length; i++) {
    most = Math.max(most, Math.abs(one[i] - other[i]));
    largest = Math.max(largest, Math.abs(other[i]));
  }
  return most / largest;
}
