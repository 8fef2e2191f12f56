/** Text as the server takes it. */

/** Invisible characters that it refuses: they show nothing, or nothing good. */
const CONTROL = /(?![\t\n])[\p{Cc}\p{Cs}]/gu;

/** Without those, and without the space around it. @param {string} text */
export function clean(text) {
  return text.replace(CONTROL, "").trim();
}
