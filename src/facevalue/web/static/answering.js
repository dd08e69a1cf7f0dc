// Runs in the worker: opens a network, and answers image files with it.

import { checkCanaries } from "./canary.js";
import { predictionOf } from "./decision.js";
import { SiteFileError } from "./fetching.js";
import { Refusal } from "./images/refusal.js";
import { read } from "./reading.js";

const ENGINES = { litert: "./engines/litert.js", onnxruntime: "./engines/onnxruntime.js" };

let card;
let run = null; // the network, once it is open
let queue = Promise.resolve(); // the network takes one image at a time

const CALLS = { open, check, answer };

/** Take the messages that came early, and those to come: {id, call, arguments}. */
export function begin(early) {
  self.onmessage = ({ data }) => take(data);
  early.forEach(({ data }) => take(data));
}

async function take({ id, call, values }) {
  try {
    const [result, transfer] = await CALLS[call](values, (told) => self.postMessage({ id, told }));
    self.postMessage({ id, result }, transfer ?? []);
  } catch (error) {
    self.postMessage({ id, failure: failureOf(error) });
  }
}

function failureOf(error) {
  if (error instanceof Refusal) return { kind: "refused", reason: error.reason, values: error.values };
  if (error instanceof SiteFileError) return { kind: "site_file", values: { file: error.file } };
  return { kind: "failed", values: { why: String(error?.message ?? error).slice(0, 200) } };
}

async function open(values, tell) {
  ({ card } = values);
  const { open } = await import(ENGINES[values.engine]);
  const start = performance.now();
  let arrived = 0;
  const onBytes = (n) => tell((arrived += n));
  run = await open({ ...values, side: card.preprocessing.size, onBytes });
  return [{ seconds: (performance.now() - start) / 1000 }];
}

async function check({ canaries }) {
  return [await checkCanaries(card, canaries, answerTo)];
}

async function answer({ file, name }) {
  const { input, ...seen } = await read(file, card.preprocessing);
  const start = performance.now();
  const prediction = predictionOf(card, await outputsOf(input), name);
  return [{ prediction, ...seen, networkSeconds: (performance.now() - start) / 1000 }];
}

async function answerTo(blob) {
  const { input } = await read(blob, card.preprocessing);
  return { input, prediction: predictionOf(card, await outputsOf(input), null) };
}

/** The network's outputs for one network input. */
async function outputsOf(input) {
  const turn = queue.then(() => run(input));
  queue = turn.catch(() => {});
  const { probabilities, novelty, heat } = await turn;
  return { probabilities: probabilities.values, novelty: novelty.values[0], heat: heat ? rows(heat) : null };
}

function rows({ values, shape }) {
  const [height, width] = shape.slice(-2).map(Number);
  return Array.from({ length: height }, (_, y) => Array.from(values.subarray(y * width, (y + 1) * width)));
}
