/** Shows hooks, each in a component that notes what it was given in each commit. */

import { StrictMode, useEffect } from "react";
import { createRoot } from "react-dom/client";
import * as hooks from "lastevent/react";

const roots = new Map();

/** What the components were given, by their names: one entry for each commit. */
window.commits = {};

function Probe({ name, hook, parameters }) {
  const given = hooks[hook](...parameters);
  useEffect(() => {
    (window.commits[name] ??= []).push({ parameters, ...given });
  }, [name, parameters, given]);
  return null;
}

/** Show a hook under a name; under one that is there already it is another render of it. */
window.show = (name, hook, ...parameters) => {
  if (!roots.has(name)) {
    const place = document.body.appendChild(document.createElement("div"));
    roots.set(name, createRoot(place));
  }
  roots.get(name).render(
    <StrictMode>
      <Probe name={name} hook={hook} parameters={parameters} />
    </StrictMode>,
  );
};

window.hide = (name) => {
  roots.get(name).unmount();
  roots.delete(name);
};

/** What a component was given last. */
window.now = (name) => window.commits[name]?.at(-1);

/** The data of its events. */
window.data = ({ events }) => events.map(({ data }) => data).join();
