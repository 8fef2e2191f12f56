/** Callbacks, whose faults are not ours. */

/**
 * Call back. What a callback throws is its own defect, and must not be taken for the stream's.
 *
 * @template T
 * @param {((value: T) => void) | undefined} callback
 * @param {T} value
 */
export function call(callback, value) {
  try {
    callback?.(value);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
