// WebP: size and metadata.

import { ascii, joined, latin, little } from "../bytes.js";
import { Refusal } from "../refusal.js";

const FLAGS = { ANIMATED: 0x02, XMP: 0x04, EXIF: 0x08, ALPHA: 0x10, ICC: 0x20 };

/** What the file tells of itself. `plain` are its bytes without metadata. */
export function readWebp(bytes) {
  const file = { format: "WEBP", texts: [], transparent: false };
  const kept = [bytes.slice(0, 12)];
  const end = 8 + little(bytes, 4, 4);
  if (end > bytes.length) throw new Refusal("truncated");
  for (let at = 12; at + 8 <= end; ) {
    const name = ascii(bytes, at, 4);
    const length = little(bytes, at + 4, 4);
    const next = at + 8 + length + (length & 1);
    let chunk = bytes.subarray(at, next);
    const body = bytes.subarray(at + 8, at + 8 + length);
    if (name === "VP8X") {
      file.width = little(body, 4, 3) + 1;
      file.height = little(body, 7, 3) + 1;
      file.transparent = Boolean(body[0] & FLAGS.ALPHA);
      chunk = chunk.slice();
      chunk[8] &= ~(FLAGS.XMP | FLAGS.EXIF | FLAGS.ICC);
    } else if (name === "VP8 " && !file.width) {
      file.width = little(body, 6, 2) & 0x3fff;
      file.height = little(body, 8, 2) & 0x3fff;
    } else if (name === "VP8L" && !file.width) {
      const bits = little(body, 1, 4);
      file.width = (bits & 0x3fff) + 1;
      file.height = (Math.floor(bits / 2 ** 14) & 0x3fff) + 1;
      file.transparent = Boolean(Math.floor(bits / 2 ** 28) & 1);
    } else if (name === "ALPH") file.transparent = true;
    if (name === "ICCP") file.icc = body;
    else if (name === "EXIF") file.exif = ascii(body, 0, 6) === "Exif\0\0" ? body.subarray(6) : body;
    else if (name === "XMP ") file.xmp = latin(body);
    else if (name === "C2PA") file.c2pa = true;
    else kept.push(chunk);
    at = next;
  }
  if (!file.width) throw new Refusal("damaged");
  const plain = joined(kept);
  new DataView(plain.buffer).setUint32(4, plain.length - 8, true);
  return { ...file, plain };
}
