// From an upright image to the network input: the same bytes as facevalue/images/preprocessing.py.

import { resize } from "./resize.js";

/**
 * size * size * 3 bytes, RGB.
 *
 * source: {width, height, strip(top, rows) -> bytes of these rows, 4 a pixel}.
 */
export function networkInput(source, { size, fit, filter, crop_fraction }) {
  const { width, height } = source;
  if (fit === "squash") return resize(source, size, size, filter, [0, 0, width, height]);
  if (fit === "crop") {
    const edge = Math.min(width, height) * crop_fraction;
    const left = (width - edge) / 2;
    const top = (height - edge) / 2;
    return resize(source, size, size, filter, [left, top, left + edge, top + edge]);
  }
  const scale = size / Math.max(width, height);
  const [w, h] = [width, height].map((side) => Math.max(1, rounded(side * scale)));
  const whole = resize(source, w, h, filter, [0, 0, width, height]);
  const out = new Uint8Array(size * size * 3).fill(128);
  const [x, y] = [Math.floor((size - w) / 2), Math.floor((size - h) / 2)];
  for (let row = 0; row < h; row++) {
    out.set(whole.subarray(row * w * 3, (row + 1) * w * 3), ((y + row) * size + x) * 3);
  }
  return out;
}

/** The nearest whole number; halves go to the even one, as Python rounds. */
function rounded(value) {
  const low = Math.floor(value);
  if (value - low === 0.5) return low % 2 ? low + 1 : low;
  return Math.round(value);
}
