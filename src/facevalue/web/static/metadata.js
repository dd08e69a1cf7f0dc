// What a file's metadata say of its origin. Anyone can write or remove them: they are shown beside the verdict and never
// change it.

import { entries, TAGS } from "./images/exif.js";

const LONGEST = 300; // characters of one entry

// https://cv.iptc.org/newscodes/digitalsourcetype: the last part of the address, and what it says.
const SOURCE_TYPE = /DigitalSourceType(?:\s*=\s*"|>|\s+rdf:resource\s*=\s*")\s*([^"<\s]+)/i;
const MADE = new Set(["trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia", "algorithmicMedia", "virtualRecording"]);
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

const string = (value) => (typeof value === "string" ? value : "");

function shortened(text) {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length > LONGEST ? `${line.slice(0, LONGEST)} …` : line;
}
