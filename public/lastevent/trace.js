/**
 * What a stream does, told to the console of the browser, for whoever looks for a fault.
 *
 *     import { traced } from "/lastevent/trace.js";
 *
 *     const stream = new Stream(url, traced("messages", { onEvent: … }));
 *
 * Of an event it says that it came, and how large it is, never what it holds.
 */

/** @import { Options, State } from "../lastevent.js" */
/** @import { Opening, Reset, StreamEvent } from "./follower.js" */

/**
 * Options that tell the console what they hear of, before the page hears of it.
 *
 * @template {Options} T
 * @param {string} name what the stream is called there
 * @param {T} options
 * @param {() => boolean} [isWanted] asked each time
 * @returns {T}
 */
export function traced(name, options, isWanted = () => true) {
  const say = (/** @type {string} */ text) => {
    if (isWanted()) console.info(`lastevent ${name}: ${text}`);
  };
  const { onEvent, onState, onReset, onOpen, onBeat } = options;
  return {
    ...options,
    onOpen: (/** @type {Opening} */ opening) => {
      say(`a response opens ${JSON.stringify(opening.fields)}`);
      onOpen?.(opening);
    },
    onEvent: (/** @type {StreamEvent} */ event) => {
      const { id, type, data } = event;
      say(`event ${type} ${id || "without an id"}, ${data.length} characters`);
      onEvent?.(event);
    },
    onBeat: (/** @type {number | null} */ time) => {
      say(time === null ? "heartbeat" : `heartbeat of ${new Date(time).toISOString()}`);
      onBeat?.(time);
    },
    onState: (/** @type {State} */ state) => {
      say(words(state));
      onState?.(state);
    },
    // Where nobody listens to losses, one stops the stream, which its state says.
    ...(onReset && {
      onReset: (/** @type {Reset} */ reset) => {
        say(`events are lost after ${reset.from ?? "the beginning"}, up to ${reset.to}`);
        onReset(reset);
      },
    }),
  };
}

/** @param {State} state */
function words(state) {
  const { name } = state;
  const attempt = name === "reconnecting" ? `, attempt ${state.attempt} of ${state.of}` : "";
  const seconds = "seconds" in state ? `, the next try in ${state.seconds.toFixed(1)} s` : "";
  const reason = "reason" in state && state.reason ? `: ${state.reason}` : "";
  return name + attempt + seconds + reason;
}
