// What a verdict is worth: the sources that the model knows, and what an answer means at the reader's base rate.

import { say } from "./text.js";
import { percent } from "./words.js";

const MOST_SOURCES = 12;
const CONFIDENCE = 0.975; // of each of two intervals, so that both hold together with 95 %

/** Fill the article's lines on sources and base rate; the verdict has been shown. `rate`: see `typedRate`. */
export function showOrigin(article, prediction, card, rate) {
  const box = article.querySelector(".origin");
  const lines = [likeness(prediction, card), ...knownSources(card), othersAnswered(prediction, card)].filter(Boolean);
  box.replaceChildren(...lines.map((text) => Object.assign(document.createElement("p"), { textContent: text })));
  box.hidden = !lines.length;
  showMeaning(article, prediction, card, rate);
}

/** Say what the answer means at a base rate; nothing where there is no answer or no test figures. */
export function showMeaning(article, prediction, card, rate) {
  const line = article.querySelector(".meaning");
  const text = prediction.abstained ? "" : meaningOf(card, prediction.label, rate);
  line.textContent = text;
  line.hidden = !text;
}

/** Whether the image looks like one of the known sources; the graph says how far it is, not from which. */
function likeness({ reasons, leaning }, card) {
  if (!asksForSources(card)) return "";
  if (leaning === null) return say("origin.not_compared");
  return say(reasons.includes("unknown_source") ? "origin.unknown" : "origin.known");
}

/** The known sources of each class. */
export function knownSources(card) {
  const names = card.sources?.names ?? [];
  return card.classes.flatMap((label) => {
    const own = names.filter((name) => name.startsWith(`${label}/`)).map((name) => name.slice(label.length + 1) || "?");
    if (!own.length) return [];
    const some = own.slice(0, MOST_SOURCES).join(", ");
    const shown = own.length > MOST_SOURCES ? say("model.more", { some, n: own.length - MOST_SOURCES }) : some;
    return [say("origin.list", { label, names: shown })];
  });
}

/** How often images of a source are answered that was left out: what "known" is worth. */
function othersAnswered({ abstained }, card) {
  const measured = (card.sources?.left_out ?? []).filter(({ n }) => n > 0);
  if (abstained || !asksForSources(card) || !measured.length) return "";
  const silent = measured.reduce((sum, { rate }) => sum + rate, 0) / measured.length;
  return say("origin.others", { p: percent(1 - silent) });
}

const asksForSources = (card) => Boolean(card.sources) && (card.abstention.source ?? null) !== null;

/** The base rate that the reader typed, as a share of images of the positive class; null if it is no such number. */
export function typedRate(input) {
  const rate = Number(input.value) / 100;
  return input.value !== "" && rate >= 0 && rate <= 1 ? rate : null;
}

/** Whether the card has the figures that a base rate needs. */
export const hasFigures = (card) => card.positive !== null && Boolean(figuresOf(card, card.positive));

function meaningOf(card, answer, rate) {
  const figures = card.positive === null ? null : figuresOf(card, answer);
  if (!figures) return "";
  if (rate === null) return say("rate.type");
  const [share, low, high] = shareRight(figures, answer === card.positive ? rate : 1 - rate);
  const values = { answer, positive: card.positive, rate: percent(rate), n: figures.positives + figures.negatives };
  if (share === null) return say("rate.never", values);
  return say("rate.meaning", { ...values, share: percent(share), low: percent(low), high: percent(high) });
}

/**
 * Counts of the test images: of this class and of the other, and how many of either got this answer. As in
 * reports/base_rate.py, images without an answer count as not called so. null without them, or with other than two classes.
 */
export function figuresOf(card, answer) {
  const test = card.evidence.filter((one) => one.kind === "evaluation" && one.provenance.split === "test").at(-1);
  if (!test?.answered?.length || test.classes.length !== 2) return null;
  const own = test.classes.indexOf(answer);
  const [positives, negatives] = [own, 1 - own].map((i) => test.confusion[i].reduce((sum, n) => sum + n, 0));
  if (!positives || !negatives) return null;
  return { positives, negatives, right: test.answered[own][own], wrong: test.answered[1 - own][own] };
}

/** The share of these answers that are right if a share `rate` of all images is of this class, and its interval. */
export function shareRight({ positives, negatives, right, wrong }, rate) {
  const share = (found, accused) => {
    const [good, bad] = [found * rate, accused * (1 - rate)];
    return good + bad === 0 ? null : good / (good + bad);
  };
  const [found, accused] = [exactInterval(right, positives), exactInterval(wrong, negatives)];
  return [share(right / positives, wrong / negatives), share(found[0], accused[1]) ?? 0, share(found[1], accused[0]) ?? 1];
}

const intervals = new Map(); // every image of a batch needs the same few

/** The Clopper-Pearson interval of k of n. */
function exactInterval(k, n) {
  const key = `${k} of ${n}`;
  if (!intervals.has(key)) {
    const tail = (1 - CONFIDENCE) / 2;
    const low = k === 0 ? 0 : solved((p) => atMost(k - 1, n, p) > 1 - tail);
    const high = k === n ? 1 : solved((p) => atMost(k, n, p) > tail);
    intervals.set(key, [low, high]);
  }
  return intervals.get(key);
}

/** The p in [0, 1] at which a condition that holds below it ends. */
function solved(holds) {
  let [low, high] = [0, 1];
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (holds(middle)) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** The probability of at most k of n, each with probability p in (0, 1). */
function atMost(k, n, p) {
  let log = n * Math.log1p(-p);
  let sum = Math.exp(log);
  for (let i = 1; i <= k; i++) {
    log += Math.log((n - i + 1) / i) + Math.log(p) - Math.log1p(-p);
    sum += Math.exp(log);
  }
  return sum;
}
