/**
 * Terminal text as safe HTML: colours by class, so that the page's policy on styles holds and its
 * themes can choose the shades.
 */

import { AnsiUp } from "../vendor/ansi_up/ansi_up.js";

const SELECT_GRAPHIC = /\x1b\[([\d;:]*)m/g;
/** The same where ITU T.416's colons join what belongs together, as in `38:2::255:140:0`. */
const WITH_COLONS = /\x1b\[([\d;]*:[\d;:]*)m/g;
/** Other sequences: they move a cursor that there is none of here, or switch something. */
const SEQUENCE = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\([^]|)/g;
/** Window titles and links: invisible, and the rest of a line when their end is missing. */
const OPERATING_SYSTEM_COMMAND = /\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b\]/g;
const CONTROLS = /[\x00-\x08\x0a-\x1a\x1c-\x1f\x7f]/g;
const RESET = "\x1b[0m";
const LONGEST_STATE = 256;
const SPAN = /<span(?: style="([^"]*)")?(?: class="([^"]*)")?>/g;
const TRUE_COLOUR = /^(background-)?color:rgb\(([\d,]+)\)$/;

const converter = new AnsiUp();
converter.use_classes = true;
// Names of classes rather than styles: see classes().
converter.boldStyle = "bold";
converter.faintStyle = "faint";
converter.italicStyle = "italic";
converter.underlineStyle = "underline";

/**
 * The colours that are in force after `text`, as the text that sets them, if `state` was before.
 *
 * @param {string} state
 * @param {string} text
 */
export function stateAfter(state, text) {
  if (!text.includes("\x1b")) return state;
  for (const [sequence, parameters = ""] of text.matchAll(SELECT_GRAPHIC)) {
    if (/^0*$/.test(parameters)) state = "";
    else if (/^0*;/.test(parameters)) state = sequence;
    else state += sequence;
    if (state.length > LONGEST_STATE) state = sequence;
  }
  return state;
}

/** What of `text` is there to be read: what `show` shows of it. @param {string} text */
export function plain(text) {
  const sequences = text.includes("\x1b") ? text.replace(OPERATING_SYSTEM_COMMAND, "") : text;
  return sequences.replace(SEQUENCE, "").replace(CONTROLS, "");
}

/**
 * Show `text` in `element`; nothing in it is taken for markup.
 *
 * @param {HTMLElement} element
 * @param {string} text
 */
export function show(element, text) {
  if (!text.includes("\x1b")) {
    element.textContent = text.replace(CONTROLS, "");
    return;
  }
  const sequences = text
    .replace(OPERATING_SYSTEM_COMMAND, "")
    .replace(CONTROLS, "")
    .replace(WITH_COLONS, (_, parameters) => `\x1b[${withoutColons(parameters)}m`);
  // The reset also ends a sequence that the line's end has cut.
  element.innerHTML = converter.ansi_to_html(sequences + RESET).replace(SPAN, classes);
  for (const part of element.querySelectorAll("span")) {
    const { fg, bg } = part.dataset;
    if (fg) part.style.setProperty("--fg", `rgb(${fg})`);
    if (bg) part.style.setProperty("--bg", `rgb(${bg})`);
  }
}

/** @param {string} parameters */
function withoutColons(parameters) {
  const parts = parameters.split(";").map((part) => {
    const [code = "", kind, ...values] = part.split(":");
    if (kind === undefined) return part;
    // A colour space may stand before red, green and blue.
    if (code === "38" || code === "48") {
      return [code, kind, ...values.slice(kind === "2" ? -3 : 0)].join(";");
    }
    return code === "4" && kind === "0" ? "24" : code; // other kinds of underlining are underlining
  });
  return parts.join(";");
}

/**
 * @param {string} _span
 * @param {string | undefined} styles
 * @param {string | undefined} names
 */
function classes(_span, styles, names) {
  const found = names ? [names] : [];
  let data = "";
  for (const style of styles?.split(";") ?? []) {
    const [, background, rgb] = TRUE_COLOUR.exec(style) ?? [];
    if (rgb === undefined) found.push(style);
    else {
      const kind = background ? "bg" : "fg";
      found.push(kind);
      data += ` data-${kind}="${rgb}"`;
    }
  }
  return `<span class="${found.join(" ")}"${data}>`;
}
