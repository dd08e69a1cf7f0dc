// From a network's outputs to an answer or an abstention: the same rule as facevalue/decision.py.

/** Fields of the card's `abstention` that are followed here. Export refuses a model that has others (web/limits.py). */
export const LIMITS = ["confidence", "novelty", "source", "upper", "lower"];

/** The class: the most probable; with a positive class, that one where its probability is at least the threshold. */
export function decide(card, probabilities) {
  if (card.positive === null) {
    return probabilities.reduce((best, p, i) => (p > probabilities[best] ? i : best), 0);
  }
  const positive = card.classes.indexOf(card.positive);
  // NumPy compares single-precision numbers with limits in single precision.
  return probabilities[positive] >= Math.fround(card.threshold) ? positive : 1 - positive;
}

/** Why the model does not answer; empty where it does. isPositive: whether the leaning is the positive class, or null. */
export function reasonsToAbstain(limits, leaning, novelty, isPositive) {
  const reasons = [];
  if (limits.novelty !== null && novelty > limits.novelty) reasons.push("novel");
  if ((limits.source ?? null) !== null && novelty > limits.source) reasons.push("unknown_source");
  if (leaning < leastSure(limits, isPositive)) reasons.push("uncertain");
  return reasons;
}

/** The probability of the leaning from which it is answered. isPositive: as in reasonsToAbstain. */
export function leastSure({ confidence, upper = null, lower = null }, isPositive) {
  if (isPositive === null) return confidence;
  const own = isPositive ? upper : lower === null ? null : 1 - lower;
  return own === null ? confidence : Math.max(confidence, own);
}

/**
 * The prediction on one image, with the keys that the server's has.
 *
 * outputs: probabilities (a Float32Array in the order of card.classes), novelty (a number), and heat (rows) or null.
 */
export function predictionOf(card, { probabilities, novelty, heat }, path) {
  const winner = decide(card, probabilities);
  const leaning = card.classes[winner];
  const isPositive = card.positive === null ? null : leaning === card.positive;
  const reasons = reasonsToAbstain(card.abstention, probabilities[winner], novelty, isPositive);
  return {
    path,
    label: reasons.length ? null : leaning,
    probabilities: Object.fromEntries(card.classes.map((name, i) => [name, probabilities[i]])),
    abstained: reasons.length > 0,
    reasons,
    leaning,
    threshold: card.positive === null ? null : card.threshold,
    novelty: card.abstention.novelty === null ? null : novelty / card.abstention.novelty,
    error: null,
    heat: heat && scaled(heat),
  };
}

/** A map with 1 as its largest value; all zero where nothing speaks for the class. */
function scaled(heat) {
  const top = Math.fround(Math.max(...heat.flat()));
  return heat.map((row) => row.map((value) => (top > 0 ? Math.fround(value / top) : 0)));
}
