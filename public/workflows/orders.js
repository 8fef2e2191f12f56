/**
 * What is known of orders: the sum of what was told of them, in whatever order, however often.
 *
 * A page learns of an order by snapshots (docs/workflow.md, "Requests") and by events, and either
 * may be older than the other: a snapshot's cursor was taken before it, so events come again that
 * are in it already, and a snapshot that was asked for may arrive behind events. So both are made
 * into the same kind of fact, and `join` takes of two facts the later one, part by part. By what
 * the server promises a fact says itself how late it is:
 *
 *     an order    a later round, else the one that is over, and progress never goes back
 *     a stage     a later round, else pending < running < failed < done, else more progress
 *
 * Therefore nothing shown goes back, and who joins late ends where everybody else does.
 */

/** @typedef {"pending" | "running" | "completed" | "skipped" | "failed"} Status */
/** @typedef {"waiting" | "running" | "completed" | "failed" | "cancelled"} OrderState */

/**
 * Times in Unix ms, null where they are not known. `error` is empty for none.
 *
 * @typedef {object} Stage
 * @property {string} name
 * @property {Status} status
 * @property {number} round
 * @property {number} progress 0 to 100
 * @property {string} message
 * @property {string} error
 * @property {number | null} startedAt
 * @property {number | null} endedAt
 * @property {Readonly<Record<string, unknown>>} result
 */

/**
 * `isListed`: the server has a record of it; else somebody only tells of it.
 *
 * @typedef {object} Order
 * @property {string} id
 * @property {string} name
 * @property {OrderState} state
 * @property {number} round
 * @property {number} progress 0 to 100
 * @property {boolean} cancelling
 * @property {string} error
 * @property {number | null} createdAt
 * @property {number | null} startedAt
 * @property {number | null} endedAt
 * @property {number | null} againAt
 * @property {Readonly<Record<string, unknown>>} results
 * @property {readonly Readonly<Stage>[]} stages
 * @property {boolean} isListed
 */

const OVER = ["completed", "failed", "cancelled"];
const DONE = ["completed", "skipped"];
/** @type {Record<Status, number>} */
const RANK = { pending: 0, running: 1, failed: 2, completed: 3, skipped: 3 };

/** Whether nothing more happens to it by itself. @param {Pick<Order, "state">} order */
export function isOver({ state }) {
  return OVER.includes(state);
}

/** Whether it is not to be run any more. @param {Pick<Stage, "status">} stage */
export function isDone({ status }) {
  return DONE.includes(status);
}

/** The first stage that is not done. @param {Pick<Order, "stages">} order */
export function current({ stages }) {
  return stages.find((stage) => !isDone(stage));
}

/**
 * An order as the server describes it.
 *
 * @param {any} told
 * @returns {Readonly<Order>}
 */
export function fromSnapshot(told) {
  return Object.freeze({
    id: told.id,
    name: text(told.name),
    state: told.state,
    round: told.round,
    progress: told.progress,
    cancelling: Boolean(told.cancelling),
    error: text(told.error),
    createdAt: number(told.createdAt),
    startedAt: number(told.startedAt),
    endedAt: number(told.endedAt),
    againAt: number(told.againAt),
    results: Object.freeze({ ...told.results }),
    stages: Object.freeze(told.stages.map((/** @type {any} */ it) => stageTold(it, told.round))),
    isListed: true,
  });
}

/**
 * @param {any} told
 * @param {number} round
 * @returns {Readonly<Stage>}
 */
function stageTold(told, round) {
  return Object.freeze({
    name: told.name,
    status: told.status,
    round,
    progress: told.progress,
    message: text(told.message),
    error: text(told.error),
    startedAt: number(told.startedAt),
    endedAt: number(told.endedAt),
    result: Object.freeze({ ...told.result }),
  });
}

/**
 * What an event says of an order; null for one that says nothing. `known` is what was known of it
 * before: others may publish, too, and say no round; what goes on after its end is the next one.
 *
 * @param {string} type
 * @param {Readonly<Record<string, unknown>>} fields
 * @param {Readonly<Order> | undefined} known
 * @returns {Readonly<Order> | null}
 */
export function fromEvent(type, fields, known) {
  const { poId, workflowId, stage, round, time, ...said } = fields;
  if (typeof poId !== "string" || !poId) return null;
  const at = number(time);
  /** @type {Order} */
  const fact = {
    id: poId,
    name: "",
    state: "running",
    round: number(round) ?? roundOf(type, known),
    progress: percent(said["progress"]),
    cancelling: false,
    error: "",
    createdAt: null,
    startedAt: null,
    endedAt: null,
    againAt: null,
    results: {},
    stages: [],
    isListed: false,
  };
  if (type === "failure") {
    fact.state = said["status"] === "cancelled" ? "cancelled" : "failed";
    fact.error = text(said["error"]);
    fact.endedAt = at;
  } else if (type === "completion" && said["over"] === true) {
    const { status, progress, over, ...results } = said;
    Object.assign(fact, { state: "completed", progress: 100, endedAt: at, results });
  } else if (type === "completion") {
    fact.results = said;
  } else if (type !== "progress" && type !== "stage") return null;
  const name = text(stage);
  const part = name ? stageSaid(type, name, said, fact.round, at) : null;
  if (part) fact.stages = [part];
  fact.startedAt = part?.startedAt ?? null;
  return Object.freeze(fact);
}

/**
 * @param {string} type
 * @param {Readonly<Order> | undefined} known
 */
function roundOf(type, known) {
  if (!known) return 1;
  const goesOn = !known.isListed && isOver(known) && type !== "failure";
  return known.round + (goesOn ? 1 : 0);
}

/**
 * @param {string} type
 * @param {string} name
 * @param {Readonly<Record<string, unknown>>} said
 * @param {number} round
 * @param {number | null} at
 * @returns {Readonly<Stage> | null}
 */
function stageSaid(type, name, said, round, at) {
  const message = text(said["message"]);
  /** @type {Stage} */
  const stage = {
    ...{ name, round, message, status: "running", error: "", result: {} },
    ...{ progress: percent(said["stageProgress"]), startedAt: null, endedAt: null },
  };
  if (type === "failure") {
    // The stage at which an order was cancelled may not have begun: its own event says if it had.
    if (said["over"] === true) return null;
    return { ...stage, status: "failed", error: text(said["error"]), endedAt: at };
  }
  if (type === "completion") {
    if (said["over"] === true) return null;
    return { ...stage, status: "completed", progress: 100, endedAt: at, result: said };
  }
  switch (said["status"]) {
    case "completed":
      return { ...stage, status: "completed", progress: 100, endedAt: at };
    case "skipped":
      return { ...stage, status: "skipped", endedAt: at };
    case "failed":
      return { ...stage, status: "failed", error: message, endedAt: at };
    default:
      return { ...stage, startedAt: type === "stage" ? at : null };
  }
}

/**
 * What is known after one more fact. Of two that are as late as each other an event's words count,
 * which come in their order, and not a snapshot's, which may have been on its way for long.
 *
 * @param {Readonly<Order> | undefined} known
 * @param {Readonly<Order>} fact
 * @returns {Readonly<Order>}
 */
export function join(known, fact) {
  if (!known) return fact;
  const ahead = fact.round - known.round || Number(isOver(fact)) - Number(isOver(known));
  const [later, other] = ahead < 0 ? [known, fact] : [fact, known];
  const same = ahead === 0;
  return Object.freeze({
    id: known.id,
    name: known.name || fact.name,
    state: same && known.state === "running" ? "running" : later.state,
    round: later.round,
    progress: Math.max(known.progress, fact.progress),
    cancelling: later.cancelling || (same && other.cancelling),
    error: later.error || (same ? other.error : ""),
    createdAt: known.createdAt ?? fact.createdAt,
    startedAt: fact.isListed
      ? (fact.startedAt ?? known.startedAt)
      : (known.startedAt ?? fact.startedAt),
    endedAt: later.endedAt ?? (same ? other.endedAt : null),
    againAt: fact.isListed && ahead >= 0 ? fact.againAt : ahead > 0 ? null : known.againAt,
    results: Object.freeze({ ...other.results, ...later.results }),
    stages: joinStages(known, fact),
    isListed: known.isListed || fact.isListed,
  });
}

/**
 * In the order of the list that has all of them: a snapshot's, if there is one.
 *
 * @param {Readonly<Order>} known
 * @param {Readonly<Order>} fact
 */
function joinStages(known, fact) {
  const [first, second] = fact.isListed && !known.isListed ? [fact, known] : [known, fact];
  const names = new Set([...first.stages, ...second.stages].map(({ name }) => name));
  return Object.freeze(
    [...names].map((name) => {
      const before = known.stages.find((stage) => stage.name === name);
      const told = fact.stages.find((stage) => stage.name === name);
      if (!before || !told) return /** @type {Stage} */ (before ?? told);
      return joinStage(before, told, fact.isListed);
    }),
  );
}

/**
 * @param {Readonly<Stage>} known
 * @param {Readonly<Stage>} fact
 * @param {boolean} isSnapshot
 * @returns {Readonly<Stage>}
 */
function joinStage(known, fact, isSnapshot) {
  const ahead = lateness(fact, known);
  const [later, other] = ahead < 0 ? [known, fact] : [fact, known];
  const same = later.round === other.round;
  const message = ahead === 0 && isSnapshot ? known.message || fact.message : later.message;
  return Object.freeze({
    ...later,
    progress: Math.max(known.progress, fact.progress),
    message: message || (same ? other.message : ""),
    error: later.error || (same && later.status === "failed" ? other.error : ""),
    startedAt: later.startedAt ?? (same ? other.startedAt : null),
    endedAt: later.endedAt ?? (same && later.status !== "running" ? other.endedAt : null),
    result: Object.freeze({ ...other.result, ...later.result }),
  });
}

/**
 * How much later one is than the other; negative if it is earlier.
 *
 * @param {Readonly<Stage>} one
 * @param {Readonly<Stage>} other
 */
function lateness(one, other) {
  return (
    one.round - other.round ||
    RANK[one.status] - RANK[other.status] ||
    one.progress - other.progress
  );
}

/** @param {unknown} value */
function text(value) {
  return typeof value === "string" ? value : "";
}

/** @param {unknown} value @returns {number | null} */
function number(value) {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

/** @param {unknown} value */
function percent(value) {
  return Math.min(Math.max(number(value) ?? 0, 0), 100);
}
