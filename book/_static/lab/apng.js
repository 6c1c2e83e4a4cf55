// Pictures that follow each other in one file: an animated PNG (PNG specification, third edition, section 4.9), which
// browsers, messengers and wikis play, and which shows its first picture where it is not understood.

const SIGNATURE = 8;
const CRC = Uint32Array.from({length: 256}, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

/** The checksum of a chunk's type and data (section 5.5 and annex D). */
function crc(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) sum = CRC[(sum ^ byte) & 255] ^ (sum >>> 8);
  return ~sum >>> 0;
}

/** A chunk: length, type, data, checksum. Numbers among the data are 32 bits, big-endian; the rest is bytes. */
function chunk(type, ...data) {
  const parts = data.map((part) => typeof part === "number" ? Uint8Array.of(part >>> 24, part >>> 16, part >>> 8, part) : part);
  const size = parts.reduce((sum, part) => sum + part.length, 0), out = new Uint8Array(size + 12), view = new DataView(out.buffer);
  view.setUint32(0, size);
  out.set([...type].map((letter) => letter.charCodeAt(0)), 4);
  let at = 8;
  for (const part of parts) { out.set(part, at); at += part.length; }
  view.setUint32(at, crc(out.subarray(4, at)));
  return out;
}

/** The chunks of a PNG: [type, data]. */
function* chunks(png) {
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength);
  for (let at = SIGNATURE; at < png.length; ) {
    const size = view.getUint32(at), data = png.subarray(at + 8, at + 8 + size);
    yield [String.fromCharCode(...png.subarray(at + 4, at + 8)), data];
    at += size + 12;
  }
}

/**
 * Joins PNGs of one size and kind to an animation that repeats for ever.
 * @param {Uint8Array[]} pictures - the files, in their order
 * @param {number[]} milliseconds - how long each is seen
 * @returns {Blob}
 */
export function animation(pictures, milliseconds) {
  const head = [...chunks(pictures[0])].find(([type]) => type === "IHDR")[1], size = head.subarray(0, 8);
  const out = [pictures[0].subarray(0, SIGNATURE), chunk("IHDR", head), chunk("acTL", pictures.length, 0)];
  let number = 0;
  pictures.forEach((picture, index) => {
    // Size, no offset, how long in thousandths of a second, and nothing is kept of the picture before.
    const wait = Uint8Array.of(milliseconds[index] >>> 8, milliseconds[index], 1000 >>> 8, 1000 & 255);
    out.push(chunk("fcTL", number++, size, 0, 0, wait, Uint8Array.of(0, 0)));
    for (const [type, data] of chunks(picture))
      if (type === "IDAT") out.push(index ? chunk("fdAT", number++, data) : chunk("IDAT", data));
  });
  return new Blob([...out, chunk("IEND")], {type: "image/apng"});
}
