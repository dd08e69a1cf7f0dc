// Pillow's resampling in two passes, horizontally first: the same bytes as facevalue/images/resize.py.

const BITS = 22; // Pillow's fixed-point precision for 8-bit channels
const HALF = 1 << (BITS - 1);
const MOST_BETWEEN = 2 ** 27; // pixels between the passes from which the vertical pass comes first
const STRIP = 2 ** 20; // pixels that are read from an image at once

const sinc = (x) => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI));

const FILTERS = {
  box: { support: 0.5, weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: { support: 2, weight: (x) => bicubic(Math.abs(x)) },
  lanczos: { support: 3, weight: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

/** Keys' cubic with a = -0.5, for x >= 0. */
function bicubic(x) {
  const a = -0.5;
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

/**
 * Resample an image or a part of it.
 *
 * source: {width, height, strip(top, rows) -> bytes of these rows, 4 a pixel}.
 * Returns width * height * 3 bytes, RGB.
 */
export function resize(source, width, height, filter, box) {
  const [left, top, right, bottom] = box.map(Math.fround); // Pillow keeps them in single precision
  if (width * source.height <= MOST_BETWEEN) {
    const between = horizontally(source, width, filter, left, right);
    return vertically(between, width, source.height, height, filter, top, bottom);
  }
  const all = { width: source.width, height: source.height, strip: source.strip };
  const between = vertically(horizontally(all, all.width, filter, 0, all.width), all.width, all.height, height, filter, top, bottom);
  const small = { width: all.width, height, strip: (y, n) => withFourth(between, all.width, y, n) };
  return horizontally(small, width, filter, left, right);
}

/** One row for each row of the source, `width` pixels of 3 bytes. */
function horizontally(source, width, filter, left, right) {
  const out = new Uint8Array(width * source.height * 3);
  const same = width === source.width && left === 0 && right === width;
  const taps = same ? null : filter === "nearest" ? nearest(source.width, width, left, right) : weights(filter, source.width, width, left, right);
  const step = Math.max(1, Math.floor(STRIP / source.width));
  for (let y = 0; y < source.height; y += step) {
    const rows = Math.min(step, source.height - y);
    const pixels = source.strip(y, rows);
    for (let i = 0; i < rows; i++) {
      const from = i * source.width * 4;
      const to = (y + i) * width * 3;
      if (same) copyRow(pixels, from, out, to, width);
      else if (filter === "nearest") pickRow(pixels, from, out, to, taps);
      else weighRow(pixels, from, out, to, width, taps);
    }
  }
  return out;
}

function copyRow(pixels, from, out, to, width) {
  for (let x = 0; x < width; x++, from += 4, to += 3) {
    out[to] = pixels[from];
    out[to + 1] = pixels[from + 1];
    out[to + 2] = pixels[from + 2];
  }
}

function pickRow(pixels, from, out, to, places) {
  for (let x = 0; x < places.length; x++, to += 3) {
    const at = from + 4 * places[x];
    out[to] = pixels[at];
    out[to + 1] = pixels[at + 1];
    out[to + 2] = pixels[at + 2];
  }
}

function weighRow(pixels, from, out, to, width, { first, count, values, most }) {
  for (let x = 0; x < width; x++, to += 3) {
    let at = from + 4 * first[x];
    let r = HALF;
    let g = HALF;
    let b = HALF;
    const end = x * most + count[x];
    for (let k = x * most; k < end; k++, at += 4) {
      const weight = values[k];
      r += pixels[at] * weight;
      g += pixels[at + 1] * weight;
      b += pixels[at + 2] * weight;
    }
    out[to] = clipped(r);
    out[to + 1] = clipped(g);
    out[to + 2] = clipped(b);
  }
}

/** The vertical pass on rows of `width` pixels of 3 bytes. */
function vertically(pixels, width, from, height, filter, top, bottom) {
  if (height === from && top === 0 && bottom === height) return pixels;
  const row = width * 3;
  const out = new Uint8Array(row * height);
  if (filter === "nearest") {
    nearest(from, height, top, bottom).forEach((y, i) => out.set(pixels.subarray(y * row, (y + 1) * row), i * row));
    return out;
  }
  const { first, count, values, most } = weights(filter, from, height, top, bottom);
  const sums = new Int32Array(row);
  for (let y = 0; y < height; y++) {
    sums.fill(HALF);
    for (let k = 0; k < count[y]; k++) {
      const weight = values[y * most + k];
      const at = (first[y] + k) * row;
      for (let i = 0; i < row; i++) sums[i] += pixels[at + i] * weight;
    }
    for (let i = 0; i < row; i++) out[y * row + i] = clipped(sums[i]);
  }
  return out;
}

function clipped(sum) {
  const value = sum >> BITS;
  return value < 0 ? 0 : value > 255 ? 255 : value;
}

/** For each output pixel: the first input pixel, how many, and their weights in fixed point. */
function weights(filter, inputs, outputs, start, end) {
  const { support: reach, weight } = FILTERS[filter];
  const scale = Math.fround(end - start) / outputs;
  const stretch = Math.max(scale, 1);
  const support = reach * stretch;
  const most = Math.ceil(support) * 2 + 1;
  const found = { first: new Int32Array(outputs), count: new Int32Array(outputs), values: new Int32Array(outputs * most), most };
  const line = new Float64Array(most);
  for (let x = 0; x < outputs; x++) {
    const centre = start + (x + 0.5) * scale;
    const from = Math.max(0, Math.trunc(centre - support + 0.5));
    const n = Math.min(inputs, Math.trunc(centre + support + 0.5)) - from;
    let sum = 0;
    for (let k = 0; k < n; k++) {
      line[k] = weight((k + from - centre + 0.5) * (1 / stretch));
      sum += line[k];
    }
    for (let k = 0; k < n; k++) {
      const share = (sum === 0 ? line[k] : line[k] / sum) * 2 ** BITS;
      found.values[x * most + k] = Math.trunc(share < 0 ? share - 0.5 : share + 0.5);
    }
    found.first[x] = from;
    found.count[x] = n;
  }
  return found;
}

/** For each output pixel the input pixel at its centre. */
function nearest(inputs, outputs, start, end) {
  const scale = Math.fround(end - start) / outputs;
  const places = new Int32Array(outputs);
  let at = start + scale * 0.5;
  for (let x = 0; x < outputs; x++, at += scale) places[x] = Math.min(inputs - 1, Math.trunc(at));
  return places;
}

function withFourth(pixels, width, y, rows) {
  const out = new Uint8Array(width * rows * 4);
  for (let i = 0, at = y * width * 3; i < out.length; i += 4, at += 3) out.set(pixels.subarray(at, at + 3), i);
  return out;
}
