/** What the responses of a trial tell of the way that they came. All times in ms. */

/** @import { Leg, Sign } from "./wire.js" */

/** `word` is for the eye, `text` for who wants to know what it means. */
/** @typedef {{ word: string, tone: "good" | "warn" | "bad" | "", text: string }} Verdict */

/** What came this much closer together than it was sent was held on its way. */
const CLOSER = 0.2;
/** What was sent closer together than this is not compared. */
const LEAST_GAP = 150;
const LEAST_PAIRS = 3;
const USUAL_HEARTBEAT = 15_000;
/** How long a response may be without a byte, while others are answered, until that is odd. */
const PATIENCE = 3000;
/** What of two heartbeats' worth of silence is no missed beat yet. */
const LATE = 0.25;
/** How much longer than it said a response may last: the way takes its time, too. */
const GRACE = 2000;
const WHOLE =
  "This platform hands on whole answers, and the server says so: each ends with the first " +
  "events. What lies on the way cannot be told from that.";
const PROXY =
  "Something on the way collects what the server sends: switch buffering off there for event " +
  "streams.";
const SLOW = "The way is slow at times, or something on it collects small pieces.";
const CUT =
  "Responses ended that had not said so, and were not asked to: the server’s platform, or " +
  "something on the way, ends them.";

/**
 * @param {number[]} values
 * @param {number} share of one
 * @returns {number | null} null if there are none
 */
export function quantile(values, share) {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? null;
}

/** @param {Leg} leg */
export function heartbeat({ fields }) {
  const seconds = fields["heartbeat"];
  return typeof seconds === "number" && seconds > 0 ? seconds * 1000 : USUAL_HEARTBEAT;
}

/** How long each response took to its first byte. @param {Leg[]} legs */
export function firstBytes(legs) {
  return legs.flatMap(({ first, requested }) => (first === null ? [] : [first - requested]));
}

/**
 * How much beats come apart from how they were sent, and how many did not come.
 *
 * @param {Leg[]} legs
 * @param {number} now
 */
export function beats(legs, now) {
  /** @type {number[]} */
  const jitter = [];
  let count = 0;
  let missed = 0;
  for (const leg of legs) {
    if (leg.opened === null) continue;
    const every = heartbeat(leg);
    const own = leg.signs.filter(({ kind }) => kind === "beat");
    count += own.length;
    for (const [one, other] of pairs(own)) {
      jitter.push(Math.abs(other.at - one.at - (other.origin - one.origin)));
    }
    const times = [leg.opened, ...own.map(({ at }) => at)];
    times.slice(1).forEach((at, place) => {
      missed += Math.max(0, Math.round((at - (times[place] ?? at)) / every) - 1);
    });
    if (leg.isAsked) continue;
    const silence = (leg.ended ?? now) - (times.at(-1) ?? now);
    missed += Math.max(0, Math.floor(silence / every - LATE));
  }
  return { count, missed, p50: quantile(jitter, 0.5), p95: quantile(jitter, 0.95) };
}

/**
 * By how much this page's clock is ahead of the server's, at most: the time that the quickest beat
 * took is in it. Null before the first.
 *
 * @param {Leg[]} legs
 */
export function clockAhead(legs) {
  const known = legs.flatMap(({ signs }) => signs).filter(({ kind }) => kind === "beat");
  return known.length ? Math.min(...known.map(({ wall, origin }) => wall - origin)) : null;
}

/**
 * Whether something on the way collects what the server sends.
 *
 * Heartbeats have the server's time and numbers that of this page. What was sent with time between
 * came with time between, or was held back. A response without any byte, while numbers that were
 * published meanwhile are on the stream, is held back too.
 *
 * @param {Leg[]} legs
 * @param {number} now
 * @param {(since: number, until: number) => number} published how many numbers were, between
 * @returns {Verdict & { held: number, compared: number }}
 */
export function buffering(legs, now, published) {
  const open = legs.filter(({ opened }) => opened !== null);
  const signs = open.flatMap(apart);
  const compared = signs.length;
  const held = signs.filter(Boolean).length;
  /** @type {(word: string, tone: Verdict["tone"], text: string) => ReturnType<typeof buffering>} */
  const verdict = (word, tone, text) => ({ word, tone, text, held, compared });
  if (open.some(({ fields }) => fields["buffered"] === true)) {
    return verdict("Whole answers", "warn", WHOLE);
  }
  const told = `${held} of ${compared} came together with what was sent before them.`;
  const isKnown = compared >= LEAST_PAIRS;
  if (isKnown && held > compared / 2) return verdict("Held back", "bad", `${told} ${PROXY}`);
  // A function that starts cold is slow to its first byte, too; what comes then tells more.
  const isDoubtful = !isKnown || held > compared / 10;
  const empty = isDoubtful && legs.findLast((leg) => isHeld(leg, now, published));
  if (empty) {
    const time = ((empty.first ?? empty.ended ?? now) - empty.requested) / 1000;
    const silent = `Nothing came for ${time.toFixed(1)} s, though numbers were published.`;
    return verdict("Held back", "bad", `${silent} ${PROXY}`);
  }
  if (!isKnown) return verdict("Not known yet", "", "A few heartbeats or numbers will tell.");
  if (isDoubtful) return verdict("In bursts", "warn", `${told} ${SLOW}`);
  return verdict("At once", "good", held ? told : "What is sent apart comes apart.");
}

/**
 * How long responses last, against what they said.
 *
 * @param {Leg[]} legs
 * @returns {Verdict & { longest: number | null, said: number | null }}
 */
export function lengths(legs) {
  const own = legs.filter(({ opened, isAsked }) => opened !== null && !isAsked);
  const planned = own.filter(({ end }) => end === "planned");
  const lasted = planned.map(lasting);
  const longest = lasted.length ? Math.max(...lasted) : null;
  const last = legs.findLast(({ opened }) => opened !== null);
  const said = last ? limit(last) : null;
  /** @type {(word: string, tone: Verdict["tone"], text: string) => ReturnType<typeof lengths>} */
  const verdict = (word, tone, text) => ({ word, tone, text, longest, said });
  if (own.some(({ end }) => end === "cut" || end === "silent")) return verdict("Cut", "warn", CUT);
  if (!planned.length) return verdict("Not known yet", "", "None has ended by itself yet.");
  const isLate = planned.some((leg) => lasting(leg) > (limit(leg) ?? Infinity) + GRACE);
  return isLate
    ? verdict("Late", "warn", "Planned ends come later than the responses said.")
    : verdict("As planned", "good", "Each ended by itself, within the time that it had named.");
}

/** @param {Leg} leg */
function lasting({ opened, ended }) {
  return (ended ?? 0) - (opened ?? 0);
}

/** How long a response said that it may last. @param {Leg} leg */
function limit({ fields }) {
  const seconds = fields["ends_in"];
  return typeof seconds === "number" ? seconds * 1000 : null;
}

/**
 * Of each pair that was sent apart, whether it came together.
 *
 * @param {Leg} leg
 */
function apart({ signs }) {
  return ["beat", "number"].flatMap((kind) =>
    pairs(signs.filter((sign) => sign.kind === kind)).flatMap(([one, other]) => {
      const sent = other.origin - one.origin;
      return sent < LEAST_GAP ? [] : [other.at - one.at < CLOSER * sent];
    }),
  );
}

/**
 * Whether a response had no byte for long, and numbers to bring.
 *
 * @param {Leg} leg
 * @param {number} now
 * @param {(since: number, until: number) => number} published
 */
function isHeld(leg, now, published) {
  const until = leg.first ?? leg.ended ?? now;
  const isWaiting = leg.status === 0 || leg.status === 200;
  const isLong = until - leg.requested > PATIENCE;
  return isWaiting && isLong && published(leg.requested, until - PATIENCE / 2) > 1;
}

/** @param {Sign[]} signs @returns {[Sign, Sign][]} */
function pairs(signs) {
  return signs.slice(1).map((other, place) => [/** @type {Sign} */ (signs[place]), other]);
}
