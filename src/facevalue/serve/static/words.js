// What figures and reasons are called in plain words.

/** A share as a percentage: never "100 %" or "0 %" for what is only near it. */
export function percent(p) {
  if (p > 0.999 && p < 1) return "> 99.9 %";
  if (p > 0 && p < 0.001) return "< 0.1 %";
  return `${(100 * p).toFixed(1)} %`;
}

/** Why the model does not answer. */
export function whyNot(prediction, card) {
  if (prediction.leaning === null) return "No face was found in the image, and this model only answers for faces.";
  const sure = percent(prediction.probabilities[prediction.leaning]);
  const limit = card.abstention.confidence;
  const reasons = {
    novel: "This image is unlike those the model learned from, so its answer could not be trusted.",
    uncertain: `The model is not sure enough: it answers from ${percent(limit)}, and here it is at ${sure}.`,
    gate_unsure: `The face cannot be answered for (${prediction.detail}).`,
  };
  const why = prediction.reasons.map((reason) => reasons[reason] ?? reason).join(" ");
  return `${why} If it had to say, it would lean to “${prediction.leaning}”.`;
}

/** The question, a sentence and the figures of a model, from its card. */
export function showModel(card, question, note, facts) {
  const { classes } = card;
  question.textContent = classes.length <= 3 ? asked(classes) : `Which of ${classes.length} classes is this?`;
  document.title = `${question.textContent} · facevalue`;
  note.textContent = `${card.network.name}, ${classes.length} classes: ${some(classes)}.`;
  const test = card.evidence.filter((e) => e.kind === "evaluation" && e.split === "test").at(-1);
  facts.replaceChildren(
    ...(test ? measured(test) : fact("Accuracy on test images", "not measured", "treat its answers with care")),
    ...trained(card),
    ...fact("When it says “I don’t know”", abstains(card.abstention)),
  );
}

function asked(classes) {
  const last = classes.at(-1);
  const text = `${classes.slice(0, -1).join(", ")} or ${last}?`;
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function some(classes) {
  return classes.length <= 12 ? classes.join(", ") : `${classes.slice(0, 12).join(", ")} and ${classes.length - 12} more`;
}

function measured(test) {
  const [low, high] = test.accuracy_ci;
  const interval = `95 % interval ${(100 * low).toFixed(1)} to ${(100 * high).toFixed(1)} %`;
  return [
    ...fact("Right on test images", `${(100 * test.accuracy).toFixed(1)} %`, `${interval}, n = ${test.n}`, "figure"),
    ...fact("Calibration error", `${(100 * test.ece).toFixed(1)} %`, "how far its percentages are off", "figure"),
  ];
}

function trained(card) {
  const counts = Object.values(card.data.counts.train ?? {});
  if (!counts.length) return [];
  return fact("Learned from", counts.reduce((a, b) => a + b).toLocaleString("en"), "images", "figure");
}

function abstains({ confidence, novelty }) {
  const when = [];
  if (confidence > 0) when.push(`below ${percent(confidence)} sure`);
  if (novelty !== null) when.push("images unlike its training data");
  return when.join("; ") || "never";
}

function fact(name, value, beside, kind) {
  const group = document.createElement("div");
  const [dt, dd, small] = ["dt", "dd", "span"].map((tag) => document.createElement(tag));
  dt.textContent = name;
  dd.textContent = value;
  dd.className = kind ?? "";
  small.className = "beside";
  small.textContent = beside || "";
  if (beside) dd.append(small);
  group.append(dt, dd);
  return [group];
}
