// The worker's first lines. A classic script, not a module: LiteRT.js loads its own script in the old way, which modules
// do not allow.

self.siteRoot = new URL("../", self.location.href).href;
const early = [];
self.onmessage = (event) => early.push(event);
import("./answering.js").then(
  ({ begin }) => begin(early),
  (error) => self.postMessage({ dead: String(error) }),
);
