/** Events given to the functions that are there for them, with what they say read as JSON. */

/** @import { StreamEvent } from "../follower.js" */
/** @import { StoreOptions } from "./store.js" */

/**
 * Options of a stream that has each event passed to the function of its type too, if there is one.
 *
 * @param {StoreOptions} options
 * @param {Record<string, ((payload: any, event: StreamEvent) => void) | undefined>} handlers by type
 * @returns {StoreOptions}
 */
export function handling(options, handlers) {
  return {
    ...options,
    onEvent: (event) => {
      options.onEvent?.(event);
      const handler = Object.hasOwn(handlers, event.type) ? handlers[event.type] : undefined;
      handler?.(event.json(), event);
    },
  };
}
