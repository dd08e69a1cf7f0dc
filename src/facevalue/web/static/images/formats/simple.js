// GIF and BMP: the size, and what a browser would decode otherwise than Python.

import { little } from "../bytes.js";
import { Refusal } from "../refusal.js";

/** What a GIF tells of itself. */
export function readGif(bytes) {
  if (bytes.length < 13) throw new Refusal("truncated");
  return { format: "GIF", width: little(bytes, 6, 2), height: little(bytes, 8, 2), texts: [], transparent: false, plain: bytes };
}

/** What a BMP tells of itself. */
export function readBmp(bytes) {
  const header = little(bytes, 14, 4);
  const old = header === 12;
  const width = old ? little(bytes, 18, 2) : little(bytes, 18, 4) | 0;
  const height = old ? little(bytes, 20, 2) : little(bytes, 22, 4) | 0;
  const bits = little(bytes, old ? 24 : 28, 2);
  const compression = old ? 0 : little(bytes, 30, 4);
  if (compression || ![1, 4, 8, 24, 32].includes(bits)) {
    throw new Refusal("other_decoder", { what: `BMP with ${compression ? "compression" : `${bits} bits`}` });
  }
  return { format: "BMP", width, height: Math.abs(height), texts: [], transparent: false, plain: bytes };
}
