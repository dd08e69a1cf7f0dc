// The page: images in, predictions out. Who answers is `data-engine` of the document: this browser, or the server.

import { Batch } from "./batch.js";
import { TOLERANCE } from "./canary.js";
import { BrowserEngine, CannotAnswerError } from "./engines/browser.js";
import { ServerEngine } from "./engines/server.js";
import { listen } from "./intake.js";
import { showModel } from "./model-facts.js";
import { listed, Results } from "./results.js";
import { csv, json, save } from "./saving.js";
import { fillPage, say } from "./text.js";
import { sentenceOf } from "./words.js";

const byId = (id) => document.getElementById(id);
const isServer = document.documentElement.dataset.engine === "server";
const engine = isServer ? new ServerEngine() : new BrowserEngine();
const results = new Results();
const batch = new Batch(engine, results, isChecked);

fillPage();
document.querySelector(".privacy").textContent = say(isServer ? "privacy.server" : "privacy.browser");
listen((files) => take(files));
byId("clear").addEventListener("click", () => {
  results.clear();
  byId("heat-controls").hidden = true;
  byId("pick").focus();
});
byId("save-csv").addEventListener("click", () => save(csv(results.rows, engine.card.classes), "csv", "text/csv"));
byId("save-json").addEventListener("click", () => save(json(results.rows, whatAnswered()), "json", "application/json"));
engine.opened = isServer ? beginServer() : beginBrowser();

async function take(files) {
  if (isServer) engine.opened = beginServer(); // its model may have been replaced
  await batch.add(files);
}

async function beginServer() {
  try {
    await engine.ready();
    showModel(engine.card, engine.links(say));
    byId("state").hidden = true;
  } catch (error) {
    byId("model-note").textContent = say("model.no_card", { why: sentenceOf(error) });
  }
}

async function beginBrowser() {
  state("wait", say("state.start"));
  try {
    if (typeof WebAssembly === "undefined") throw new CannotAnswerError("no_wasm");
    await engine.describe();
    showModel(engine.card, engine.links(say));
    offerEngines();
    await openFirst(engine.choices.filter(({ accelerator }) => accelerator === "wasm"));
    keepForLater();
  } catch (error) {
    stop(error);
  }
}

/** Open the first engine that answers as Python does. */
async function openFirst(choices, note = "") {
  for (const [i, choice] of choices.entries()) {
    try {
      return await openEngine(choice, note);
    } catch (error) {
      if (i === choices.length - 1) throw error;
      note = say("engine.fell_back", { engine: nameOf(choice), why: reasonOf(error) });
    }
  }
}

async function openEngine(choice, note = "") {
  engine.running = choice;
  byId("engine-choice").value = engine.choices.indexOf(choice);
  const bar = byId("loading");
  bar.hidden = false;
  const megabytes = (n) => (n / 1e6).toFixed(1);
  const seconds = await engine.open(choice, (done, total) => {
    Object.assign(bar, { max: total, value: done });
    state("wait", say("state.load", { done: megabytes(done), total: megabytes(total) }));
  });
  bar.hidden = true;
  byId("engine-note").textContent = [note, say("engine.note", { seconds }), engine.isSlow && say("engine.slow")].filter(Boolean).join(" ");
  state("wait", say("state.check"));
  tell(await engine.compare());
}

/** Say how the check went; without the same answers there are none. */
function tell(check) {
  const unread = check.unread.length ? ` ${say("state.unread", { kinds: listed(check.unread) })}` : "";
  if (check.answers.length) throw new CannotAnswerError("other", { kinds: listed(check.answers) });
  if (isChecked()) state("good", say("state.same", { n: check.n - check.unread.length }) + unread);
  else {
    const key = check.inputs.length ? "state.close" : "state.numbers";
    state("doubt", say(key, { kinds: listed(check.inputs), most: check.most.toPrecision(2) }) + unread);
  }
}

function isChecked() {
  if (isServer) return true;
  const { check } = engine;
  return Boolean(check) && !check.inputs.length && !check.answers.length && check.most <= TOLERANCE && check.unread.length < check.n;
}

/** No answers at all: say why, and take no more files. */
function stop(error) {
  state("bad", reasonOf(error));
  byId("loading").hidden = true;
  byId("pick").disabled = true;
  byId("camera").disabled = true;
  document.body.classList.add("stopped");
  engine.opened = new Promise(() => {});
}

function reasonOf(error) {
  if (error instanceof CannotAnswerError) return say(`state.${error.key}`, error.values);
  return say("state.failed", { why: error.message });
}

const nameOf = ({ name, accelerator }) => say(`engine.${name}${accelerator === "webgpu" ? "_webgpu" : ""}`);

function offerEngines() {
  byId("engine").hidden = false;
  byId("engine-choice").replaceChildren(...engine.choices.map((choice, i) => new Option(nameOf(choice), i)));
  byId("engine-choice").addEventListener("change", ({ target }) => {
    // Where the other engine cannot run or answers otherwise, the one before goes on.
    engine.opened = openFirst([engine.choices[target.value], engine.running]).catch(stop);
  });
}

function state(kind, text) {
  byId("state").dataset.kind = kind;
  byId("status").textContent = text;
}

function whatAnswered() {
  const { classes, network } = engine.card;
  return { classes, network: network.name, engine: isServer ? "server" : engine.running, check: engine.check };
}

/** After the first visit the page works without a network. Only https and this machine allow that. */
function keepForLater() {
  navigator.serviceWorker?.register("service-worker.js").catch(() => {});
}
