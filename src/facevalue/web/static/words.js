// Figures and answers in words.

import { leastSure } from "./decision.js";
import { isKnown, language, say } from "./text.js";

/** A share as a percentage: never "100 %" or "0 %" for what is only near it. */
export function percent(p) {
  if (p > 0.999 && p < 1) return say("nearly_all");
  if (p > 0 && p < 0.001) return say("nearly_none");
  const n = (100 * p).toLocaleString(language, { minimumFractionDigits: 1, maximumFractionDigits: 1, useGrouping: false });
  return say("percent", { n });
}

/** Names as "a, b or c". */
export function alternatives(names) {
  return names.length < 2 ? names.join("") : say("or", { some: names.slice(0, -1).join(", "), last: names.at(-1) });
}

/** The text with a capital first letter. */
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** Why the model does not answer. */
export function whyNot(prediction, card) {
  const p = prediction.leaning === null ? "" : percent(prediction.probabilities[prediction.leaning]);
  const isPositive = card.positive === null ? null : prediction.leaning === card.positive;
  const limit = percent(leastSure(card.abstention, isPositive));
  const reasons = prediction.reasons.map((reason) => {
    const key = `reasons.${reason}`;
    return isKnown(key) ? say(key, { p, limit, detail: prediction.detail ?? "" }) : `${reason}.`;
  });
  if (prediction.leaning === null) return reasons.join(" ");
  return [...reasons, say("results.leaning", { label: prediction.leaning })].join(" ");
}

/** A failure of an engine as a sentence. */
export function sentenceOf({ reason, values = {}, text }) {
  if (text) return capital(text) + (/[.!?]$/.test(text) ? "" : ".");
  const shown = { ...values };
  for (const name of ["bytes", "limit"]) if (reason === "too_many_bytes") shown[name] = Math.round(values[name] / 2 ** 20);
  return say(`refusals.${reason}`, shown);
}
