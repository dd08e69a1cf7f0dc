// What a file's metadata say of its origin. Anyone can write or remove them: they are shown beside the verdict and never
// change it.

import { entries, TAGS } from "./images/exif.js";

const LONGEST = 300; // characters of one entry

// https://cv.iptc.org/newscodes/digitalsourcetype: the last part of the address, and what it says.
const SOURCE_TYPE = /DigitalSourceType(?:\s*=\s*"|>|\s+rdf:resource\s*=\s*")\s*([^"<\s]+)/i;
// Those that say that an AI or another program made it, as in facevalue/marks/source_types.py.
const MADE = new Set([
  "trainedAlgorithmicMedia",
  "compositeWithTrainedAlgorithmicMedia",
  "compositeSynthetic",
  "algorithmicMedia",
  "trainedAlgorithmicData",
  "dataDrivenMedia",
  "virtualRecording",
  "softwareImage",
]);
const CREATOR_TOOL = /CreatorTool(?:\s*=\s*"|>)([^"<]+)/;
// Text entries in which image generators keep their prompts and settings.
const PROMPTS = new Set(["parameters", "prompt", "workflow", "dream", "sd-metadata", "invokeai_metadata", "generation_data"]);

/** Entries {kind, text}: kind is `c2pa`, `source_type`, `prompt`, `software`, `camera`, `taken` or `text`. */
export function evidenceIn(file) {
  const found = [];
  const add = (kind, text) => text && found.push({ kind, text: shortened(text) });
  if (file.c2pa) found.push({ kind: "c2pa", text: "" });
  const type = SOURCE_TYPE.exec(file.xmp ?? "")?.[1].split("/").at(-1);
  if (type) found.push({ kind: "source_type", text: shortened(type), made: MADE.has(type) });
  for (const [key, value] of file.texts) if (PROMPTS.has(key.toLowerCase())) add("prompt", `${key}: ${value}`);
  const exif = file.exif ? entries(file.exif) : new Map();
  add("software", string(exif.get(TAGS.SOFTWARE)));
  add("software", CREATOR_TOOL.exec(file.xmp ?? "")?.[1]);
  add("camera", [exif.get(TAGS.MAKE), exif.get(TAGS.MODEL)].map(string).filter(Boolean).join(" "));
  add("taken", string(exif.get(TAGS.TAKEN) ?? exif.get(TAGS.DATE)));
  for (const [key, value] of file.texts) if (!PROMPTS.has(key.toLowerCase())) add(key === "Software" ? "software" : "text", key === "Software" ? value : `${key}: ${value}`);
  return found;
}

/**
 * What a server has read, as the same entries: `marks` as /predict gives them. Credentials are checked there.
 * `seen` are the entries of this browser; the server does not look for times and other texts.
 */
export function evidenceOf({ credentials, unsigned }, seen) {
  const { state, signer, issuer, generator } = credentials;
  const found = [];
  const add = (kind, text, made) => text && found.push({ kind, text, ...(made && { made }) });
  const who = [...new Set([signer, issuer].filter(Boolean))].join(", ");
  const told = { valid: who, trusted: who, invalid: credentials.problems.join(", ") };
  if (state !== "none") add(`c2pa_${state}`, told[state] || credentials.detail || "?");
  for (const type of credentials.source_types) add("c2pa_type", type, MADE.has(type));
  for (const type of credentials.ingredient_source_types) add("c2pa_part", type, MADE.has(type));
  add("c2pa_program", generator);
  for (const { kind, text, tool } of unsigned) add(kind, tool ? `${tool}: ${text}` : text, kind === "source_type" && MADE.has(text));
  return [...found, ...seen.filter(({ kind }) => kind === "taken" || kind === "text")];
}

const string = (value) => (typeof value === "string" ? value : "");

function shortened(text) {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length > LONGEST ? `${line.slice(0, LONGEST)} …` : line;
}
