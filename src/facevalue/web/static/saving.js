// The results as files: CSV with the columns of `facevalue predict --csv`, and JSON.

import { sentenceOfEvidence } from "./results.js";
import { say } from "./text.js";
import { sentenceOf } from "./words.js";

const BOM = "\ufeff"; // so that spreadsheets take it for UTF-8

/** The rows as CSV text. */
export function csv(rows, classes) {
  const head = ["path", "label", "probability", "abstained", "reasons", "leaning", "novelty", "error", ...classes.map((name) => `p_${name}`), "metadata", "checked"];
  const lines = rows.map(({ name, prediction, failure, evidence, checked }) => [
    name,
    prediction?.label,
    prediction?.probabilities[prediction.leaning],
    prediction ? (prediction.abstained ? "True" : "False") : "",
    prediction?.reasons.join(" "),
    prediction?.leaning,
    prediction?.novelty,
    failure && sentenceOf(failure),
    ...classes.map((label) => prediction?.probabilities[label]),
    evidence.map(sentenceOfEvidence).join("; "),
    checked ? "True" : "False",
  ]);
  return BOM + [head, ...lines].map((line) => line.map(cell).join(",") + "\r\n").join("");
}

/** Spreadsheets run cells that begin like a formula; the apostrophe makes them text. As facevalue/support/spreadsheet.py. */
function cell(value) {
  if (typeof value === "number") return value.toFixed(4);
  const text = String(value ?? "");
  const safe = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/.test(text) ? `'${text}` : text;
  return safe && `"${safe.replaceAll('"', '""')}"`; // in quotes: Excel splits at semicolons in some countries
}

/** The rows as JSON text, with what answered. */
export function json(rows, model) {
  const results = rows.map(({ name, prediction, failure, evidence, checked }) => {
    const { heat, ...plain } = prediction ?? EMPTY;
    return { ...plain, path: name, error: failure && sentenceOf(failure), metadata: evidence, checked };
  });
  return `${JSON.stringify({ model, results }, null, 2)}\n`;
}

const EMPTY = { path: null, label: null, probabilities: {}, abstained: false, reasons: [], leaning: null, threshold: null, novelty: null, error: null };

/** Hand a text to the visitor as a file. */
export function save(text, ending, type) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = Object.assign(document.createElement("a"), { href: url, download: `${say("controls.file")}.${ending}` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
