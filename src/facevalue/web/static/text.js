// Every text of the page. To translate it, translate the values here and set `language`.
//
// {name} stands for a value. An entry with `one` and `other` is chosen by {n}, by the language's plural rules.

export const language = "en";

const TEXTS = {
  motto: "Don’t take an image, or a classifier, at face value.",
  question: "What is in this image?",
  question_of: "Which of {n} classes is this?",
  title: "{question} · facevalue",
  or: "{some} or {last}",

  drop: {
    here: "Drop images here, or",
    choose: "choose files",
    paste: "You can also paste one with Ctrl V",
  },
  privacy: {
    browser: "Images stay on your device: this page sends nothing anywhere.",
    server: "Images go to this server to be judged, and are not stored.",
  },
  camera: {
    title: "Camera",
    open: "Use the camera",
    take: "Take the picture",
    close: "Close",
    name: "camera {time}.png",
    refused: "The camera cannot be used: {why}.",
  },
  pasted: "pasted image",

  state: {
    title: "State of the page",
    loading: "Loading",
    start: "Starting …",
    load: "Loading the model: {done} of {total} MB",
    check: "Comparing this browser with Python …",
    same: { one: "Checked: {n} test image gets the same answer here as in Python.", other: "Checked: {n} test images get the same answers here as in Python." },
    close: "Not the same as in Python: this browser reads {kinds} in another way, and probabilities of the test images differ by up to {most}. Their labels are the same. Answers here are marked as not checked.",
    numbers: "Not the same as in Python: probabilities of the test images differ by up to {most}. Their labels are the same. Answers here are marked as not checked.",
    other: "This browser gives other answers than Python to {kinds}, so this page gives none. Settings that hide who you are may change images on purpose: try without them, or another browser.",
    unread: "This browser cannot read: {kinds}.",
    unchecked: "not checked: this browser reads images in another way than Python",
    no_wasm: "This browser has no WebAssembly, which the model needs, so it cannot answer here. Switch it on (strict or lockdown modes switch it off), or use another browser.",
    no_worker: "This browser cannot run the model: {why}. Update it, or use another one.",
    site_file: "The file {file} of this site cannot be loaded, so there are no answers. Reload the page; if that does not help, its owner should upload the whole site again.",
    failed: "The model cannot be run in this browser: {why}.",
    server: "This server answers.",
  },
  engine: {
    title: "How it runs here",
    choose: "Engine",
    litert: "LiteRT on the processor",
    litert_webgpu: "LiteRT on the graphics card (WebGPU)",
    onnxruntime: "ONNX Runtime on the processor",
    note: "Loaded in {seconds} s. Nothing leaves this device, and after the first visit the page works without a network.",
    slow: "This site has ONNX Runtime alone: LiteRT, which is faster, was not installed where it was exported, or cannot run this network.",
    fell_back: "{engine} cannot run here: {why}.",
  },

  batch: {
    title: "Progress",
    cancel: "Cancel",
    text: "{done} of {n} images, {rate} a second, {left} left",
    start: "{done} of {n} images",
    seconds: "{n} s",
    minutes: "{n} min",
    cancelled: { one: "Cancelled: {n} image was not judged.", other: "Cancelled: {n} images were not judged." },
    news: "{done} of {n} images are judged.",
  },
  controls: {
    title: "Results",
    filter: "Show",
    all: "all",
    csv: "Save as CSV",
    json: "Save as JSON",
    clear: "Clear",
    file: "facevalue-results",
    summary: { one: "{n} image: {counts}", other: "{n} images: {counts}" },
    count: "{n} {what}",
    unsure: "without an answer",
    failed: "not readable",
  },
  heat: {
    show: "Show what spoke for the answer",
    strength: "Strength",
    none: "This kind of network cannot show what spoke for its answer.",
    warm: "Warm areas spoke for “{label}”.",
    nowhere: "No area of the image spoke for “{label}” more than against it.",
  },
  results: {
    title: "Predictions",
    looking: "Looking …",
    unsure: "I don’t know",
    failed: "No prediction",
    sure: "{p} sure.",
    leaning: "If it had to say, it would lean to “{label}”.",
    not_shown: "Your browser cannot show this file.",
    news: "{name}: {verdict} {why}",
  },
  percent: "{n} %",
  nearly_all: "> 99.9 %",
  nearly_none: "< 0.1 %",

  reasons: {
    novel: "This image is unlike those the model learned from, so its answer could not be trusted.",
    uncertain: "The model is not sure enough: it answers from {limit}, and here it is at {p}.",
    no_face: "No face was found in the image, and this model only answers for faces.",
    gate_unsure: "The model does not answer for this face ({detail}).",
    unstable: "The answer changes when the image is changed a little.",
    unknown_source: "The image comes from a source that the model does not know.",
  },
  refusals: {
    empty: "The file is empty.",
    no_image: "The file is not an image in a known format.",
    foreign: "The file is of the type {type}, which is not supported. Convert it to PNG or JPEG.",
    heic: "Browsers cannot read HEIC images as Python does. Convert it to JPEG, or set the phone’s camera to take JPEGs.",
    no_browser_format: "Browsers cannot read {type} files. Convert it to PNG or JPEG.",
    other_decoder: "Browsers read this kind of file in another way than Python: {what}. Convert it to PNG or JPEG.",
    profile: "The image has a colour profile that this page cannot follow as Python does. Save it with the profile sRGB.",
    damaged: "The file is damaged, or the browser cannot read it.",
    truncated: "The file is truncated.",
    too_large: "The image has {width} x {height} pixels, more than the {limit} allowed.",
    too_large_here: "The image has {width} x {height} pixels, more than this browser can hold.",
    too_many_bytes: "The file has {bytes} MB; this page reads files of up to {limit} MB.",
    failed: "The image could not be judged: {why}.",
    unreachable: "The server cannot be reached.",
    status: "The server answered with status {status}.",
  },

  origin: {
    known: "It looks like the sources that the model knows:",
    unknown: "It looks like none of the sources that the model knows:",
    not_compared: "It was not compared with the sources that the model knows:",
    list: "{label}: {names}.",
    others: "Images of other sources can look like these: of sources that were left out in turn, {p} of the images were answered all the same.",
  },
  rate: {
    label: "Of all images that you see, “{positive}” are",
    meaning: "If {rate} of the images that you see are “{positive}”, {share} of the answers “{answer}” are right (95 % interval {low} to {high}; from {n} test images like those it learned from).",
    never: "None of the {n} test images got the answer “{answer}”, so nothing is known of how often it is right.",
    type: "Type a rate from 0 to 100 to see what this answer means.",
  },
  evidence: {
    title: { one: "{n} mark of origin in the file", other: "{n} marks of origin in the file" },
    note: "Marks are no proof: saving or sending an image removes them, so their absence says nothing, and anyone can write a mark that is not signed. They are not part of the probability.",
    c2pa: "Content Credentials (C2PA): present, not checked here",
    c2pa_trusted: "Content Credentials (C2PA): signed by {text}, whom the server’s trust list names; unchanged since",
    c2pa_valid: "Content Credentials (C2PA): signed by {text}, whom no trust list names; unchanged since",
    c2pa_invalid: "Content Credentials (C2PA) do not hold: the file was changed after it was signed, or the certificate is not accepted ({text})",
    c2pa_unreadable: "Content Credentials (C2PA): damaged, so they show nothing ({text})",
    c2pa_not_checked: "Content Credentials (C2PA): present, not checked ({text})",
    c2pa_program: "Program, as the credentials say: {text}",
    c2pa_type: "Source, as the credentials say: {text}",
    c2pa_type_made: "Source, as the credentials say: {text}, which means made by an AI or a computer",
    c2pa_part: "Made from an image whose credentials say: {text}",
    c2pa_part_made: "Made from an image whose credentials say: {text}, which means made by an AI or a computer",
    ai_label: "Label of AI content: {text}",
    credit: "Credit: {text}",
    source_type: "Source, as the file says: {text}",
    source_type_made: "Source, as the file says: {text}, which means made by an AI or a computer",
    prompt: "An image generator’s settings: {text}",
    software: "Software: {text}",
    camera: "Camera, as the file says: {text}",
    taken: "Time: {text}",
    text: "{text}",
  },

  model: {
    title: "About this model",
    asking: "Asking for the model …",
    no_card: "The model cannot be shown: {why}",
    note: "{network}, {n} classes: {classes}.",
    more: "{some} and {n} more",
    accuracy: "Right on test images",
    not_measured: "not measured",
    care: "treat its answers with care",
    interval: "95 % interval {low} to {high} %, n = {n}",
    ece: "Calibration error",
    ece_note: "how far its percentages are off",
    learned: "Learned from",
    images: "images",
    by_class: "{n} {label}",
    source: "Source",
    sources: "Sources it was tested on",
    by_source: "{value}: {accuracy} right, n = {n}",
    abstains: "When it says “I don’t know”",
    below: "below {limit} sure",
    below_of: "below {limit} sure of “{label}”",
    unlike: "images unlike its training data",
    unknown_source: "images of sources that it does not know",
    knows: "Sources it knows",
    unstable: "answers that change when the image is changed a little",
    never: "never",
    limits: "Its limits",
    limit_made_for: "It was made to tell {classes}. It knows nothing else: other images get one of these answers too, or none.",
    limit_tested: "Its figures hold for images like its test images. Other cameras, generators and edits can give other figures.",
    limit_untested: "How often it is right was not measured.",
    limit_proof: "A verdict is an estimate and no proof. Do not decide about a person by it alone.",
    limit_altered: "Somebody changed these entries of its card by hand: {fields}.",
    limit_finding: "{text}",
    card: "The whole card (JSON)",
    report: "The report",
  },
};

const plurals = new Intl.PluralRules(language);

/** The text of a key such as "drop.here", with its values filled in. */
export function say(key, values = {}) {
  let entry = key.split(".").reduce((found, part) => found?.[part], TEXTS);
  if (typeof entry === "object") entry = entry[plurals.select(values.n)] ?? entry.other;
  if (entry === undefined) return key;
  return entry.replace(/\{(\w+)\}/g, (_, name) => shown(values[name]));
}

const shown = (value) => (typeof value === "number" ? value.toLocaleString(language, { maximumFractionDigits: 1 }) : String(value));

/** Whether there is such a text. */
export const isKnown = (key) => say(key, { n: 1 }) !== key;

/** Put the texts into the page. */
export function fillPage(root = document) {
  root.documentElement.lang = language;
  for (const element of root.querySelectorAll("[data-text]")) element.textContent = say(element.dataset.text);
  for (const element of root.querySelectorAll("[data-label]")) element.setAttribute("aria-label", say(element.dataset.label));
}
