// LiteRT.js: runs model.tflite on the processor, or on the graphics card where there is WebGPU.

import { fetchFile } from "../fetching.js";

const FOLDER = new URL("engine/litert/", self.siteRoot);

/** Opens the network; the result runs it on one network input. */
export async function open({ model, wasm, side, accelerator, onBytes }) {
  const [bytes, wasmBinary] = await Promise.all([fetchFile(model, onBytes), fetchFile(wasm, onBytes)]);
  const { loadLiteRt, loadAndCompile, Tensor } = await import(new URL("index.js", FOLDER));
  self.Module = { wasmBinary, printErr: (line) => /^(INFO|WARNING)/.test(line) || console.error(line) };
  await loadLiteRt(new URL("litert_wasm_internal.js", FOLDER).href);
  const network = await loadAndCompile(bytes, { accelerator });
  return async (pixels) => {
    const input = new Tensor(pixels, [1, side, side, 3]);
    const outputs = await network.run({ pixels: input });
    input.delete();
    const found = {};
    for (const [name, tensor] of Object.entries(outputs)) {
      found[name] = { values: await tensor.data(), shape: [...tensor.type.layout.dimensions] };
      tensor.delete();
    }
    return found;
  };
}
