/**
 * Where a reader says how pages are to be kept up to date: a button in the header, and what opens
 * out of it. The same in all tabs.
 */

import { preferences } from "../lastevent/preferences.js";
import { element } from "./dom.js";

/** @import { Preferences } from "../lastevent/preferences.js" */

const STRATEGIES = /** @type {const} */ ([
  ["fast", "Fast", "after about 1 s, and at most 30 s later each time"],
  ["gentle", "Gentle", "after about 3 s, at most 60 s: easier on battery and server"],
]);

/** Put the button into the page's header, unless it is there. */
export function offerPreferences() {
  const header = document.querySelector(".site");
  if (!header || header.querySelector(".preferences")) return;
  const panel = element("div", "panel", "");
  panel.id = "preferences";
  panel.popover = "auto";
  panel.role = "dialog";
  panel.ariaLabel = "Settings";

  const realtime = choice("checkbox", "realtime", "In real time", "off: asked for every 30 s");
  const strategies = STRATEGIES.map(([name, title, hint]) => ({
    name,
    ...choice("radio", "strategy", title, hint),
  }));
  const trace = choice("checkbox", "trace", "Traces in the console", "what the connection does");
  realtime.input.addEventListener("change", () =>
    preferences.set({ realtime: realtime.input.checked }),
  );
  for (const { name, input } of strategies) {
    input.addEventListener("change", () => preferences.set({ strategy: name }));
  }
  trace.input.addEventListener("change", () => preferences.set({ trace: trace.input.checked }));
  panel.append(
    group("Updates", [realtime.label]),
    group(
      "After a cut, come back",
      strategies.map(({ label }) => label),
    ),
    group("To find a fault", [trace.label]),
  );

  /** @param {Readonly<Preferences>} now */
  const show = (now) => {
    realtime.input.checked = now.realtime;
    for (const { name, input } of strategies) input.checked = name === now.strategy;
    trace.input.checked = now.trace;
  };
  show(preferences.get());
  preferences.subscribe(show);

  const button = document.createElement("button");
  button.className = "preferences";
  button.textContent = "Settings";
  button.popoverTargetElement = panel;
  header.append(button, panel);
}

/**
 * @param {string} title
 * @param {Element[]} choices
 */
function group(title, choices) {
  const made = document.createElement("fieldset");
  made.append(element("legend", "", title), ...choices);
  return made;
}

/**
 * @param {"checkbox" | "radio"} type
 * @param {string} name
 * @param {string} title
 * @param {string} hint
 */
function choice(type, name, title, hint) {
  const label = document.createElement("label");
  const input = document.createElement("input");
  input.type = type;
  input.name = name;
  label.append(input, element("span", "", title), element("span", "hint", hint));
  return { label, input };
}
