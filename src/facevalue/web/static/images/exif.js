// EXIF data: the entries of its directories, and the orientation.

import { ascii, big, little, text } from "./bytes.js";

export const TAGS = { MAKE: 0x10f, MODEL: 0x110, ORIENTATION: 0x112, SOFTWARE: 0x131, DATE: 0x132, DIRECTORY: 0x8769, TAKEN: 0x9003 };

const SIZES = [0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8]; // bytes of each TIFF type
const XMP_ORIENTATION = /tiff:Orientation(?:="|>)([0-9])/;

/** The first values of the first directory and of the one that it names, by tag. Damaged data gives what can be read. */
export function entries(exif) {
  const found = new Map();
  const number = { II: little, MM: big }[ascii(exif, 0, 2)];
  if (!number) return found;
  readDirectory(exif, number, number(exif, 4, 4), found);
  const inner = found.get(TAGS.DIRECTORY);
  if (Number.isInteger(inner)) readDirectory(exif, number, inner, found);
  return found;
}

function readDirectory(exif, number, start, found) {
  const count = number(exif, start, 2);
  for (let i = 0, at = start + 2; i < count && at + 12 <= exif.length; i++, at += 12) {
    const [tag, type, n] = [number(exif, at, 2), number(exif, at + 2, 2), number(exif, at + 4, 4)];
    const size = (SIZES[type] ?? 0) * n;
    if (!size) continue;
    const place = size <= 4 ? at + 8 : number(exif, at + 8, 4);
    if (place + size <= exif.length && !found.has(tag)) found.set(tag, value(exif, number, place, type, n));
  }
}

function value(exif, number, at, type, n) {
  if (type === 2) return text(exif.subarray(at, at + n)).split("\0")[0].trim();
  if (type === 5 || type === 10) return number(exif, at, 4) / number(exif, at + 4, 4);
  return number(exif, at, Math.min(SIZES[type], 4));
}

/** 1 to 8 as in EXIF 2.32; 1 where nothing valid is said. */
export function orientationOf(file) {
  let found = file.exif ? entries(file.exif).get(TAGS.ORIENTATION) : undefined;
  if (file.upright) {
    // The browser has turned the image by the file's own properties, and Python does not look further then.
    if (file.turned || file.exif) return 1;
  }
  found ??= Number(XMP_ORIENTATION.exec(file.xmp ?? "")?.[1]);
  return found >= 1 && found <= 8 && Number.isInteger(found) ? found : 1;
}

/** Whether an orientation exchanges width and height. */
export const lies = (orientation) => orientation >= 5;
