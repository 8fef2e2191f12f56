/** What pages do with their elements. */

/**
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @returns {T}
 */
export function byId(id) {
  return /** @type {T} */ (document.getElementById(id));
}

/**
 * @param {string} tag
 * @param {string} className
 * @param {string} text
 */
export function element(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

/**
 * @param {HTMLElement} target
 * @param {string} text
 */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/**
 * @param {HTMLElement} parent
 * @param {Element[]} children
 */
export function replaceIfOther(parent, children) {
  const same =
    parent.children.length === children.length &&
    children.every((child, place) => child === parent.children[place]);
  if (!same) parent.replaceChildren(...children);
}
