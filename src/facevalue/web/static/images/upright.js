// Turning an image upright.

import { lies } from "./exif.js";

/**
 * The upright image as a source of rows.
 *
 * source: {width, height, strip(top, rows) -> bytes of these rows, 4 a pixel}.
 */
export function upright(source, orientation) {
  if (orientation === 1) return source;
  const stored = new Uint32Array(source.width * source.height);
  const step = Math.max(1, Math.floor(2 ** 20 / source.width));
  for (let y = 0; y < source.height; y += step) {
    const rows = source.strip(y, Math.min(step, source.height - y));
    stored.set(new Uint32Array(rows.buffer, rows.byteOffset, rows.length / 4), y * source.width);
  }
  const turned = turnedPixels(stored, source.width, source.height, orientation);
  const bytes = new Uint8Array(turned.buffer);
  const [width, height] = lies(orientation) ? [source.height, source.width] : [source.width, source.height];
  return { width, height, strip: (top, rows) => bytes.subarray(top * width * 4, (top + rows) * width * 4) };
}

/** Where each stored pixel goes: its row and column are exchanged, mirrored or both. */
function turnedPixels(stored, width, height, orientation) {
  const out = new Uint32Array(stored.length);
  const across = lies(orientation);
  const [w, h] = across ? [height, width] : [width, height];
  const fromRight = [2, 3, 7, 8].includes(orientation); // the stored left edge becomes the right or lower one
  const fromBottom = [3, 4, 6, 7].includes(orientation);
  for (let y = 0; y < height; y++) {
    const v = fromBottom ? height - 1 - y : y;
    for (let x = 0; x < width; x++) {
      const u = fromRight ? width - 1 - x : x;
      out[across ? u * w + v : v * w + u] = stored[y * width + x];
    }
  }
  return h ? out : out;
}
