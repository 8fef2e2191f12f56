/** Whether numbers came all, once and in order. */

export class Sequence {
  received = 0;
  doubled = 0;
  outOfOrder = 0;
  /** The highest so far. */
  last = 0;
  #seen = new Set();

  /** @param {number} number from 1 on */
  take(number) {
    if (this.#seen.has(number)) {
      this.doubled += 1;
      return;
    }
    this.#seen.add(number);
    this.received += 1;
    if (number < this.last) this.outOfOrder += 1;
    this.last = Math.max(this.last, number);
  }

  /** How many before the last have not come. */
  get missing() {
    return this.last - this.received;
  }

  get isWhole() {
    return !this.missing && !this.doubled && !this.outOfOrder;
  }
}

/**
 * What a replay must bring: each number after `after` once and in order, at least up to `upTo`.
 *
 * @param {number[]} numbers
 * @param {number} after
 * @param {number} upTo
 */
export function isExactly(numbers, after, upTo) {
  const isInOrder = numbers.every((number, place) => number === after + 1 + place);
  return isInOrder && after + numbers.length >= upTo;
}

/** The number in an event's data, null if there is none. @param {string} data */
export function numberIn(data) {
  try {
    const { n } = Object(JSON.parse(data));
    return Number.isInteger(n) && n > 0 ? n : null;
  } catch {
    return null;
  }
}
