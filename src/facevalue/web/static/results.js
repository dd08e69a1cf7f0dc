// The results on the page: one article for each image, its heat, the summary and the filter.

import { drawHeat } from "./heat.js";
import { hasFigures, showMeaning, showOrigin, typedRate } from "./origin.js";
import { say } from "./text.js";
import { alternatives, percent, sentenceOf, whyNot } from "./words.js";

const MOST_BARS = 8;

const byId = (id) => document.getElementById(id);

export class Results {
  /** {name, prediction, failure, evidence, checked, article} of every image that was judged, in order. */
  rows = [];

  #heats = new Map(); // article -> {heat, preprocessing}
  #cards = new WeakMap(); // article -> the card of the model that answered
  #near = new IntersectionObserver((seen) => seen.forEach((one) => this.#paint(one.target, one.isIntersecting)), {
    rootMargin: "1000px",
  });

  constructor() {
    for (const id of ["heat-on", "heat-strength"]) byId(id).addEventListener("input", () => this.#repaint());
    byId("filter").addEventListener("change", () => this.#filter());
    byId("rate").addEventListener("input", () => this.#atAnotherRate());
  }

  /** An article for an image that is waited for. */
  begin(name) {
    const article = byId("prediction").content.firstElementChild.cloneNode(true);
    article.className = "waiting";
    article.querySelector("figcaption").textContent = name;
    article.querySelector("img").alt = name;
    article.querySelector("h3").textContent = say("results.looking");
    return article;
  }

  /** Put what an engine has answered into the article. */
  finish(article, file, name, answer, card, checked) {
    const { prediction = null, failure = null, evidence = [], picture = null } = answer;
    this.rows.push({ name, prediction, failure, evidence, checked, article });
    showPicture(article, picture ?? file, answer);
    if (failure) showFailure(article, failure);
    else this.#showPrediction(article, prediction, card, checked);
    showEvidence(article, evidence);
    this.summarise();
    this.#filter();
  }

  /** The last result in a sentence, for screen readers. */
  news() {
    const { name, article } = this.rows.at(-1);
    const text = (selector) => article.querySelector(selector).textContent;
    return say("results.news", { name, verdict: text("h3"), why: text(".why") });
  }

  clear() {
    for (const { article } of this.rows) article.remove();
    this.rows = [];
    this.#heats.clear();
    this.#near.disconnect();
    byId("filter").value = "";
    this.summarise();
  }

  /** How many images got which answer, and what can be shown alone. */
  summarise() {
    byId("controls").hidden = this.rows.length === 0;
    const counts = new Map();
    for (const row of this.rows) counts.set(kindOf(row), (counts.get(kindOf(row)) ?? 0) + 1);
    const sorted = [...counts].sort((a, b) => b[1] - a[1] || (wordOf(a[0]) < wordOf(b[0]) ? -1 : 1));
    const shown = sorted.map(([kind, n]) => say("controls.count", { n, what: wordOf(kind) })).join(", ");
    byId("summary").textContent = say("controls.summary", { n: this.rows.length, counts: shown });
    const chosen = byId("filter").value;
    const options = [new Option(say("controls.all"), ""), ...sorted.map(([kind]) => new Option(wordOf(kind), kind))];
    byId("filter").replaceChildren(...options);
    byId("filter").value = counts.has(chosen) ? chosen : "";
    byId("filter-label").hidden = sorted.length < 2;
  }

  #filter() {
    const chosen = byId("filter").value;
    for (const row of this.rows) row.article.hidden = chosen !== "" && kindOf(row) !== chosen;
  }

  #showPrediction(article, prediction, card, checked) {
    const { abstained, label, leaning, probabilities } = prediction;
    article.className = abstained ? "unsure" : "answered";
    article.querySelector("h3").textContent = abstained ? say("results.unsure") : label;
    const sure = () => say("results.sure", { p: percent(probabilities[leaning]) });
    article.querySelector(".why").textContent = abstained ? whyNot(prediction, card) : sure();
    article.querySelector(".bars").replaceChildren(...bars(prediction));
    const mark = article.querySelector(".unchecked");
    mark.hidden = checked;
    mark.textContent = say("state.unchecked");
    this.#cards.set(article, card);
    showOrigin(article, prediction, card, typedRate(byId("rate")));
    byId("rate-label").hidden = !hasFigures(card);
    if (card.positive !== null) byId("rate-text").textContent = say("rate.label", { positive: card.positive });
    this.#showHeat(article, prediction, card);
  }

  #atAnotherRate() {
    const rate = typedRate(byId("rate"));
    for (const { article, prediction } of this.rows) {
      if (prediction) showMeaning(article, prediction, this.#cards.get(article), rate);
    }
  }

  #showHeat(article, { heat, leaning, box }, card) {
    const note = article.querySelector(".heat-note");
    if (!card.network.pooled || leaning === null) return; // no face, so the network was not asked
    note.hidden = false;
    byId("heat-controls").hidden = false;
    if (!heat) {
      note.textContent = say("heat.none");
      return;
    }
    const speaks = heat.some((row) => row.some((value) => value > 0));
    note.textContent = say(speaks ? "heat.warm" : "heat.nowhere", { label: leaning });
    this.#heats.set(article, { heat, preprocessing: { ...card.preprocessing, box } });
    this.#near.observe(article);
  }

  #repaint() {
    for (const article of this.#heats.keys()) style(article.querySelector("canvas"));
  }

  /** Only what is near the window has a painted canvas: hundreds of them would fill the memory. */
  #paint(article, isNear) {
    const img = article.querySelector("img");
    const canvas = article.querySelector("canvas");
    if (!img) return; // the browser could not show the file
    style(canvas);
    const paint = () => {
      const { heat, preprocessing } = this.#heats.get(article) ?? {};
      if (heat) drawHeat(canvas, heat, img.naturalWidth, img.naturalHeight, preprocessing);
    };
    if (!isNear) canvas.width = 0;
    else if (img.complete && img.naturalWidth) paint();
    else img.addEventListener("load", paint, { once: true });
  }
}

function style(canvas) {
  canvas.hidden = !byId("heat-on").checked;
  canvas.style.opacity = byId("heat-strength").value / 100;
}

const kindOf = ({ prediction }) => (!prediction ? "failed:" : prediction.abstained ? "unsure:" : `label:${prediction.label}`);

function wordOf(kind) {
  const [what, ...label] = kind.split(":");
  return what === "label" ? label.join(":") : say(`controls.${what}`);
}

function showPicture(article, blob, { width, height }) {
  const img = article.querySelector("img");
  const url = URL.createObjectURL(blob);
  const shape = (w, h) => article.querySelector(".frame").style.setProperty("--ratio", w / h);
  if (width) shape(width, height);
  img.addEventListener("load", () => {
    shape(img.naturalWidth, img.naturalHeight);
    URL.revokeObjectURL(url);
  });
  img.addEventListener("error", () => {
    const frame = article.querySelector(".frame");
    frame.className = "frame blank";
    frame.textContent = say("results.not_shown");
    URL.revokeObjectURL(url);
  });
  img.src = url;
}

function showFailure(article, failure) {
  article.className = "failed";
  article.querySelector("h3").textContent = say("results.failed");
  article.querySelector(".why").textContent = sentenceOf(failure);
}

function bars(prediction) {
  const rows = Object.entries(prediction.probabilities).sort((a, b) => b[1] - a[1]).slice(0, MOST_BARS);
  return rows.flatMap(([label, p]) => {
    const [name, track, figure, fill] = ["dt", "dd", "dd", "div"].map((tag) => document.createElement(tag));
    const leaning = label === prediction.leaning ? "leaning" : "";
    name.textContent = label;
    name.className = leaning;
    fill.className = "fill";
    fill.style.width = `${100 * p}%`;
    track.className = `track ${leaning}`;
    track.setAttribute("aria-hidden", "true"); // the figure beside it says the same
    track.append(fill);
    figure.className = `percent ${leaning}`;
    figure.textContent = percent(p);
    return [name, track, figure];
  });
}

function showEvidence(article, evidence) {
  if (!evidence.length) return;
  const box = article.querySelector(".evidence");
  box.hidden = false;
  box.open = evidence.some(({ kind, made }) => made || kind.startsWith("c2pa") || kind === "prompt" || kind === "ai_label");
  box.querySelector("summary").textContent = say("evidence.title", { n: evidence.length });
  box.querySelector("ul").replaceChildren(
    ...evidence.map((one) => Object.assign(document.createElement("li"), { textContent: sentenceOfEvidence(one) })),
  );
  box.querySelector(".small").textContent = say("evidence.note");
}

/** One note of a file's metadata in words. */
export const sentenceOfEvidence = ({ kind, text, made }) => say(`evidence.${kind}${made ? "_made" : ""}`, { text });

/** Names of kinds of files in a sentence. */
export const listed = (kinds) => alternatives([...new Set(kinds)]);
