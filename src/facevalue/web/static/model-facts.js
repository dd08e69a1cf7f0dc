// What the page tells of the model, from its card: what it was made for and from, how good it is, and its limits.

import { leastSure } from "./decision.js";
import { knownSources } from "./origin.js";
import { say } from "./text.js";
import { alternatives, capital, percent } from "./words.js";

const MOST_CLASSES = 12;
const MOST_SOURCES = 12;

const byId = (id) => document.getElementById(id);

/** Fill the question, the note, the figures, the limits and the links. `links`: [{text, href}]. */
export function showModel(card, links) {
  const { classes } = card;
  const question = classes.length <= 3 ? capital(`${alternatives(classes)}?`) : say("question_of", { n: classes.length });
  byId("question").textContent = question;
  document.title = say("title", { question });
  byId("model-note").textContent = say("model.note", { network: card.network.name, n: classes.length, classes: some(classes) });
  const test = card.evidence.filter((one) => one.kind === "evaluation" && one.provenance.split === "test").at(-1);
  byId("model-facts").replaceChildren(
    ...(test ? measured(test) : [fact(say("model.accuracy"), say("model.not_measured"), say("model.care"))]),
    ...madeFrom(card),
    ...knows(card),
    ...sources(card),
    fact(say("model.abstains"), abstains(card)),
  );
  byId("model-limits").replaceChildren(...limits(card, test).map((text) => element("li", text)));
  byId("model-links").replaceChildren(...links.map(({ text, href }) => Object.assign(element("a", text), { href })));
}

function some(classes) {
  if (classes.length <= MOST_CLASSES) return classes.join(", ");
  return say("model.more", { some: classes.slice(0, MOST_CLASSES).join(", "), n: classes.length - MOST_CLASSES });
}

function measured({ accuracy, accuracy_ci, ece, provenance }) {
  const [low, high] = accuracy_ci.map((value) => (100 * value).toFixed(1));
  const interval = say("model.interval", { low, high, n: provenance.n });
  return [
    fact(say("model.accuracy"), say("percent", { n: (100 * accuracy).toFixed(1) }), interval, "figure"),
    fact(say("model.ece"), say("percent", { n: (100 * ece).toFixed(1) }), say("model.ece_note"), "figure"),
  ];
}

/** How many images of which class it learned from, and where they came from. */
function madeFrom(card) {
  const counts = Object.entries(card.data.counts.train ?? {});
  if (!counts.length) return [];
  const n = counts.reduce((sum, [, count]) => sum + count, 0);
  const byClass = counts.slice(0, MOST_CLASSES).map(([label, count]) => say("model.by_class", { n: count, label }));
  const facts = [fact(say("model.learned"), n.toLocaleString(), `${say("model.images")}: ${byClass.join(", ")}`, "figure")];
  if (card.provenance.source) facts.push(fact(say("model.source"), card.provenance.source));
  return facts;
}

/** The sources that it compares images with. */
function knows(card) {
  const lines = knownSources(card);
  return lines.length ? [fact(say("model.knows"), lines.join(" "))] : [];
}

/** Accuracy by source, generator or camera, where an evaluation has looked at such a column. */
function sources(card) {
  const studies = card.evidence.filter((one) => one.kind === "evaluation").flatMap((one) => one.slices ?? []);
  const newest = new Map(studies.map((study) => [study.column, study]));
  return [...newest.values()].map(({ column, slices }) => {
    const lines = slices.slice(0, MOST_SOURCES).map(({ value, accuracy, n }) => say("model.by_source", { value, accuracy: percent(accuracy), n }));
    if (slices.length > MOST_SOURCES) lines.push(say("model.more", { some: "", n: slices.length - MOST_SOURCES }));
    return fact(`${say("model.sources")} (${column})`, lines.join("; "));
  });
}

function abstains({ abstention, classes, positive, stability = null }) {
  const when = [];
  const { upper = null, lower = null, source = null } = abstention;
  if (positive !== null && (upper ?? lower) !== null) {
    for (const label of classes) {
      const limit = percent(leastSure(abstention, label === positive));
      when.push(say("model.below_of", { limit, label }));
    }
  } else if (abstention.confidence > 0) when.push(say("model.below", { limit: percent(abstention.confidence) }));
  if (abstention.novelty !== null) when.push(say("model.unlike"));
  if (source !== null) when.push(say("model.unknown_source"));
  if (stability !== null) when.push(say("model.unstable"));
  return when.join("; ") || say("model.never");
}

function limits(card, test) {
  const found = [say("model.limit_made_for", { classes: alternatives(card.classes.slice(0, MOST_CLASSES)) })];
  found.push(say(test ? "model.limit_tested" : "model.limit_untested"), say("model.limit_proof"));
  if (card.altered?.length) found.push(say("model.limit_altered", { fields: card.altered.join(", ") }));
  for (const { text } of card.data.warnings) found.push(say("model.limit_finding", { text: capital(text) }));
  return found;
}

function fact(name, value, beside, kind = "") {
  const group = document.createElement("div");
  const shown = element("dd", value, kind);
  if (beside) shown.append(element("span", beside, "beside"));
  group.append(element("dt", name), shown);
  return group;
}

function element(tag, text, kind = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = kind;
  return made;
}
