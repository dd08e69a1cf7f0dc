// The page: images in, predictions out. No other host is asked, nothing is stored.

import { drawHeat } from "/static/heat.js";
import { percent, showModel, whyNot } from "/static/words.js";

const byId = (id) => document.getElementById(id);
const results = byId("results");
const shown = []; // {heat, img, canvas} of every prediction with a heat map
let card = null;

/** The card of the model that is served; it may be replaced at any time, so it is asked for with every batch. */
async function loadCard() {
  try {
    const response = await fetch("/card");
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.error);
    card = answer;
  } catch (error) {
    byId("model-note").textContent = `The model cannot be shown: ${readable(error)}`;
    return;
  }
  showModel(card, byId("question"), byId("model-note"), byId("model-facts"));
}

/** Judge images one after the other, each in a request of its own: each answer shows as soon as it is there. */
async function judgeAll(files) {
  const waiting = [...files].map((file) => ({ file, article: newArticle(file) }));
  results.prepend(...waiting.map(({ article }) => article));
  byId("controls").hidden = results.childElementCount === 0;
  if (waiting.length) await loadCard();
  for (const { file, article } of waiting) await judge(file, article);
}

async function judge(file, article) {
  const body = new FormData();
  body.append("files", file, file.name || "pasted image");
  try {
    const response = await fetch("/predict?heat=true", { method: "POST", body });
    const answer = await response.json().catch(() => ({ error: `the server answered with status ${response.status}` }));
    if (!response.ok) throw new Error(answer.error);
    showPrediction(article, answer.results[0]);
  } catch (error) {
    showFailure(article, readable(error));
  }
}

function readable(error) {
  // What fetch throws where no answer came has a text of the browser's that says little.
  const text = error instanceof TypeError ? "the server cannot be reached" : error.message;
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}

function newArticle(file) {
  const article = byId("prediction").content.firstElementChild.cloneNode(true);
  const name = file.name || "pasted image";
  const img = article.querySelector("img");
  const url = URL.createObjectURL(file);
  article.className = "waiting";
  article.querySelector("figcaption").textContent = name;
  img.alt = name;
  img.addEventListener("load", () => {
    img.classList.toggle("tall", img.naturalHeight > 1.15 * img.naturalWidth);
    URL.revokeObjectURL(url);
  });
  img.addEventListener("error", () => {
    const frame = article.querySelector(".frame");
    frame.className = "frame blank";
    frame.textContent = "Your browser cannot show this file.";
    URL.revokeObjectURL(url);
  });
  img.src = url;
  return article;
}

function showPrediction(article, prediction) {
  article.className = prediction.abstained ? "unsure" : "answered";
  article.querySelector("h3").textContent = prediction.abstained ? "I don’t know" : prediction.label;
  article.querySelector(".why").textContent = prediction.abstained
    ? whyNot(prediction, card)
    : `${percent(prediction.probabilities[prediction.leaning])} sure.`;
  article.querySelector(".bars").replaceChildren(...bars(prediction));
  showHeat(article, prediction);
}

function showFailure(article, text) {
  article.className = "failed";
  article.querySelector("h3").textContent = "No prediction";
  article.querySelector(".why").textContent = text;
}

function bars(prediction) {
  const rows = Object.entries(prediction.probabilities).sort((a, b) => b[1] - a[1]).slice(0, 8);
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

function showHeat(article, prediction) {
  const note = article.querySelector(".heat-note");
  note.hidden = false;
  if (prediction.leaning === null) {
    note.hidden = true;
    return;
  }
  if (!prediction.heat) {
    note.textContent = "This kind of network cannot show what spoke for its answer.";
    return;
  }
  note.textContent = prediction.heat.flat().some((value) => value > 0)
    ? `Warm areas spoke for “${prediction.leaning}”.`
    : `No area of the image spoke for “${prediction.leaning}” more than against it.`;
  const img = article.querySelector("img");
  const canvas = article.querySelector("canvas");
  if (!img) return; // the browser could not show the file
  const entry = { heat: prediction.heat, box: prediction.box, img, canvas };
  shown.push(entry);
  if (img.complete && img.naturalWidth) paint(entry);
  else img.addEventListener("load", () => paint(entry));
}

function paint({ heat, box, img, canvas }) {
  canvas.hidden = !byId("heat-on").checked;
  canvas.style.opacity = byId("heat-strength").value / 100;
  drawHeat(canvas, heat, img.naturalWidth, img.naturalHeight, { ...card.preprocessing, box });
}

const repaint = () => shown.forEach(paint);
byId("heat-on").addEventListener("change", repaint);
byId("heat-strength").addEventListener("input", repaint);
byId("clear").addEventListener("click", () => {
  results.replaceChildren();
  shown.length = 0;
  byId("controls").hidden = true;
  byId("pick").focus();
});

byId("pick").addEventListener("change", (event) => {
  judgeAll([...event.target.files]);
  event.target.value = ""; // so that the same file can be chosen again
});

document.addEventListener("paste", (event) => {
  if (event.clipboardData?.files.length) judgeAll([...event.clipboardData.files]);
});

// Anywhere on the page: a file that misses the box would otherwise replace the page.
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dragging");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dragging");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  judgeAll([...event.dataTransfer.files]);
});

loadCard();
