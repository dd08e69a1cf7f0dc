// From file bytes to an upright image in sRGB on white: the same pixels as facevalue/images/decoding.py.
//
// The browser decodes a copy of the file without metadata, so it can neither turn the image nor change its colours; both
// are done here, as Python does them.

import { conversion } from "./colour.js";
import { orientationOf } from "./exif.js";
import { readAvif } from "./formats/avif.js";
import { readJpeg } from "./formats/jpeg.js";
import { readPng } from "./formats/png.js";
import { readBmp, readGif } from "./formats/simple.js";
import { readWebp } from "./formats/webp.js";
import { Refusal } from "./refusal.js";
import { foreignFormat, imageFormat } from "./signatures.js";
import { upright } from "./upright.js";

export const MOST_PIXELS = 89_478_485; // as in Python
const READERS = { JPEG: readJpeg, PNG: readPng, WEBP: readWebp, AVIF: readAvif, GIF: readGif, BMP: readBmp };
const STRIP = 2 ** 20; // pixels that are read at once
const AS_STORED = { colorSpaceConversion: "none", premultiplyAlpha: "none", imageOrientation: "from-image" };

/** What a file tells of itself: format, size, metadata; nothing is decoded. Throws a Refusal for what is no image here. */
export async function fileOf(bytes) {
  if (!bytes.length) throw new Refusal("empty");
  const foreign = foreignFormat(bytes);
  if (foreign) throw new Refusal("foreign", { type: foreign });
  const format = imageFormat(bytes);
  if (!format) throw new Refusal("no_image");
  if (!READERS[format]) throw new Refusal(format === "HEIF" ? "heic" : "no_browser_format", { type: format });
  let file;
  try {
    file = await READERS[format](bytes);
  } catch (error) {
    throw error instanceof Refusal ? error : new Refusal("damaged");
  }
  const { width, height } = file;
  if (!(width > 0 && height > 0)) throw new Refusal("damaged");
  if (width * height > MOST_PIXELS) throw new Refusal("too_large", { width, height, limit: MOST_PIXELS });
  return file;
}

/** Decode; returns the upright image as a source of rows, and the bitmap as it is stored. Call close() at the end. */
export async function decode(file) {
  const convert = conversion(file.icc, { grey: file.grey || file.components === 1, cmyk: file.components === 4 });
  const bitmaps = await Promise.all([...parts(file)].map(decodedBitmap));
  const [bitmap, other] = bitmaps;
  try {
    if (!file.turned && (bitmap.width !== file.width || bitmap.height !== file.height)) throw new Refusal("damaged");
    if (file.tails && !areEqual(bitmap, other)) throw new Refusal("truncated");
    if (convert && file.transparent && !file.opacity && !isOpaque(bitmap)) throw new Refusal("profile");
    const opacity = file.opacity && rowsOf(other);
    const orientation = orientationOf(file);
    const source = upright(rowsOf(bitmap, { convert, opacity }), orientation);
    return { source, bitmap, orientation, close: () => bitmaps.forEach((one) => one.close()) };
  } catch (error) {
    bitmaps.forEach((one) => one.close());
    throw error;
  }
}

/** What the browser decodes: the file, and once more with another end, or its transparency. */
function* parts({ plain, tails, opacity }) {
  if (tails) for (const tail of tails) yield new Blob([plain, tail]);
  else yield new Blob([plain]);
  if (opacity) yield new Blob([opacity]);
}

/** The stored pixels, to look at. */
export const bitmapOf = (file) => decodedBitmap(parts(file).next().value);

async function decodedBitmap(blob) {
  try {
    return await createImageBitmap(blob, AS_STORED);
  } catch {
    throw new Refusal("damaged");
  }
}

/** JPEG decoders fill what is missing with grey; then bytes behind the data change the image. */
function areEqual(one, other) {
  const sources = [rowsOf(one), rowsOf(other)];
  const step = Math.max(1, Math.floor(STRIP / one.width));
  for (let y = 0; y < one.height; y += step) {
    const [a, b] = sources.map((source) => source.strip(y, Math.min(step, one.height - y)));
    const [x, z] = [a, b].map((bytes) => new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4));
    for (let i = 0; i < x.length; i++) if (x[i] !== z[i]) return false;
  }
  return true;
}

/** Rows of a bitmap on white, converted where a profile asks for it. */
function rowsOf(bitmap, { convert = null, opacity = null } = {}) {
  let canvas;
  const strip = (top, rows) => {
    if (!canvas || canvas.height < rows) canvas = new OffscreenCanvas(bitmap.width, rows);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    if (!context) throw new Refusal("too_large_here", { width: bitmap.width, height: bitmap.height });
    context.fillStyle = "white";
    context.fillRect(0, 0, canvas.width, rows);
    context.drawImage(bitmap, 0, -top);
    const { data } = context.getImageData(0, 0, bitmap.width, rows);
    convert?.(data);
    if (opacity) layOnWhite(data, opacity.strip(top, rows));
    return data;
  };
  return { width: bitmap.width, height: bitmap.height, strip };
}

/** As Pillow's alpha_composite on opaque white, in its whole numbers. */
function layOnWhite(pixels, opacity) {
  for (let i = 0; i < pixels.length; i++) {
    const share = opacity[i - (i % 4)] << 7;
    const sum = pixels[i] * share + 255 * ((255 << 7) - share) + (0x80 << 7);
    pixels[i] = (((sum >> 8) + sum) >> 8) >> 7;
  }
}

function isOpaque(bitmap) {
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
  for (let i = 3; i < data.length; i += 4) if (data[i] !== 255) return false;
  return true;
}
