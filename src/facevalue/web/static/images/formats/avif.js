// AVIF: size, metadata, and what a browser would decode otherwise than Python.

import { ascii, big, latin } from "../bytes.js";
import { Refusal } from "../refusal.js";
import { brands } from "../signatures.js";

const ALPHA = "urn:mpeg:mpegB:cicp:systems:auxiliary:alpha";
const C2PA = [0xd8, 0xfe, 0xc3, 0xd6, 0x1b, 0x0e, 0x48, 0x3c]; // first half of the UUID of C2PA's box
const UNLINKED = [0x66, 0x72, 0x65, 0x65]; // "free": the name of a box without meaning
const SRGB = { primaries: [1, 2], transfer: [1, 2, 6, 13, 14, 15] };

/**
 * What the file tells of itself. Browsers apply `irot` and `imir` alone, as Python does.
 *
 * Chromium decodes a file with transparency by another chroma filter than one without. So `plain` has no transparency
 * any more, and `opacity` is the same file with its transparency as the image.
 */
export function readAvif(bytes) {
  const file = { format: "AVIF", texts: [], transparent: false, plain: bytes, upright: true, auxiliary: [] };
  const items = new Map();
  for (const box of boxes(bytes, 0, bytes.length)) {
    if (box.name === "uuid" && C2PA.every((value, i) => bytes[box.start + i] === value)) file.c2pa = true;
    if (box.name === "meta") readMeta(file, items, bytes, box.start + 4, box.end);
  }
  if (!file.width) throw new Refusal("damaged");
  if (brands(bytes).includes("avis")) throw new Refusal("other_decoder", { what: "animated AVIF" });
  if (file.deep) throw new Refusal("other_decoder", { what: "AVIF with more than 8 bits" });
  for (const { type, at, length } of items.values()) {
    if (at === undefined) continue;
    const body = bytes.subarray(at, at + length);
    if (type === "Exif") file.exif = body.subarray(4 + big(body, 0, 4));
    if (type === "mime" && !file.xmp) file.xmp = latin(body);
  }
  if (!file.transparent) return file;
  const own = file.auxiliary.find(({ of }) => of === file.primary.id);
  if (!own || file.premultiplied) throw new Refusal("other_decoder", { what: "AVIF with this kind of transparency" });
  file.plain = bytes.slice();
  for (const { at } of file.auxiliary) file.plain.set(UNLINKED, at);
  file.opacity = file.plain.slice();
  file.opacity.set([own.id >> 8, own.id & 255], file.primary.at);
  return file;
}

function* boxes(bytes, from, to) {
  for (let at = from; at + 8 <= to; ) {
    let length = big(bytes, at, 4);
    let header = 8;
    if (length === 1) [length, header] = [big(bytes, at + 8, 8), 16];
    if (length === 0) length = to - at;
    if (length < header) return;
    yield { name: ascii(bytes, at + 4, 4), start: at + header, end: Math.min(to, at + length) };
    at += length;
  }
}

function readMeta(file, items, bytes, from, to) {
  for (const { name, start, end } of boxes(bytes, from, to)) {
    if (name === "iprp") for (const box of boxes(bytes, start, end)) if (box.name === "ipco") readProperties(file, bytes, box);
    if (name === "iinf") readItems(items, bytes, start, end);
    if (name === "iloc") readPlaces(items, bytes, start);
    if (name === "pitm" && bytes[start] === 0) file.primary = { id: big(bytes, start + 4, 2), at: start + 4 };
    if (name === "iref" && bytes[start] === 0) readReferences(file, bytes, start + 4, end);
  }
}

function readReferences(file, bytes, from, to) {
  for (const { name, start } of boxes(bytes, from, to)) {
    if (name === "auxl") file.auxiliary.push({ id: big(bytes, start, 2), of: big(bytes, start + 4, 2), at: start - 4 });
    if (name === "prem") file.premultiplied = true;
  }
}

function readProperties(file, bytes, { start, end }) {
  for (const box of boxes(bytes, start, end)) {
    const at = box.start;
    if (box.name === "ispe") {
      file.width = Math.max(file.width ?? 0, big(bytes, at + 4, 4));
      file.height = Math.max(file.height ?? 0, big(bytes, at + 8, 4));
    }
    if (box.name === "av1C" && bytes[at + 2] & 0x40) file.deep = true;
    if (box.name === "auxC" && ascii(bytes, at + 4, ALPHA.length) === ALPHA) file.transparent = true;
    if (box.name === "irot" && bytes[at] & 3) file.turned = true;
    if (box.name === "imir") file.turned = true;
    if (box.name === "colr") readColour(file, bytes, box);
  }
}

function readColour(file, bytes, { start, end }) {
  const kind = ascii(bytes, start, 4);
  if (kind === "prof" || kind === "rICC") file.icc = bytes.subarray(start + 4, end);
  if (kind !== "nclx") return;
  const [primaries, transfer] = [big(bytes, start + 4, 2), big(bytes, start + 6, 2)];
  if (!SRGB.primaries.includes(primaries) || !SRGB.transfer.includes(transfer)) {
    throw new Refusal("other_decoder", { what: "AVIF with wide or high-dynamic-range colour" });
  }
}

function readItems(items, bytes, start, end) {
  const wide = bytes[start] > 0;
  for (const box of boxes(bytes, start + (wide ? 8 : 6), end)) {
    const version = bytes[box.start];
    if (box.name !== "infe" || version < 2) continue;
    const id = big(bytes, box.start + 4, version === 2 ? 2 : 4);
    const type = ascii(bytes, box.start + (version === 2 ? 8 : 10), 4);
    items.set(id, { ...items.get(id), type });
  }
}

function readPlaces(items, bytes, start) {
  const version = bytes[start];
  const [offset, length] = [bytes[start + 4] >> 4, bytes[start + 4] & 15];
  const [base, index] = [bytes[start + 5] >> 4, bytes[start + 5] & 15];
  const idSize = version < 2 ? 2 : 4;
  let at = start + 6 + idSize;
  for (let n = big(bytes, start + 6, idSize); n > 0 && at < bytes.length; n--) {
    const id = big(bytes, at, idSize);
    at += idSize + (version ? 2 : 0) + 2;
    const from = big(bytes, at, base);
    at += base;
    const extents = big(bytes, at, 2);
    at += 2;
    const step = (version ? index : 0) + offset + length;
    const first = at + (version ? index : 0);
    items.set(id, { ...items.get(id), at: from + big(bytes, first, offset), length: big(bytes, first + offset, length) });
    at += extents * step;
  }
}
