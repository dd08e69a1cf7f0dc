// JPEG: size, metadata, and where the image data ends (as facevalue/images/jpeg_end.py).

import { ascii, big, joined, latin, startsWith } from "../bytes.js";
import { Refusal } from "../refusal.js";

const [SOI, EOI, SOS, COM, APP0, APP15] = [0xd8, 0xd9, 0xda, 0xfe, 0xe0, 0xef];
const FRAMES = [0xc0, 0xc1, 0xc2, 0xc3, 0xc5, 0xc6, 0xc7, 0xc9, 0xca, 0xcb, 0xcd, 0xce, 0xcf];
const DECODED_FRAMES = [0xc0, 0xc1, 0xc2, 0xc9, 0xca]; // those whose scans jpeg_end.py follows
const XMP = "http://ns.adobe.com/xap/1.0/\0";
const END = Uint8Array.of(0xff, EOI);
const GARBAGE = joined([new Uint8Array(4096).fill(0x5a), END]);

/** What the file tells of itself. `plain` are its bytes without metadata; `tails` are two endings that must not matter. */
export function readJpeg(bytes) {
  const file = { format: "JPEG", texts: [], transparent: false };
  const kept = [bytes.subarray(0, 2)];
  const exif = [];
  const profile = [];
  for (const { kind, start, end, body } of segments(bytes)) {
    if (kind === SOS) {
      kept.push(bytes.subarray(start));
      break;
    }
    if (FRAMES.includes(kind) && !file.width) {
      [file.height, file.width] = [big(body, 1, 2), big(body, 3, 2)];
      file.components = body[5];
      if (body[0] !== 8) throw new Refusal("other_decoder", { what: `${body[0]}-bit JPEG` });
    }
    const isMetadata = (kind > APP0 && kind <= APP15 && !startsWith(body, "Adobe")) || kind === COM;
    if (!isMetadata) kept.push(bytes.subarray(start, end));
    if (kind === 0xe1 && startsWith(body, "Exif\0\0")) exif.push(body.subarray(6));
    if (kind === 0xe1 && startsWith(body, XMP)) file.xmp = latin(body.subarray(XMP.length));
    if (kind === 0xe2 && startsWith(body, "ICC_PROFILE\0")) profile.push(body);
    if (kind === 0xeb && ascii(body, 0, 2) === "JP" && latin(body).includes("c2pa")) file.c2pa = true;
    if (kind === COM) file.texts.push(["Comment", latin(body)]);
  }
  if (!file.width || !file.height) throw new Refusal("damaged");
  if (exif.length) file.exif = joined(exif);
  if (profile.length) file.icc = joined(profile.sort((a, b) => a[12] - b[12]).map((part) => part.subarray(14)));
  const ending = endingOf(bytes);
  if (ending?.missing) throw new Refusal("truncated");
  const whole = joined(kept);
  if (!ending) return { ...file, plain: whole };
  const cut = whole.subarray(0, whole.length - (bytes.length - ending.end));
  return { ...file, plain: cut, tails: [END, GARBAGE] };
}

/** The segments before the image data: their marker, place and content. */
function* segments(bytes) {
  let at = 2;
  while (at + 4 <= bytes.length) {
    if (bytes[at] !== 0xff) {
      at++; // bytes between segments are skipped
      continue;
    }
    const kind = bytes[at + 1];
    if (kind === 0xff || kind === 0 || kind === SOI) {
      at++;
      continue;
    }
    if (kind === EOI) return;
    if (kind === 0x01 || (kind >= 0xd0 && kind <= 0xd7)) {
      at += 2;
      continue;
    }
    const end = at + 2 + big(bytes, at + 2, 2);
    yield { kind, start: at, end, body: bytes.subarray(at + 4, end) };
    if (kind === SOS) return;
    at = end;
  }
}

/**
 * Where the data of the last scan ends, and whether a scan that the image needs is missing.
 * Null where the segments are not valid or there is no end marker.
 */
export function endingOf(bytes) {
  let components = [];
  const lowest = new Map(); // by component, for each of 64 coefficients: the lowest bit in its last scan
  let at = 2;
  let scans = 0;
  let end = 0;
  for (;;) {
    const mark = nextMarker(bytes, at);
    if (mark < 0) return null;
    const kind = bytes[mark + 1];
    at = mark + 2;
    if (scans) end ||= mark;
    if (kind === EOI || (scans && kind >= 0x01 && kind < 0xc0)) break;
    if (kind === 0x01) continue;
    const length = big(bytes, at, 2);
    const body = bytes.subarray(at + 2, at + length);
    if (length < 2 || body.length !== length - 2) return null;
    if (DECODED_FRAMES.includes(kind) && !components.length) {
      if (body.length >= 6 + 3 * body[5]) components = Array.from({ length: body[5] }, (_, i) => body[6 + 3 * i]);
    } else if (kind === SOS) {
      scans++;
      end = 0;
      const count = body[0] ?? 0;
      if (body.length < 4 + 2 * count) return null;
      const [first, last, low] = [body.at(-3), body.at(-2), body.at(-1) & 15];
      for (let i = 0; i < count; i++) {
        const component = body[1 + 2 * i];
        if (!lowest.has(component)) lowest.set(component, new Array(64).fill(-1));
        lowest.get(component).fill(low, first, last + 1);
      }
    }
    at += length;
  }
  if (!scans || !components.length) return null;
  const missing =
    components.some((c) => lowest.get(c)?.[0] !== 0) ||
    lowest.get(components[0]).includes(-1) ||
    [...lowest.values()].some((given) => given.some((low) => low > 0));
  return { end, scans, missing };
}

/** The next FF that is followed by a marker: not by 00, a restart marker or another FF. */
function nextMarker(bytes, at) {
  for (;;) {
    const mark = bytes.indexOf(0xff, at);
    if (mark < 0 || mark + 1 >= bytes.length) return -1;
    const next = bytes[mark + 1];
    if (next !== 0 && next !== 0xff && (next < 0xd0 || next > 0xd7)) return mark;
    at = mark + 1;
  }
}
