// File types by their first bytes, whatever the name: the same answers as facevalue/images/signatures.py.

import { ascii, big, little } from "./bytes.js";

const HEAD = 512; // bytes that are looked at

const HEIF = new Set("heic heix heim heis hevc hevx hevm hevs mif1 mif2 msf1".split(" "));
const STARTS = [
  ["\xff\xd8\xff", "JPEG"],
  ["\x89PNG\r\n\x1a\n", "PNG"],
  ["GIF87a", "GIF"],
  ["GIF89a", "GIF"],
  ["II*\0", "TIFF"],
  ["MM\0*", "TIFF"],
  ["II+\0", "TIFF"],
  ["MM\0+", "TIFF"],
];
const NETPBM = /^P[1-6](\s+|\s*#[^\n]*\n)+\d+\s/;
const BMP_HEADERS = [12, 16, 40, 52, 56, 64, 108, 124];
const FOREIGN = [
  ["8BPS", "Photoshop"],
  ["\xff\x0a", "JPEG XL"],
  ["\0\0\0\x0cJXL ", "JPEG XL"],
  ["\0\0\0\x0cjP  ", "JPEG 2000"],
  ["\xff\x4f\xff\x51", "JPEG 2000"],
  ["II\xbc\x01", "JPEG XR"],
  ["IIRO", "camera raw"],
  ["IIRS", "camera raw"],
  ["IIU\0", "camera raw"],
  ["MMOR", "camera raw"],
  ["FUJIFILMCCD-RAW", "camera raw"],
  ["DDS ", "DDS"],
  ["qoif", "QOI"],
  ["v/1\x01", "OpenEXR"],
  ["#?RADIANCE", "Radiance HDR"],
  ["SIMPLE  =", "FITS"],
  ["gimp xcf", "GIMP"],
  ["\0\0\x01\0", "icon"],
  ["icns", "icon"],
  ["\x01\xda\0\x01", "SGI"],
  ["\x01\xda\x01\x01", "SGI"],
  ["\x0a\x05\x01\x08", "PCX"],
  ["PF\n", "float map"],
  ["Pf\n", "float map"],
  ["P7\n", "PAM"],
  ["%PDF", "PDF"],
  ["%!PS", "PostScript"],
  ["\x93NUMPY", "NumPy array"],
  ["\x89HDF\r\n\x1a\n", "HDF5"],
  ["PK\x03\x04", "zip archive"],
  ["7z\xbc\xaf\x27\x1c", "7z archive"],
  ["Rar!", "rar archive"],
  ["\x1f\x8b", "gzip archive"],
  ["\x1aE\xdf\xa3", "video"],
  ["\0\0\x01\xba", "video"],
];
const FOREIGN_BRANDS = { "crx ": "camera raw", "qt  ": "video", isom: "video", mp41: "video", mp42: "video" };

// TextDecoder's latin1 is windows-1252; here every byte is the character of its number.
const headOf = (bytes) => String.fromCharCode(...bytes.subarray(0, HEAD));

const isRawTiff = (head) => ["II*\0", "MM\0*"].includes(head.slice(0, 4)) && head.slice(8, 10) === "CR";

/** The format of an image that Python reads, or null. */
export function imageFormat(bytes) {
  const head = headOf(bytes);
  if (isRawTiff(head)) return null;
  const known = STARTS.find(([start]) => head.startsWith(start));
  if (known) return known[1];
  if (head.startsWith("RIFF") && head.slice(8, 12) === "WEBP") return "WEBP";
  if (head.slice(4, 8) === "ftyp") {
    const found = brands(bytes);
    if (found.includes("avif") || found.includes("avis")) return "AVIF";
    return found.some((brand) => HEIF.has(brand)) ? "HEIF" : null;
  }
  if (head.startsWith("BM") && head.length >= 18 && BMP_HEADERS.includes(little(bytes, 14, 4))) return "BMP";
  return NETPBM.test(head) ? "PPM" : null;
}

/** The type of a file that Python does not read either, or null. */
export function foreignFormat(bytes) {
  const head = headOf(bytes);
  if (isRawTiff(head)) return "camera raw";
  if (head.slice(4, 8) === "ftyp") return FOREIGN_BRANDS[head.slice(8, 12)] ?? null;
  if (head.startsWith("RIFF") && head.slice(8, 12) === "AVI ") return "video";
  if (head.slice(128, 132) === "DICM") return "DICOM";
  if (head.includes("<svg")) return "SVG";
  return FOREIGN.find(([start]) => head.startsWith(start))?.[1] ?? null;
}

/** The major and the compatible brands of an ISO media file. */
export function brands(bytes) {
  const found = [ascii(bytes, 8, 4)];
  const end = Math.min(big(bytes, 0, 4), Math.min(bytes.length, HEAD));
  for (let at = 16; at < end - 3; at += 4) found.push(ascii(bytes, at, 4));
  return found;
}
