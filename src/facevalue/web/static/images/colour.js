// Colour profiles: which of them change colours, and Little CMS's conversion of RGB to sRGB in whole numbers.
//
// Python converts by Little CMS wherever a profile moves a test colour by more than two levels (facevalue/images/colour.py).
// For profiles of three curves and a matrix the same is computed here, in Little CMS's fixed point of 14 bits.

import { ascii, big } from "./bytes.js";
import { Refusal } from "./refusal.js";

const SAME = 2; // levels by which a profile may move colours and still count as sRGB
const ONE = 1 << 14;
const STEPS = Array.from({ length: 18 }, (_, i) => 15 * i); // the test colours of each channel

// XYZ of D50 to linear sRGB: the inverse of the primaries of ITU-R BT.709 at D65, adapted to D50 after Bradford.
const D50 = [0.9642, 1, 0.8249];
const TO_SRGB = inverse(srgbPrimaries());

/**
 * The conversion by a profile: null where it changes nothing, else a function that changes RGBA bytes in place.
 * Throws a Refusal for profiles that only Python can follow.
 */
export function conversion(icc, { grey = false, cmyk = false } = {}) {
  if (!icc || icc.length < 132 || ascii(icc, 36, 4) !== "acsp") return null;
  const space = ascii(icc, 16, 4);
  if (cmyk) throw new Refusal("profile");
  if (space === "GRAY") return grey ? greyConversion(icc) : null;
  if (space !== "RGB ") return null; // it does not fit the pixels, and Python passes it over
  const tags = tagsOf(icc);
  const needed = ["rXYZ", "gXYZ", "bXYZ", "rTRC", "gTRC", "bTRC"];
  if (tags.has("A2B0") || !needed.every((name) => tags.has(name)) || ascii(icc, 20, 4) !== "XYZ ") throw new Refusal("profile");
  const curves = needed.slice(3).map((name) => curve(tags.get(name)));
  const shaper = matrixShaper(needed.slice(0, 3).map((name) => xyz(tags.get(name))), curves);
  return moved(shaper) > SAME ? (pixels) => applied(shaper, pixels) : null;
}

/** A table of three values for each grey. Little CMS makes it from 33 places in 16 bits. */
function greyConversion(icc) {
  const tag = tagsOf(icc).get("kTRC");
  if (!tag || ascii(icc, 20, 4) !== "XYZ ") throw new Refusal("profile");
  const tone = curve(tag);
  const places = Array.from({ length: 33 }, (_, i) => {
    const light = tone(Math.floor((i * 65535) / 32 + 0.5) / 65535);
    return times(TO_SRGB, D50).map((strength) => Math.floor(encoded(Math.fround(strength * light)) * 65535 + 0.5));
  });
  const values = Array.from({ length: 256 }, (_, grey) => [0, 1, 2].map((c) => toByte(between(places.map((place) => place[c]), grey * 257))));
  if (values.every((rgb, grey) => rgb.every((value) => Math.abs(value - grey) <= SAME))) return null;
  return (pixels) => {
    for (let i = 0; i < pixels.length; i += 4) [pixels[i], pixels[i + 1], pixels[i + 2]] = values[pixels[i]];
  };
}

/** A 16-bit value between the values of a table, by linear interpolation with 16 bits behind the point. */
function between(values, word) {
  const last = values.length - 1;
  if (word === 65535) return values[last];
  const scaled = last * word;
  const place = scaled + Math.floor((scaled + 0x7fff) / 0xffff);
  const cell = Math.floor(place / 65536);
  return values[cell] + Math.floor(((values[cell + 1] - values[cell]) * (place % 65536) + 0x8000) / 65536);
}

const toByte = (word) => Math.floor((word * 65281 + 8388608) / 16777216); // 16 bits to 8, rounded

function tagsOf(icc) {
  const tags = new Map();
  for (let i = 0, at = 132; i < big(icc, 128, 4) && at + 12 <= icc.length; i++, at += 12) {
    tags.set(ascii(icc, at, 4), icc.subarray(big(icc, at + 4, 4), big(icc, at + 4, 4) + big(icc, at + 8, 4)));
  }
  return tags;
}

const fixed = (bytes, at) => (big(bytes, at, 4) | 0) / 65536;
const xyz = (tag) => [8, 12, 16].map((at) => fixed(tag, at));

/** A tone curve from [0, 1] to linear light. Little CMS also moves a black that is not zero; that is for Python. */
function curve(tag) {
  const kind = ascii(tag, 0, 4);
  const numbers = Array.from({ length: 7 }, (_, i) => fixed(tag, 12 + 4 * i));
  const tone = kind === "curv" ? table(tag) : kind === "para" ? parametric(big(tag, 8, 2), numbers) : () => NaN;
  if (tone(0) !== 0) throw new Refusal("profile");
  return (x) => Math.fround(tone(Math.fround(x))); // curves are single-precision functions in Little CMS
}

function table(tag) {
  const n = big(tag, 8, 4);
  if (n === 0) return (x) => x;
  if (n === 1) return (x) => x ** (big(tag, 12, 2) / 256);
  const values = Array.from({ length: n }, (_, i) => big(tag, 12 + 2 * i, 2));
  return (x) => between(values, Math.min(65535, Math.max(0, Math.floor(x * 65535 + 0.5)))) / 65535;
}

/** The functions 0 to 4 of ICC.1:2010, 10.16. */
function parametric(kind, [g, a, b, c, d, e, f]) {
  const power = (x) => Math.max(0, a * x + b) ** g;
  switch (kind) {
    case 0:
      return (x) => x ** g;
    case 1:
      return (x) => (x >= -b / a ? power(x) : 0);
    case 2:
      return (x) => (x >= -b / a ? power(x) + c : c);
    case 3:
      return (x) => (x >= d ? power(x) : c * x);
    case 4:
      return (x) => (x >= d ? power(x) + e : c * x + f);
    default:
      throw new Refusal("profile");
  }
}

/** Tables of the curves and the matrix, all with 14 bits behind the point, and the way back to 8 bits. */
function matrixShaper(columns, curves) {
  const linear = curves.map((tone) => Int32Array.from({ length: 256 }, (_, i) => Math.floor(tone(i / 255) * ONE + 0.5)));
  const matrix = TO_SRGB.map((row) => [0, 1, 2].map((j) => Math.floor(ONE * row.reduce((sum, v, k) => sum + v * columns[j][k], 0) + 0.5)));
  return { linear, matrix: matrix.flat() };
}

const LEVELS = Uint8Array.from({ length: ONE + 1 }, (_, i) => {
  return toByte(Math.floor(encoded(i / ONE) * 65535 + 0.5));
});

/** Linear light as sRGB's value, both in [0, 1]. */
function encoded(y) {
  const value = y <= 0.0031308 ? 12.92 * y : 1.055 * y ** (1 / 2.4) - 0.055;
  return Math.fround(Math.min(1, Math.max(0, value)));
}

function applied({ linear: [reds, greens, blues], matrix }, pixels) {
  const [rr, rg, rb, gr, gg, gb, br, bg, bb] = matrix;
  for (let i = 0; i < pixels.length; i += 4) {
    const [r, g, b] = [reds[pixels[i]], greens[pixels[i + 1]], blues[pixels[i + 2]]];
    pixels[i] = LEVELS[within((rr * r + rg * g + rb * b + 0x2000) >> 14)];
    pixels[i + 1] = LEVELS[within((gr * r + gg * g + gb * b + 0x2000) >> 14)];
    pixels[i + 2] = LEVELS[within((br * r + bg * g + bb * b + 0x2000) >> 14)];
  }
}

const within = (value) => (value < 0 ? 0 : value > ONE ? ONE : value);

/** By how many levels at most the test colours move. */
function moved(shaper) {
  const probe = Uint8Array.from(STEPS.flatMap((r) => STEPS.flatMap((g) => STEPS.flatMap((b) => [r, g, b, 255]))));
  const seen = probe.slice();
  applied(shaper, seen);
  return seen.reduce((most, value, i) => Math.max(most, Math.abs(value - probe[i])), 0);
}

/** Columns: XYZ at D50 of linear red, green and blue. */
function srgbPrimaries() {
  const white = toXyz(0.3127, 0.329);
  const primaries = transposed([toXyz(0.64, 0.33), toXyz(0.3, 0.6), toXyz(0.15, 0.06)]);
  const strengths = times(inverse(primaries), white);
  return product(bradford(white, D50), primaries.map((row) => row.map((v, j) => v * strengths[j])));
}

function bradford(from, to) {
  const cones = [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]];
  const [a, b] = [times(cones, from), times(cones, to)];
  const scaled = cones.map((row, i) => row.map((v) => (v * b[i]) / a[i]));
  return product(inverse(cones), scaled);
}

function toXyz(x, y) {
  return [x / y, 1, (1 - x - y) / y];
}

function times(matrix, vector) {
  return matrix.map((row) => row.reduce((sum, v, i) => sum + v * vector[i], 0));
}

function transposed(matrix) {
  return matrix[0].map((_, j) => matrix.map((row) => row[j]));
}

function product(a, b) {
  return a.map((row) => transposed(b).map((column) => row.reduce((sum, v, i) => sum + v * column[i], 0)));
}

function inverse([[a, b, c], [d, e, f], [g, h, i]]) {
  const determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
  const adjugate = [[e * i - f * h, c * h - b * i, b * f - c * e], [f * g - d * i, a * i - c * g, c * d - a * f], [d * h - e * g, b * g - a * h, a * e - b * d]];
  return adjugate.map((row) => row.map((v) => v / determinant));
}
