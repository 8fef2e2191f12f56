/**
 * The heights of a list's items, and the sums of them that scrolling needs: where an item begins,
 * and which one is at a place. A binary indexed tree (Fenwick, 1994): each answer and each change
 * takes log n steps.
 */
export class Heights {
  /** Each node sums as many items as its lowest set bit says; nodes count from 1. */
  #sums = [0];
  /** @type {number[]} */
  #heights = [];

  get length() {
    return this.#heights.length;
  }

  get total() {
    return this.top(this.length);
  }

  /** @param {number} height */
  push(height) {
    this.#heights.push(height);
    const node = this.#heights.length;
    let sum = height;
    for (let bit = 1; bit < (node & -node); bit <<= 1) sum += this.#sums[node - bit] ?? 0;
    this.#sums.push(sum);
  }

  /**
   * @param {number} index
   * @returns {number} 0 beyond the end
   */
  get(index) {
    return this.#heights[index] ?? 0;
  }

  /**
   * @param {number} index of an item that is there
   * @param {number} height
   */
  set(index, height) {
    const more = height - this.get(index);
    this.#heights[index] = height;
    for (let node = index + 1; node < this.#sums.length; node += node & -node) {
      this.#sums[node] = (this.#sums[node] ?? 0) + more;
    }
  }

  /** Where an item begins: the sum of those before it. @param {number} index */
  top(index) {
    let sum = 0;
    for (let node = Math.min(index, this.length); node > 0; node -= node & -node) {
      sum += this.#sums[node] ?? 0;
    }
    return sum;
  }

  /**
   * The item at a place; the last one beyond the end, 0 if there is none.
   *
   * @param {number} place from the top of the list
   */
  at(place) {
    let node = 0;
    let rest = place;
    for (let bit = 2 ** Math.floor(Math.log2(this.length || 1)); bit >= 1; bit /= 2) {
      const sum = this.#sums[node + bit];
      if (sum === undefined || sum > rest) continue;
      node += bit;
      rest -= sum;
    }
    return Math.max(0, Math.min(node, this.length - 1));
  }

  /** Forget the first items. @param {number} count */
  shift(count) {
    const rest = this.#heights.slice(count);
    this.clear();
    for (const height of rest) this.push(height);
  }

  clear() {
    this.#heights = [];
    this.#sums = [0];
  }
}
