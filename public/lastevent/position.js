/**
 * Where a reader stands, and whether an event lies behind it.
 *
 * An id is opaque to whoever carries it; but Lastevent's are fixed-width hexadecimal (generation,
 * sequence, proof), so that an event that comes twice can be told by its place, also when others
 * came in between. A foreign server's id has no order: only the very event that a leg was resumed
 * from can be told.
 */

const CURSOR = /^[0-9a-f]{26}$/;
const PART = /^~?[0-9a-f]{34}$/;
const HASH_LENGTH = 8;
// The proof is left out: another proof at the same place is a loss, and the server says that.
const PLACE_LENGTH = 22;

/**
 * Whether `id` is where `position` stands, or before it; null if that cannot be told.
 *
 * In ids of several streams the part that moved, which is marked and stands first, decides.
 *
 * @param {string | null} position
 * @param {string} id
 * @returns {boolean | null}
 */
export function isBehind(position, id) {
  const own = places(position ?? "");
  const moved = places(id.startsWith("~") ? (id.split(".", 1)[0] ?? "") : id);
  if (moved.size === 0) return null;
  for (const [stream, place] of moved) {
    const reached = own.get(stream);
    if (reached === undefined) return null;
    if (place > reached) return false;
  }
  return true;
}

/**
 * The later place in each stream, of two positions; `other`, where places cannot be told.
 *
 * @param {string} one
 * @param {string} other
 */
export function furthest(one, other) {
  if (places(one).size === 0 || places(other).size === 0) return other;
  /** @type {Map<string, string>} */
  const parts = new Map();
  for (const part of `${one}.${other}`.replaceAll("~", "").split(".")) {
    const stream = CURSOR.test(part) ? "" : part.slice(0, HASH_LENGTH);
    if (part > (parts.get(stream) ?? "")) parts.set(stream, part);
  }
  return [...parts.values()].join(".");
}

/**
 * The place in each stream, by the hash of its name; nothing for an id that is not Lastevent's.
 *
 * @param {string} id
 * @returns {Map<string, string>}
 */
function places(id) {
  if (CURSOR.test(id)) return new Map([["", id.slice(0, PLACE_LENGTH)]]);
  /** @type {Map<string, string>} */
  const found = new Map();
  for (const part of id ? id.split(".") : []) {
    if (!PART.test(part)) return new Map();
    const bare = part.replace("~", "");
    found.set(bare.slice(0, HASH_LENGTH), bare.slice(HASH_LENGTH, HASH_LENGTH + PLACE_LENGTH));
  }
  return found;
}
