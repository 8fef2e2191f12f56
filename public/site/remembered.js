/**
 * What was looked at in this browser, the last one first, for pages whose server lists nothing: the
 * ids come from elsewhere, and nobody wants to type one twice.
 */

const MOST = 20;

/** @template {{ id: string }} T */
export class Remembered {
  #key;
  #isOne;
  /** What there is where the browser refuses to keep anything. @type {T[]} */
  #known = [];

  /**
   * @param {string} key where it is kept
   * @param {(kept: any) => boolean} isOne whether what was kept is one of ours
   */
  constructor(key, isOne) {
    this.#key = key;
    this.#isOne = isOne;
  }

  /** @returns {T[]} */
  all() {
    try {
      const kept = JSON.parse(localStorage.getItem(this.#key) ?? "[]");
      return Array.isArray(kept) ? kept.filter(this.#isOne).slice(0, MOST) : [];
    } catch {
      return this.#known;
    }
  }

  /** @param {string} id */
  find(id) {
    return this.all().find((one) => one.id === id);
  }

  /** Know this from now on. What is new comes first, what is known keeps its place. @param {T} one */
  remember(one) {
    const kept = this.all();
    const place = kept.findIndex(({ id }) => id === one.id);
    if (place < 0) this.#keep([one, ...kept]);
    else if (JSON.stringify(kept[place]) !== JSON.stringify(one)) this.#keep(kept.with(place, one));
  }

  /** @param {string} id */
  forget(id) {
    this.#keep(this.all().filter((one) => one.id !== id));
  }

  /** @param {T[]} all */
  #keep(all) {
    this.#known = all.slice(0, MOST);
    try {
      localStorage.setItem(this.#key, JSON.stringify(this.#known));
    } catch {
      // Refused: they are known for as long as the page is open.
    }
  }
}
