// Numbers and text in file bytes.

const latin1 = new TextDecoder("latin1");
const utf8 = new TextDecoder("utf-8");

/** Unsigned big-endian number of n bytes. */
export function big(bytes, at, n) {
  let value = 0;
  for (let i = at; i < at + n; i++) value = value * 256 + (bytes[i] ?? 0);
  return value;
}

/** Unsigned little-endian number of n bytes. */
export function little(bytes, at, n) {
  let value = 0;
  for (let i = at + n - 1; i >= at; i--) value = value * 256 + (bytes[i] ?? 0);
  return value;
}

/** n bytes as text, one character a byte. */
export const ascii = (bytes, at, n) => latin1.decode(bytes.subarray(at, at + n));

/** All bytes as text, one character a byte. */
export const latin = (bytes) => latin1.decode(bytes);

/** All bytes as UTF-8. */
export const text = (bytes) => utf8.decode(bytes);

export const startsWith = (bytes, word) => ascii(bytes, 0, word.length) === word;

/** Parts one after the other. */
export function joined(parts) {
  const whole = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** What a zlib stream holds; throws where it is damaged. */
export async function inflated(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const CRC = new Uint32Array(256).map((_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});

/** CRC-32 as in zlib. */
export function crc32(bytes) {
  let c = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) c = CRC[(c ^ bytes[i]) & 255] ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}
