/** Messages as a Lastevent server writes them. */

const GENERATION = "019a00000000";

/** The cursor after event `sequence`. */
export function at(sequence, generation = GENERATION) {
  return generation + sequence.toString(16).padStart(10, "0") + (sequence ? "0007" : "0000");
}

export const event = (sequence, data = `"event ${sequence}"`, type = "note") => ({
  id: at(sequence),
  type,
  data,
});

export const control = (state, id, fields = {}) => ({
  id,
  type: "stream",
  data: JSON.stringify({ state, ...fields }),
});

export const open = (sequence, fields = {}) =>
  control("open", at(sequence), { heartbeat: 15, ...fields });

export const rotate = (sequence, retryMs = 40) =>
  control("rotate", at(sequence), { retry_ms: retryMs });

export const beat = { id: undefined, type: "heartbeat", data: '{"timestamp":0}' };

/** A message as it goes over the wire. */
export function frame({ id, type, data }) {
  return `${id === undefined ? "" : `id: ${id}\n`}event: ${type}\ndata: ${data}\n\n`;
}
