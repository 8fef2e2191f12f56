/** Has the commands name the server that this page came from, and says how that one does. */

import { request } from "./site/api.js";
import { byId, setText } from "./site/dom.js";

for (const element of document.querySelectorAll(".origin")) {
  element.textContent = location.origin;
}

try {
  const { store, version } = await request("GET", "/api/health");
  setText(byId("server"), `This server runs version ${version} and keeps its events in ${store}.`);
} catch (error) {
  setText(byId("server"), error instanceof Error ? error.message : String(error));
}
