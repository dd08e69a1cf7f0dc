// ONNX Runtime Web: runs model.onnx on the processor.

import { fetchFile } from "../fetching.js";

const FOLDER = new URL("engine/onnxruntime/", self.siteRoot);

/** Opens the network; the result runs it on one network input. */
export async function open({ model, wasm, side, onBytes }) {
  const [bytes, wasmBinary] = await Promise.all([fetchFile(model, onBytes), fetchFile(wasm, onBytes)]);
  const runtime = await import(new URL("ort.wasm.bundle.min.mjs", FOLDER));
  runtime.env.wasm.wasmBinary = wasmBinary.buffer;
  runtime.env.wasm.numThreads = 1; // more need headers that free hosts do not send
  runtime.env.logLevel = "error";
  const session = await runtime.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
  return async (pixels) => {
    const outputs = await session.run({ pixels: new runtime.Tensor("uint8", pixels, [1, side, side, 3]) });
    return Object.fromEntries(Object.entries(outputs).map(([name, { data, dims }]) => [name, { values: data, shape: dims }]));
  };
}
