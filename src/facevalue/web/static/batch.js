// Judging images one after the other, a few at once, with progress and cancel.

import { say } from "./text.js";

const FEW = 5; // so many results are read out one by one

const byId = (id) => document.getElementById(id);

export class Batch {
  #waiting = [];
  #running = 0;
  #total = 0;
  #done = 0;
  #started = 0;
  #isCancelled = false;
  #stop = new AbortController();

  /** engine: answers; results: shows; isChecked(): whether answers are known to be Python's. */
  constructor(engine, results, isChecked) {
    Object.assign(this, { engine, results, isChecked });
    byId("cancel").addEventListener("click", () => this.cancel());
  }

  /** Judge files; they wait until the engine is ready. */
  async add(files) {
    const items = [...files].map((file) => {
      const name = file.name || say("pasted");
      return { file, name, article: this.results.begin(name) };
    });
    if (!items.length) return;
    this.#isCancelled = false;
    byId("results").prepend(...items.map(({ article }) => article));
    if (!this.#total) this.#started = performance.now();
    this.#total += items.length;
    this.#waiting.push(...items);
    this.#report();
    await this.engine.opened;
    this.#fill();
  }

  cancel() {
    const left = this.#waiting.splice(0);
    left.forEach(({ article }) => article.remove());
    this.#total -= left.length;
    this.#stop.abort();
    this.#stop = new AbortController();
    this.#isCancelled = true;
    byId("news").textContent = say("batch.cancelled", { n: left.length });
    this.#report();
  }

  #fill() {
    while (this.#running < this.engine.parallel && this.#waiting.length) this.#judge(this.#waiting.shift());
  }

  async #judge({ file, name, article }) {
    this.#running++;
    try {
      const answer = await this.engine.answer(file, name, this.#stop.signal);
      this.results.finish(article, file, name, answer, this.engine.card, this.isChecked());
      this.#done++;
      this.#announce();
    } catch {
      article.remove(); // cancelled
      this.#total--;
    }
    this.#running--;
    this.#report();
    this.#fill();
  }

  /** Screen readers hear single results, and of many images how far it is. */
  #announce() {
    if (this.#isCancelled) return;
    if (this.#total <= FEW) byId("news").textContent = this.results.news();
    else if (this.#done % 25 === 0 || this.#done === this.#total) {
      byId("news").textContent = say("batch.news", { done: this.#done, n: this.#total });
    }
  }

  #report() {
    const [done, n] = [this.#done, this.#total];
    const isOver = done >= n;
    byId("batch").hidden = isOver || n < 2;
    byId("engine-choice").disabled = !isOver;
    Object.assign(byId("batch-bar"), { max: Math.max(1, n), value: done });
    const seconds = (performance.now() - this.#started) / 1000;
    const rate = done / seconds;
    const values = { done, n, rate, left: duration((n - done) / rate) };
    byId("batch-text").textContent = say(done ? "batch.text" : "batch.start", values);
    if (isOver) [this.#done, this.#total] = [0, 0];
  }
}

function duration(seconds) {
  if (seconds < 90) return say("batch.seconds", { n: Math.ceil(seconds) });
  return say("batch.minutes", { n: Math.ceil(seconds / 60) });
}
