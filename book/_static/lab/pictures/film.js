// The film of a run, from noise to picture: as one picture, what is held above, what is expected below; and animated.

import {animation} from "../apng.js";

const sheet = (width, height) => { const canvas = document.createElement("canvas"); canvas.width = width; canvas.height = height; return canvas; };

/** A picture of `side` pixels as a canvas, enlarged by whole pixels. */
function enlarged(image, by) {
  const small = sheet(image.width, image.height), large = sheet(image.width * by, image.height * by), pen = large.getContext("2d");
  small.getContext("2d").putImageData(image, 0, 0);
  pen.imageSmoothingEnabled = false;
  pen.drawImage(small, 0, 0, large.width, large.height);
  return large;
}

/** Which moments a strip shows: the first, the last, and as many between as there is room for. */
function moments(steps, room) {
  const count = Math.max(2, Math.min(steps + 1, room));
  return Array.from({length: count}, (_, i) => Math.round(i * steps / (count - 1)));
}

/**
 * Draws the strip into a canvas as wide as it is shown.
 * @returns {number[]} the moments it shows, from left to right
 */
export function strip(canvas, run, width, marked, {accent, empty}) {
  const ratio = Math.min(2, globalThis.devicePixelRatio || 1), {steps} = run.settings, rows = run.frames.some((frame) => frame?.held) ? 2 : 1;
  const room = Math.floor(width / 38), there = [...run.frames.keys()].filter((index) => run.frames[index]?.expected);
  const at = run.film === false ? there.slice(-room) : moments(steps, room), gap = 3;
  const size = Math.min(64, (width - gap * (at.length - 1)) / Math.max(1, at.length));
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round((rows * size + gap * (rows - 1) + 6) * ratio);
  canvas.style.aspectRatio = `${canvas.width} / ${canvas.height}`;
  const pen = canvas.getContext("2d"), small = sheet(run.side, run.side), ink = small.getContext("2d");
  pen.scale(ratio, ratio);
  pen.imageSmoothingQuality = "high";
  at.forEach((moment, column) => {
    const left = column * (size + gap);
    ["held", "expected"].slice(2 - rows).forEach((kind, row) => {
      const image = run.frames[moment]?.[kind];
      if (!image) { pen.fillStyle = empty; pen.fillRect(left, row * (size + gap), size, size); return; }
      ink.putImageData(image, 0, 0);
      pen.drawImage(small, left, row * (size + gap), size, size);
    });
  });
  if (!at.length) return at;
  const near = at.reduce((best, moment, column) => Math.abs(moment - marked) < Math.abs(at[best] - marked) ? column : best, 0);
  pen.fillStyle = accent;
  pen.fillRect(near * (size + gap), rows * (size + gap), size, 3);
  return at;
}

/** The picture of a moment as a PNG of at least 512 pixels. */
export function png(run, index) {
  const image = run.nearest("expected", index), by = Math.max(1, Math.ceil(512 / run.side));
  return new Promise((resolve) => enlarged(image, by).toBlob(resolve, "image/png"));
}

/** Which of the two pictures of a moment there are, and at which moments. */
const filmed = (run) => [["held", "expected"].filter((kind) => run.frames.some((frame) => frame?.[kind])), [...run.frames.keys()].filter((index) => run.frames[index]?.expected)];

/** The whole film as a PNG: a row held, a row expected. */
export function stripPng(run) {
  const [rows, at] = filmed(run);
  const by = Math.max(1, Math.round(128 / run.side)), size = by * run.side, gap = 4, out = sheet(at.length * (size + gap) - gap, rows.length * (size + gap) - gap), pen = out.getContext("2d");
  at.forEach((index, column) => {
    rows.forEach((kind, row) => {
      const image = run.frames[index]?.[kind];
      if (image) pen.drawImage(enlarged(image, by), column * (size + gap), row * (size + gap));
    });
  });
  return new Promise((resolve) => out.toBlob(resolve, "image/png"));
}

/** The whole film as an animated PNG of about five seconds: what is held beside what is expected. */
export async function animatedPng(run) {
  const [kinds, at] = filmed(run), by = Math.max(1, Math.round(256 / run.side)), size = by * run.side, gap = 8, pictures = [];
  const out = sheet(kinds.length * (size + gap) - gap, size), pen = out.getContext("2d");
  for (const index of at) {
    kinds.forEach((kind, column) => {
      const image = run.frames[index]?.[kind];
      if (image) pen.drawImage(enlarged(image, by), column * (size + gap), 0);
    });
    const file = await new Promise((resolve) => out.toBlob(resolve, "image/png"));
    pictures.push(new Uint8Array(await file.arrayBuffer()));
  }
  return animation(pictures, at.map((_, moment) => moment === at.length - 1 ? 2000 : Math.round(3000 / at.length)));
}
