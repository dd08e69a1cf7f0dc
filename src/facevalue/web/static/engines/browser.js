// The browser itself as the engine: a worker reads files and runs the network, so the page stays responsive.

const ROOT = new URL("../../", import.meta.url);

/** Why the page cannot answer at all: a key of `state` in text.js, with values. */
export class CannotAnswerError extends Error {
  constructor(key, values = {}) {
    super(key);
    this.key = key;
    this.values = values;
  }
}

export class BrowserEngine {
  card = null;
  parallel = 2; // one is read while the network looks at another
  check = null; // how the canaries compare with Python: see canary.js

  #site = null;
  #worker = null;
  #calls = new Map();
  #last = 0;

  /** The engines of this site: [{name, accelerator}], the first one to start with. */
  choices = [];

  /** Read site.json and the card. */
  async describe() {
    this.#site = await json("site.json");
    this.card = await json(this.#site.card);
    const names = Object.keys(this.#site.engines);
    const relaxed = WebAssembly.validate(RELAXED_SIMD);
    this.choices = names.filter((name) => name !== "litert" || relaxed).map((name) => ({ name, accelerator: "wasm" }));
    if (this.choices.some(({ name }) => name === "litert") && (await hasGraphicsCard())) {
      this.choices.splice(1, 0, { name: "litert", accelerator: "webgpu" });
    }
    if (!this.choices.length) throw new CannotAnswerError("no_worker", { why: "no relaxed SIMD" });
  }

  /** Whether the site was exported without the converter for LiteRT. */
  get isSlow() {
    return !("litert" in this.#site.engines);
  }

  /** Start a worker with an engine. `onBytes` is told the bytes that have arrived and their number. Returns seconds. */
  async open({ name, accelerator }, onBytes) {
    this.close();
    this.#worker = new Worker(new URL("../worker.js", import.meta.url));
    this.#worker.onmessage = ({ data }) => this.#heard(data);
    this.#worker.onerror = (event) => this.#died(event.message || "its worker stopped");
    const files = this.#site.engines[name];
    const total = files.model.stored + files.wasm.stored;
    const values = { card: this.card, engine: name, accelerator, ...files };
    const { seconds } = await this.#call("open", values, (arrived) => onBytes(arrived, total));
    return seconds;
  }

  /** Compare with Python's answers. */
  async compare() {
    this.check = await this.#call("check", { canaries: this.#site.canaries });
    return this.check;
  }

  close() {
    this.#worker?.terminate();
    this.#died("it was stopped");
    this.#worker = null;
    this.check = null;
  }

  async ready() {}

  /** {prediction} or {failure}, with a small picture and metadata. */
  async answer(file, name) {
    try {
      return await this.#call("answer", { file, name });
    } catch (error) {
      if (error instanceof CannotAnswerError) return { failure: { reason: "failed", values: error.values } };
      return { failure: error };
    }
  }

  links(say) {
    return [{ text: say("model.card"), href: this.#site.card }];
  }

  #call(call, values, onTold) {
    const id = ++this.#last;
    return new Promise((resolve, reject) => {
      this.#calls.set(id, { resolve, reject, onTold });
      this.#worker.postMessage({ id, call, values });
    });
  }

  #heard({ id, result, failure, told, dead }) {
    if (dead) return this.#died(dead);
    const waiting = this.#calls.get(id);
    if (!waiting) return undefined;
    if (told !== undefined) return waiting.onTold?.(told);
    this.#calls.delete(id);
    if (!failure) return waiting.resolve(result);
    const { kind, reason, values } = failure;
    return waiting.reject(kind === "refused" ? { reason, values } : new CannotAnswerError(kind, values));
  }

  #died(why) {
    for (const { reject } of this.#calls.values()) reject(new CannotAnswerError("no_worker", { why }));
    this.#calls.clear();
  }
}

async function json(path) {
  try {
    const response = await fetch(new URL(path, ROOT));
    if (response.ok) return await response.json();
  } catch {
    // said below
  }
  throw new CannotAnswerError("site_file", { file: path });
}

async function hasGraphicsCard() {
  try {
    return Boolean(await navigator.gpu?.requestAdapter());
  } catch {
    return false;
  }
}

// A module with one relaxed SIMD instruction (i8x16.relaxed_swizzle), which LiteRT's build needs.
const RELAXED_SIMD = Uint8Array.of(
  ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0],
  ...[65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11],
);
