// Files of the site: whole, unpacked, and the ones that were exported.

import { crc32 } from "./images/bytes.js";

const GZIP = [0x1f, 0x8b];

/** A site's file that cannot be used. `file` is its name. */
export class SiteFileError extends Error {
  constructor(file, why) {
    super(`${file}: ${why}`);
    this.file = file;
  }
}

/**
 * The bytes of a file of site.json: {path, bytes, crc32, by_place}. Most are kept packed, to be small on every host.
 * `onBytes` is told how many more have arrived.
 */
export async function fetchFile({ path, bytes, crc32: expected, by_place: byPlace }, onBytes = () => {}) {
  let response;
  try {
    response = await fetch(new URL(path, self.siteRoot));
  } catch {
    throw new SiteFileError(path, "cannot be reached");
  }
  if (!response.ok) throw new SiteFileError(path, `status ${response.status}`);
  const parts = [];
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    onBytes(value.length);
  }
  let whole;
  try {
    whole = new Uint8Array(await unpacked(new Blob(parts)));
    if (byPlace) whole = interleaved(whole);
  } catch {
    throw new SiteFileError(path, "is damaged");
  }
  if (whole.length !== bytes || crc32(whole) !== expected) throw new SiteFileError(path, "is not the file that was exported");
  return whole;
}

/** Some hosts name a packed file's coding, and the browser has unpacked it then. */
async function unpacked(blob) {
  const head = new Uint8Array(await blob.slice(0, 2).arrayBuffer());
  if (!GZIP.every((value, i) => head[i] === value)) return blob.arrayBuffer();
  return new Response(blob.stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

/** Numbers of four bytes from all first bytes, all second ones, and so on. */
function interleaved(bytes) {
  const n = Math.floor(bytes.length / 4);
  const out = bytes.slice();
  for (let place = 0; place < 4; place++) for (let i = 0; i < n; i++) out[4 * i + place] = bytes[place * n + i];
  return out;
}
