/** What `/api/metrics/history` answers, and what the page shows of it. */

import { latency, plain } from "./numbers.js";

/**
 * What was counted in a step: connections on average; the rest a minute or, of events, a second;
 * latencies in ms. Null: not known.
 *
 * @typedef {{ p50: number | null, p95: number | null }} Latency
 * @typedef {Latency & {
 *   connections: number, opened: number, planned: number, left: number, reconnects: number,
 *   published: number, delivered: number, commands: number | null,
 *   stream: Latency, polling: Latency }} Rates
 * @typedef {Rates & { time: number }} Point
 * @typedef {Latency & {
 *   users: number, share: number | null, events: number, requests: number | null,
 *   legs: number, plannedEnds: number, cuts: number, polls: number }} Transport
 * @typedef {{ id: string, kind: string, title: string, opened: number, seen: number }} Incident
 * @typedef {{
 *   from: number, to: number, step: number, points: Point[],
 *   now: (Rates & { servers: number }) | null, whole: Rates | null,
 *   transports: { stream: Transport, polling: Transport }, store: string,
 *   thresholds: { reconnects: number | null }, incidents: Incident[] }} History
 */

/**
 * A line of a chart, and a column of its table.
 *
 * @typedef {{ name: string, of: (rates: Rates) => number | null }} Line
 * @typedef {{ id: string, title: string, unit: string, lines: Line[],
 *   format: (value: number | null) => string, isLatency?: boolean, hint: string,
 *   threshold?: (history: History) => number | null }} ChartPlan
 */

/** @type {ChartPlan[]} */
export const CHARTS = [
  {
    id: "connections",
    title: "Connections",
    unit: "open on average",
    hint: "Event streams that were open at the same time, on average, over all servers.",
    format: plain,
    lines: [{ name: "Open", of: (rates) => rates.connections }],
  },
  {
    id: "latency",
    title: "Delivery latency",
    unit: "in the servers",
    hint: "From the store’s acknowledgement of an event to the readers’ connections.",
    format: latency,
    isLatency: true,
    lines: [
      { name: "p50", of: (rates) => rates.p50 },
      { name: "p95", of: (rates) => rates.p95 },
    ],
  },
  {
    id: "ends",
    title: "Ends and reconnects",
    unit: "a minute",
    hint: "Reconnects: clients that came back though nobody had sent them away.",
    format: plain,
    threshold: (history) => history.thresholds.reconnects,
    lines: [
      { name: "Reconnects", of: (rates) => rates.reconnects },
      { name: "Planned ends", of: (rates) => rates.planned },
      { name: "Clients left", of: (rates) => rates.left },
    ],
  },
  {
    id: "events",
    title: "Events",
    unit: "a second",
    hint: "An event is published once, and delivered to each of its readers.",
    format: plain,
    lines: [
      { name: "Delivered", of: (rates) => rates.delivered },
      { name: "Published", of: (rates) => rates.published },
    ],
  },
  {
    id: "commands",
    title: "Store commands",
    unit: "a minute",
    hint: "What the servers asked the store for, where requests to it are billed.",
    format: plain,
    lines: [{ name: "Commands", of: (rates) => rates.commands }],
  },
  {
    id: "pages",
    title: "Delivery to pages",
    unit: "as pages measured",
    hint: "How much later than the fastest delivery that a page has seen.",
    format: latency,
    isLatency: true,
    lines: [
      { name: "Real time p50", of: (rates) => rates.stream.p50 },
      { name: "Real time p95", of: (rates) => rates.stream.p95 },
      { name: "Polling p50", of: (rates) => rates.polling.p50 },
      { name: "Polling p95", of: (rates) => rates.polling.p95 },
    ],
  },
];

/**
 * @typedef {{ name: string, unit: string, of: (rates: Rates) => string }} Card
 * @type {Card[]}
 */
export const CARDS = [
  { name: "Connections", unit: "", of: (rates) => plain(rates.connections) },
  { name: "Delivery p50", unit: "", of: (rates) => latency(rates.p50) },
  { name: "Delivery p95", unit: "", of: (rates) => latency(rates.p95) },
  { name: "Reconnects", unit: "/min", of: (rates) => plain(rates.reconnects) },
  { name: "Planned ends", unit: "/min", of: (rates) => plain(rates.planned) },
  { name: "Events delivered", unit: "/s", of: (rates) => plain(rates.delivered) },
  { name: "Store commands", unit: "/min", of: (rates) => plain(rates.commands) },
];

/**
 * The times of all steps, and the values of each line there: null where there is none, so that a
 * line has a gap.
 *
 * @param {History} history
 * @param {Line[]} lines
 * @returns {{ times: number[], values: (number | null)[][] }}
 */
export function grid(history, lines) {
  const step = history.step * 1000;
  const count = Math.round((history.to - history.from) / step);
  const times = Array.from({ length: count }, (_, place) => history.from + place * step);
  const values = lines.map(() => /** @type {(number | null)[]} */ (Array(count).fill(null)));
  for (const point of history.points) {
    const place = Math.round((point.time - history.from) / step);
    if (place < 0 || place >= count) continue;
    lines.forEach((line, number) => {
      const column = values[number];
      if (column) column[place] = line.of(point);
    });
  }
  return { times, values };
}
