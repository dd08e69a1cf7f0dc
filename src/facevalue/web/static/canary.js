// The check at the start: images that Python has answered, answered here.

import { fetchFile } from "./fetching.js";
import { crc32 } from "./images/bytes.js";

export const TOLERANCE = 1e-4; // of a probability: engines add in different orders

/**
 * Compare answers with Python's.
 *
 * canaries: [{kind, file, input (CRC-32 of the network input), prediction}].
 * Returns {n, inputs, answers, unread, most}: kinds of files with another network input, with another answer, and that
 * could not be read; and the largest difference of a probability. Where none is answered, the network does not run, and
 * the first error is thrown.
 */
export async function checkCanaries(card, canaries, answerTo) {
  const found = { n: canaries.length, inputs: [], answers: [], unread: [], most: 0 };
  let failure = null;
  for (const { kind, file, input: expected, prediction: wanted } of canaries) {
    let seen;
    try {
      seen = await answerTo(new Blob([await fetchFile(file)]));
    } catch (error) {
      failure ??= error;
      found.unread.push(kind);
      continue;
    }
    const { input, prediction } = seen;
    if (crc32(input) !== expected) found.inputs.push(kind);
    const differences = card.classes.map((name) => Math.abs(prediction.probabilities[name] - wanted.probabilities[name]));
    found.most = Math.max(found.most, ...differences);
    const isSame = prediction.label === wanted.label && String(prediction.reasons) === String(wanted.reasons);
    if (!isSame) found.answers.push(kind);
  }
  if (canaries.length && found.unread.length === canaries.length) throw failure;
  return found;
}
