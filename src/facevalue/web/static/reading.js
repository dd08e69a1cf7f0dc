// One file: its network input, a small picture of it, and what its metadata say.

import { bitmapOf, decode, fileOf } from "./images/decoding.js";
import { lies, orientationOf } from "./images/exif.js";
import { networkInput } from "./images/preprocessing.js";
import { Refusal } from "./images/refusal.js";
import { evidenceIn } from "./metadata.js";

export const MOST_BYTES = 64 * 2 ** 20;
const LONGEST = 480; // pixels of the small picture

/** Throws a Refusal where the file gets no answer. */
export async function read(blob, preprocessing) {
  if (blob.size > MOST_BYTES) throw new Refusal("too_many_bytes", { bytes: blob.size, limit: MOST_BYTES });
  const file = await fileOf(new Uint8Array(await blob.arrayBuffer()));
  const { source, bitmap, orientation, close } = await decode(file);
  try {
    const input = networkInput(source, preprocessing);
    const { width, height } = source;
    return { input, width, height, picture: await pictureOf(bitmap, orientation), evidence: evidenceIn(file) };
  } finally {
    close();
  }
}

/** Only to look at: scaled by the browser. */
function pictureOf(bitmap, orientation) {
  const scale = Math.min(1, LONGEST / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * scale)));
  const canvas = new OffscreenCanvas(...(lies(orientation) ? [height, width] : [width, height]));
  const context = canvas.getContext("2d");
  context.setTransform(...turn(orientation, width, height));
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0, width, height);
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.85 });
}

/** The canvas transformation that turns a stored image upright. */
function turn(orientation, w, h) {
  return {
    1: [1, 0, 0, 1, 0, 0],
    2: [-1, 0, 0, 1, w, 0],
    3: [-1, 0, 0, -1, w, h],
    4: [1, 0, 0, -1, 0, h],
    5: [0, 1, 1, 0, 0, 0],
    6: [0, 1, -1, 0, h, 0],
    7: [0, -1, -1, 0, h, w],
    8: [0, -1, 1, 0, 0, w],
  }[orientation];
}

/** A small picture and the metadata of a file that a server judges; empty where the browser cannot read it. */
export async function lookAt(blob) {
  const found = { picture: null, evidence: [] };
  try {
    if (blob.size > MOST_BYTES) return found;
    const file = await fileOf(new Uint8Array(await blob.arrayBuffer()));
    found.evidence = evidenceIn(file);
    const bitmap = await bitmapOf(file);
    const orientation = orientationOf(file);
    found.picture = await pictureOf(bitmap, orientation);
    [found.width, found.height] = lies(orientation) ? [bitmap.height, bitmap.width] : [bitmap.width, bitmap.height];
    bitmap.close();
  } catch {
    // the server says what is wrong with it
  }
  return found;
}
