/** The small pictures beside the words that say how far a message came. */

const PATHS = {
  sending: "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 0 0 0-11M8 5v3.2l2 1.3",
  waiting: "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 0 0 0-11M6.5 5.5v5M9.5 5.5v5",
  failed: "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 0 0 0-11M8 5v3.5M8 10.6v.4",
  sent: "M4 8.5l2.8 2.8L12 5.5",
  delivered: "M1.5 8.5l2.8 2.8L9.5 5.5M7.4 10.3l1 1L13.6 5.5",
  read: "M1.5 8C4 2.8 12 2.8 14.5 8C12 13.2 4 13.2 1.5 8M8 6a2 2 0 1 0 0 4a2 2 0 0 0 0-4",
};
const SVG = "http://www.w3.org/2000/svg";

/** @typedef {keyof typeof PATHS} Icon */

/** @param {Icon} name */
export function icon(name) {
  const made = document.createElementNS(SVG, "svg");
  made.setAttribute("viewBox", "0 0 16 16");
  made.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  made.append(path);
  return made;
}
