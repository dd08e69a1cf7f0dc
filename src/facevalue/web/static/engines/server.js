// The server that the page comes from as the engine.

import { evidenceOf } from "../metadata.js";
import { lookAt } from "../reading.js";

/** What could not be judged, and why: {reason, values} of text.js, or {text} as the server says it. */
const failure = (why) => ({ failure: why });

export class ServerEngine {
  card = null;
  parallel = 2; // the server makes batches of what comes together
  check = null; // the server is Python itself

  /** The card of the first model; it may be replaced at any time, so it is asked for with every batch. */
  async ready() {
    const response = await fetch("card").catch(() => {
      throw { reason: "unreachable" };
    });
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) throw answer.error ? { text: answer.error } : { reason: "status", values: { status: response.status } };
    this.card = answer;
  }

  /** {prediction} or {failure}, with a small picture and metadata where the browser can read the file. */
  async answer(file, name, signal) {
    const [told, seen] = await Promise.all([this.#ask(file, name, signal), lookAt(file)]);
    const marks = told.prediction?.marks;
    return { ...seen, ...told, ...(marks && { evidence: evidenceOf(marks, seen.evidence) }) };
  }

  async #ask(file, name, signal) {
    const body = new FormData();
    body.append("files", file, name);
    try {
      const response = await fetch("predict?heat=true&marks=true", { method: "POST", body, signal });
      const answer = await response.json().catch(() => ({}));
      if (response.ok) return { prediction: answer.results[0] };
      return failure(answer.error ? { text: answer.error } : { reason: "status", values: { status: response.status } });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      return failure({ reason: "unreachable" });
    }
  }

  links(say) {
    return [{ text: say("model.report"), href: "report" }, { text: say("model.card"), href: "card" }];
  }
}
