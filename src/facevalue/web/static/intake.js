// Where images come from: chosen, dropped, pasted, or taken with the camera.

import { say } from "./text.js";

const byId = (id) => document.getElementById(id);

/** Call `take` with every list of files. */
export function listen(take) {
  byId("pick").addEventListener("change", ({ target }) => {
    take([...target.files]);
    target.value = ""; // so that the same file can be chosen again
  });
  document.addEventListener("paste", ({ clipboardData }) => {
    if (clipboardData?.files.length) take([...clipboardData.files]);
  });
  // Anywhere on the page: a file that misses the box would otherwise replace the page.
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dragging");
  });
  document.addEventListener("dragleave", ({ relatedTarget }) => {
    if (!relatedTarget) document.body.classList.remove("dragging");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dragging");
    dropped(event.dataTransfer).then(take);
  });
  if (navigator.mediaDevices?.getUserMedia) useCamera(take);
}

/** The files that were dropped, with those in folders. */
async function dropped({ items, files }) {
  const entries = [...items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...files];
  const found = [];
  for (const entry of entries) found.push(...(await filesIn(entry)));
  return found;
}

async function filesIn(entry) {
  if (entry.isFile) return entry.name.startsWith(".") ? [] : [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // at most 100 at once
    if (!some.length) return found;
    for (const inner of some) found.push(...(await filesIn(inner)));
  }
}

function useCamera(take) {
  const [dialog, view, note] = ["camera-dialog", "camera-view", "camera-note"].map(byId);
  byId("camera").hidden = false;
  byId("camera").addEventListener("click", async () => {
    note.textContent = "";
    byId("camera-take").disabled = true;
    dialog.showModal();
    try {
      const wanted = { facingMode: "environment", width: { ideal: 1920 }, height: { ideal: 1080 } };
      view.srcObject = await navigator.mediaDevices.getUserMedia({ video: wanted });
      if (!dialog.open) return stop();
      await view.play(); // before, it has no picture
      byId("camera-take").disabled = false;
      byId("camera-take").focus();
    } catch (error) {
      note.textContent = say("camera.refused", { why: error.message });
    }
    return undefined;
  });
  const stop = () => {
    view.srcObject?.getTracks().forEach((track) => track.stop());
    view.srcObject = null;
  };
  dialog.addEventListener("close", stop);
  byId("camera-close").addEventListener("click", () => dialog.close());
  byId("camera-take").addEventListener("click", async () => {
    const canvas = new OffscreenCanvas(view.videoWidth, view.videoHeight);
    canvas.getContext("2d").drawImage(view, 0, 0);
    const blob = await canvas.convertToBlob({ type: "image/png" });
    const time = new Date().toTimeString().slice(0, 8).replaceAll(":", "-");
    dialog.close();
    take([new File([blob], say("camera.name", { time }), { type: "image/png" })]);
  });
}
