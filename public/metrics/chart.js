/**
 * One chart: its title, what its lines mean, the lines, and the same numbers as a table.
 *
 * uPlot draws. Lines differ by dash as well as by colour; where there is no value there is a gap,
 * and a value between two gaps is a dot.
 */

import { element, setText } from "../site/dom.js";
import UPlot from "../vendor/uplot/uPlot.esm.js";
import { grid } from "./history.js";
import { NONE, when } from "./numbers.js";
import { fill } from "./table.js";

/** @import uPlot from "../vendor/uplot/uPlot.esm.js" */
/** @import { ChartPlan, History } from "./history.js" */

const HEIGHT = 190;
const DAY = 86_400_000;
const COLOURS = ["--accent", "--warn", "--quiet", "--good"];
const DASHES = [[], [7, 4], [2, 3], [10, 3, 2, 3]];
/** Less than this, in ms, has no place on a logarithmic scale. */
const LEAST = 0.1;

export class Chart {
  #plan;
  #canvas = element("div", "canvas", "");
  #reading = element("p", "reading", "");
  #table = document.createElement("table");
  #details = document.createElement("details");
  /** @type {uPlot | null} */
  #plot = null;
  /** @type {History | null} */
  #history = null;
  /** The threshold that is drawn. @type {number | null} */
  #limit = null;

  /**
   * @param {HTMLElement} parent
   * @param {ChartPlan} plan
   */
  constructor(parent, plan) {
    this.#plan = plan;
    const figure = element("figure", "chart", "");
    figure.id = `chart-${plan.id}`;
    const title = element("h3", "", plan.title);
    title.append(" ", element("span", "unit", plan.unit));
    this.#canvas.role = "img";
    const scrolls = element("div", "scrolls", "");
    scrolls.role = "region";
    scrolls.ariaLabel = `${plan.title}: numbers`;
    scrolls.tabIndex = 0;
    scrolls.append(this.#table);
    this.#details.append(element("summary", "", "Numbers as a table"), scrolls);
    this.#details.addEventListener("toggle", () => this.#showTable());
    const caption = document.createElement("figcaption");
    caption.append(title, element("p", "hint", plan.hint), this.#legend(), this.#reading);
    figure.append(caption, this.#canvas, this.#details);
    parent.append(figure);
    new ResizeObserver(() => this.#resize()).observe(this.#canvas);
    // A canvas does not take up new colours by itself.
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.#plot?.destroy();
      this.#plot = null;
      this.#draw();
    });
  }

  /** @param {History} history */
  show(history) {
    this.#history = history;
    this.#canvas.ariaLabel = this.#summary(history);
    this.#draw();
    this.#showTable();
  }

  #legend() {
    const list = element("ul", "legend", "");
    this.#plan.lines.forEach((line, number) => {
      const item = element("li", "", line.name);
      item.dataset["line"] = String(number);
      list.append(item);
    });
    if (this.#plan.threshold) {
      const item = element("li", "", "");
      item.dataset["line"] = "threshold";
      list.append(item);
    }
    return list;
  }

  /** What somebody hears who does not see the lines. @param {History} history */
  #summary(history) {
    const { lines, format, title, unit } = this.#plan;
    const { values } = grid(history, lines);
    const parts = lines.map((line, number) => {
      const known = (values[number] ?? []).filter((value) => value !== null);
      if (!known.length) return `${line.name}: no data`;
      const most = Math.max(...known);
      return `${line.name}: ${format(known.at(-1) ?? null)} at last, ${format(most)} at most`;
    });
    return `${title}, ${unit}. ${parts.join("; ")}.`;
  }

  #draw() {
    const history = this.#history;
    if (!history) return;
    const { lines, isLatency, threshold } = this.#plan;
    const { times, values } = grid(history, lines);
    const shown = isLatency
      ? values.map((column) => column.map((ms) => (ms === null ? null : Math.max(ms, LEAST))))
      : values;
    /** @type {uPlot.AlignedData} */
    const data = [times.map((time) => time / 1000), ...shown];
    this.#limit = threshold?.(history) ?? null;
    this.#showLimit();
    if (this.#plot) this.#plot.setData(data);
    else this.#plot = new UPlot(this.#options(), data, this.#canvas);
  }

  /** @returns {uPlot.Options} */
  #options() {
    const { lines, format, isLatency } = this.#plan;
    const colour = colours();
    const axis = {
      stroke: colour("--quiet"),
      grid: { stroke: colour("--line"), width: 1 },
      ticks: { stroke: colour("--line"), width: 1, size: 4 },
      font: "12px system-ui, sans-serif",
    };
    return {
      width: this.#canvas.clientWidth || 300,
      height: HEIGHT,
      padding: [8, null, null, null],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
      scales: {
        x: { time: true },
        y: isLatency
          ? { distr: 3, range: (_, least, most) => UPlot.rangeLog(least || 1, most || 100, 10, true) }
          : { range: (_, __, most) => [0, Math.max(1, this.#limit ?? 0, most ?? 0) * 1.1] },
      },
      axes: [
        { ...axis, space: 56, values: (_, splits, __, ___, step) => splits.map((it) => tick(it, step)) },
        {
          ...axis,
          size: 58,
          grid: isLatency ? { ...axis.grid, filter: (_, splits) => splits.map(power) } : axis.grid,
          values: (_, splits) => splits.map((it) => (it === null ? "" : format(it))),
        },
      ],
      series: [
        {},
        ...lines.map(({ name }, number) => ({
          label: name,
          stroke: colour(COLOURS[number] ?? "--text"),
          width: 2,
          dash: DASHES[number] ?? [],
          points: { show: true, size: 5, filter: lonely },
        })),
      ],
      hooks: {
        setCursor: [(plot) => this.#read(plot)],
        draw: [(plot) => this.#limit !== null && rule(plot, this.#limit, colour("--bad"))],
      },
    };
  }

  #showLimit() {
    const item = this.#canvas.parentElement?.querySelector("[data-line=threshold]");
    if (!(item instanceof HTMLElement)) return;
    item.hidden = this.#limit === null;
    setText(item, `Alert at ${this.#plan.format(this.#limit)}`);
  }

  #resize() {
    const width = this.#canvas.clientWidth;
    if (this.#plot && width && width !== this.#plot.width) this.#plot.setSize({ width, height: HEIGHT });
  }

  /** Say what is under the pointer. @param {uPlot} plot */
  #read(plot) {
    const place = plot.cursor.idx;
    const time = place == null ? undefined : plot.data[0][place];
    if (place == null || time === undefined) {
      setText(this.#reading, "");
      return;
    }
    const { lines, format } = this.#plan;
    const said = lines.map(({ name }, number) => {
      const value = plot.data[number + 1]?.[place];
      return `${name} ${value == null ? NONE : format(value)}`;
    });
    setText(this.#reading, `${when(time * 1000, this.#isLong)}: ${said.join(", ")}`);
  }

  get #isLong() {
    return this.#history !== null && this.#history.to - this.#history.from > DAY;
  }

  #showTable() {
    const history = this.#history;
    if (!history || !this.#details.open) return;
    const { lines, format, title, unit } = this.#plan;
    const { times, values } = grid(history, lines);
    const rows = times.map((time, place) => [
      when(time, history.to - history.from > 3_600_000 * 12),
      ...values.map((column) => format(column[place] ?? null)),
    ]);
    const head = ["From", ...lines.map(({ name }) => name)];
    fill(this.#table, `${title}, ${unit}`, head, rows.reverse());
  }
}

/** What a colour of the style sheet is at present. */
function colours() {
  const style = getComputedStyle(document.documentElement);
  return (/** @type {string} */ name) => style.getPropertyValue(name).trim();
}

/**
 * What stands below a chart at a time in Unix seconds; `step` is from one to the next.
 *
 * @param {number} seconds
 * @param {number} step
 */
function tick(seconds, step) {
  const text = when(seconds * 1000, true);
  const [date = "", clock = ""] = text.split(" ");
  return step >= 86_400 || clock === "00:00" ? date : clock;
}

/** A power of ten, or null: the others would fill the ground. @param {number} value */
function power(value) {
  return Math.abs(Math.log10(value) % 1) < 1e-9 ? value : null;
}

/**
 * The places of values that have none beside them: no line leads there.
 *
 * @param {uPlot} plot
 * @param {number} series
 */
function lonely(plot, series) {
  const column = plot.data[series] ?? [];
  /** @type {number[]} */
  const places = [];
  for (let place = 0; place < column.length; place += 1) {
    if (column[place] != null && column[place - 1] == null && column[place + 1] == null) {
      places.push(place);
    }
  }
  return places;
}

/**
 * Draw a threshold across a chart.
 *
 * @param {uPlot} plot
 * @param {number} value
 * @param {string} colour
 */
function rule(plot, value, colour) {
  const { ctx, bbox } = plot;
  const y = Math.round(plot.valToPos(value, "y", true)); // between two rows it would be pale
  ctx.save();
  ctx.strokeStyle = colour;
  ctx.lineWidth = 2 * devicePixelRatio;
  ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
  ctx.restore();
}
