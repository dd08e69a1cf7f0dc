// The official C2PA library as WebAssembly: the state of each file, one line each. Arguments: a PEM file or -, then
// MEDIA_TYPE=PATH. Run in a folder with node_modules/@contentauth/c2pa-wasm.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const find = createRequire(`${process.cwd()}/x.js`);
const folder = find.resolve("@contentauth/c2pa-wasm/package.json").replace("package.json", "pkg/");
const { initSync, WasmReader } = await import(pathToFileURL(`${folder}c2pa.js`));
initSync({ module: readFileSync(`${folder}c2pa_bg.wasm`) });

const [list, ...files] = process.argv.slice(2);
const trust = list === "-" ? {} : { trust: { user_anchors: readFileSync(list, "utf8") } };
const settings = JSON.stringify({ verify: { remote_manifest_fetch: false }, ...trust });
for (const file of files) {
  const [type, path] = [file.slice(0, file.indexOf("=")), file.slice(file.indexOf("=") + 1)];
  try {
    const reader = await WasmReader.fromBytes(type, new Uint8Array(readFileSync(path)), settings);
    console.log(JSON.parse(reader.json()).validation_state.toLowerCase());
  } catch (error) {
    console.log(String(error).includes("JumbfNotFound") ? "none" : "unreadable");
  }
}
