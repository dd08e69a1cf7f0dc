// A file that gets no answer, with the reason.

/** The reason is a key of `refusals` in text.js and the values that its text needs. */
export class Refusal extends Error {
  constructor(reason, values = {}) {
    super(reason);
    this.reason = reason;
    this.values = values;
  }
}
