/** Lists whose items stay where they are, and keep the focus, while others come and go. */

/**
 * @param {HTMLElement} parent
 * @param {readonly Element[]} children all that it is to have, in their order
 */
export function arrange(parent, children) {
  const wanted = new Set(children);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  let next = parent.firstElementChild;
  for (const child of children) {
    if (child === next) next = next.nextElementSibling;
    else parent.insertBefore(child, next);
  }
}
