/** The alarms of a detector: scores, a threshold to drag, and what follows from it. */

import type { App } from "./app";
import { numberWords } from "./columns";
import { el, fill } from "./dom";
import { alarmsAt, histogram, percent } from "./stats";

const BINS = 60;
const [WIDTH, HEIGHT] = [320, 120];
const SVG = "http://www.w3.org/2000/svg";
const MOST_LISTED = 50;

function svg(tag: string, attributes: Record<string, string | number>): SVGElement {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  return made;
}

export function alarmPanel(app: App, choose: (row: number) => void): HTMLElement {
  const root = el("section", { class: "panel", id: "panel-alarms" });
  const scores = app.scores!.data;
  const order = Uint32Array.from(scores, (_, i) => i).sort((a, b) => scores[a] - scores[b]);
  const sorted = Float64Array.from(order, (row) => scores[row]);
  const pValues = app.payload.array(app.header.alarm!.p);
  const p = Float64Array.from(order, (row) => pValues[row]);
  const positive = sorted[0] > 0 && mean(sorted) > 1.1 * sorted[sorted.length >> 1];
  const turn = positive ? Math.log : (v: number): number => v;
  const back = positive ? Math.exp : (v: number): number => v;
  const bins = histogram(Float64Array.from(sorted, turn), BINS);
  const toX = (score: number): number => (WIDTH * (turn(score) - bins.low)) / (bins.high - bins.low);
  const { plot, line } = drawn(bins, app);
  const figures = el("div", { role: "status" });
  const list = el("ol", { class: "worst" });
  const clamp = (v: number): number => Math.max(bins.low, Math.min(bins.high, v));
  const move = (event: PointerEvent): void => {
    const box = plot.getBoundingClientRect();
    app.setCut(back(clamp(bins.low + ((event.clientX - box.left) / box.width) * (bins.high - bins.low))));
  };
  plot.addEventListener("pointerdown", (e) => { plot.setPointerCapture(e.pointerId); move(e); });
  plot.addEventListener("pointermove", (e) => plot.hasPointerCapture(e.pointerId) && move(e));
  plot.addEventListener("keydown", (e) => {
    const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[e.key];
    if (!step) return;
    e.preventDefault();
    app.setCut(back(clamp(turn(app.cut) + (step * (bins.high - bins.low)) / 200)));
  });
  const draw = (): void => {
    const { alerts, rate } = alarmsAt(sorted, p, app.cut);
    const x = Math.max(0, Math.min(WIDTH, toX(app.cut)));
    line.setAttribute("x1", String(x));
    line.setAttribute("x2", String(x));
    plot.setAttribute("aria-valuenow", app.cut.toPrecision(4));
    plot.setAttribute("aria-valuetext", `${numberWords(app.cut)}, ${alerts} alerts`);
    plot.querySelectorAll(".bar").forEach((bar, i) => bar.classList.toggle("over", bins.low + ((i + 0.5) * (bins.high - bins.low)) / BINS > turn(app.cut)));
    fill(figures, el("dl", { class: "figures" },
      pair("Threshold", numberWords(app.cut), ""),
      pair("Alerts", alerts.toLocaleString("en-US"), `${percent(alerts / app.n)} of rows`),
      pair("Expected false alarms", numberWords(rate * app.n, rate * app.n >= 10 ? 0 : 1), `${percent(rate)} of normal rows`)));
    fill(list, ...Array.from(order.slice(-Math.min(alerts, MOST_LISTED)).reverse()).slice(0, alerts).map((row) => item(app, row, choose)));
  };
  const reset = el("button", { type: "button", click: () => app.setCut(app.header.alarm!.cut) }, "Threshold of the model");
  root.append(el("h2", {}, "Alarms"), plot, figures, el("p", { class: "actions" }, reset), el("p", { class: "hint" }, `The model ${app.header.alarm!.rule}.`), el("h3", {}, "Highest scores"), list);
  app.on(["cut"], draw);
  draw();
  return root;
}

const mean = (values: Float64Array): number => values.reduce((a, b) => a + b, 0) / Math.max(values.length, 1);

function pair(name: string, value: string, more: string): HTMLElement {
  return el("div", {}, el("dt", {}, name), el("dd", {}, value, el("small", {}, more)));
}

function drawn(bins: { low: number; high: number; counts: number[] }, app: App): { plot: SVGElement; line: SVGElement } {
  const plot = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "histogram", role: "slider", tabindex: 0, preserveAspectRatio: "none",
    "aria-label": "Threshold of the anomaly score", "aria-valuemin": bins.low, "aria-valuemax": bins.high, "aria-valuenow": app.cut });
  const most = Math.log1p(Math.max(...bins.counts));
  bins.counts.forEach((count, i) => {
    const height = most ? ((HEIGHT - 4) * Math.log1p(count)) / most : 0;
    plot.append(svg("rect", { class: "bar", x: (i * WIDTH) / BINS + 0.5, y: HEIGHT - height, width: WIDTH / BINS - 1, height }));
  });
  const line = svg("line", { class: "cut", y1: 0, y2: HEIGHT });
  plot.append(line);
  return { plot, line };
}

function item(app: App, row: number, choose: (row: number) => void): HTMLElement {
  const why = app.reasons.get(row)?.join("; ") ?? "";
  return el("li", {}, el("button", { type: "button", click: () => choose(row), pointerenter: () => app.setHover(row), pointerleave: () => app.setHover(null) },
    el("span", { class: "name" }, app.name(row)), el("span", { class: "score" }, numberWords(app.scores!.data[row])), el("small", {}, why)));
}
