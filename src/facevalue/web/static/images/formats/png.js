// PNG: size and metadata.

import { ascii, big, inflated, joined, latin, text } from "../bytes.js";
import { Refusal } from "../refusal.js";

const COLOUR_TYPES = { GREY_ALPHA: 4, RGB_ALPHA: 6 };
// Chunks that a browser may act on and Python does not, and those that are read here.
const LEFT_OUT = new Set(["iCCP", "eXIf", "gAMA", "cHRM", "sRGB", "cICP", "mDCV", "cLLI", "tEXt", "zTXt", "iTXt", "caBX"]);

const END = Uint8Array.of(0, 0, 0, 0, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82); // an empty IEND

/** What the file tells of itself. `plain` are its bytes without metadata. */
export async function readPng(bytes) {
  if (ascii(bytes, 12, 4) !== "IHDR") throw new Refusal("damaged");
  const file = { format: "PNG", width: big(bytes, 16, 4), height: big(bytes, 20, 4), texts: [] };
  file.transparent = Object.values(COLOUR_TYPES).includes(bytes[25]);
  file.grey = bytes[25] === 0 || bytes[25] === 4;
  const kept = [bytes.subarray(0, 8)];
  for (let at = 8; at + 8 <= bytes.length; ) {
    const length = big(bytes, at, 4);
    const name = ascii(bytes, at + 4, 4);
    const end = at + 12 + length;
    if (name === "IDAT" && end > bytes.length) throw new Refusal("truncated");
    const body = bytes.subarray(at + 8, end - 4);
    if (!LEFT_OUT.has(name)) kept.push(bytes.subarray(at, end));
    await readChunk(file, name, body);
    if (name === "IEND") return { ...file, plain: joined(kept) };
    at = end;
  }
  kept.push(END); // Python does without it
  return { ...file, plain: joined(kept) };
}

async function readChunk(file, name, body) {
  if (name === "tRNS") file.transparent = true;
  if (name === "caBX") file.c2pa = true;
  if (name === "eXIf") file.exif = body;
  try {
    if (name === "iCCP") file.icc = await inflated(body.subarray(body.indexOf(0) + 2));
    if (name.endsWith("EXt") || name === "tEXt" || name === "zTXt" || name === "iTXt") await readText(file, name, body);
  } catch {
    // a damaged profile or text is passed over, as in Python
  }
}

async function readText(file, name, body) {
  const split = body.indexOf(0);
  const key = latin(body.subarray(0, split));
  let value;
  if (name === "tEXt") value = latin(body.subarray(split + 1));
  if (name === "zTXt") value = latin(await inflated(body.subarray(split + 2)));
  if (name === "iTXt") {
    const language = body.indexOf(0, split + 3);
    const start = body.indexOf(0, language + 1) + 1;
    value = text(body[split + 1] ? await inflated(body.subarray(start)) : body.subarray(start));
  }
  if (key === "XML:com.adobe.xmp") file.xmp = value;
  else if (key === "Raw profile type exif") file.exif ??= fromHex(value);
  else file.texts.push([key, value]);
}

/** EXIF data that ImageMagick keeps as text: three lines, then hexadecimal digits. */
function fromHex(value) {
  const digits = value.split("\n").slice(3).join("");
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16)).subarray(6);
}
