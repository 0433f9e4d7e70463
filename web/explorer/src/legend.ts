/** The legend, which filters, and the choice of the column that colours. */

import type { App } from "./app";
import { valueWords } from "./columns";
import { el, fill } from "./dom";
import { amountColor, css } from "./palette";

export function colorChoice(app: App): HTMLElement {
  const groups: Record<string, string> = { label: "Labels", score: "Scores", column: "Columns", id: "Identifiers" };
  const options = Object.entries(groups).map(([role, title]) => {
    const columns = app.columns.flatMap((c, i) => (c.role === role ? [el("option", { value: i, selected: i === app.colorBy }, c.name)] : []));
    return columns.length ? [el("optgroup", { label: title }, ...columns)] : [];
  });
  const select = el("select", { id: "color" }, ...options.flat());
  select.addEventListener("change", () => app.setColor(Number(select.value)));
  app.on(["color"], () => (select.value = String(app.colorBy)));
  return el("label", { class: "choice" }, "Colour", select);
}

export function legend(app: App): HTMLElement {
  const root = el("div", { class: "legend", role: "group", "aria-label": "Legend" });
  const draw = (): void => {
    root.hidden = !app.hues.entries.length && !app.hues.scale;
    fill(root, ...(app.hues.scale ? amounts(app) : entries(app)));
  };
  app.on(["color", "filter", "theme"], draw);
  draw();
  return root;
}

function entries(app: App): Node[] {
  return app.hues.entries.map((entry, place) => {
    const swatch = el("span", { class: "swatch" });
    swatch.style.background = entry.color;
    const shown = !app.hiddenEntries.has(place);
    return el("button", {
      type: "button", "aria-pressed": shown ? "true" : "false", title: "Click to hide or show, double-click for this one only",
      click: () => app.toggleEntry(place), dblclick: () => app.onlyEntry(place),
    }, swatch, el("span", { class: "label" }, entry.label), el("span", { class: "n" }, entry.count.toLocaleString("en-US")));
  });
}

function amounts(app: App): Node[] {
  const { low, high, log } = app.hues.scale!;
  const column = app.columns[app.colorBy];
  const bar = el("div", { class: "ramp" });
  const stops = Array.from({ length: 11 }, (_, i) => css(amountColor(i / 10, app.theme)));
  bar.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
  const ends = el("div", { class: "ends" }, el("span", {}, valueWords(column, low)), el("span", {}, log ? "log" : ""), el("span", {}, valueWords(column, high)));
  return [bar, ends, ...rangeInputs(app, low, high, log)];
}

function rangeInputs(app: App, low: number, high: number, log: boolean): Node[] {
  const turn = (t: number): number => (log ? low * (high / low) ** t : low + t * (high - low));
  const untwist = (v: number): number => (log ? Math.log(v / low) / Math.log(high / low) : (v - low) / (high - low));
  const [from, to] = app.range ?? [-Infinity, Infinity];
  const start = Number.isFinite(from) ? untwist(from) : 0;
  const end = Number.isFinite(to) ? untwist(to) : 1;
  const inputs = [start, end].map((value, i) =>
    el("input", { type: "range", min: 0, max: 1, step: 0.005, value, "aria-label": i ? "largest value shown" : "smallest value shown" }));
  const read = (): void => {
    const [a, b] = inputs.map((input) => Number(input.value)).sort((x, y) => x - y);
    app.setRange(a <= 0 && b >= 1 ? null : [a <= 0 ? -Infinity : turn(a), b >= 1 ? Infinity : turn(b)]);
  };
  inputs.forEach((input) => input.addEventListener("change", read));
  return [el("div", { class: "range" }, ...inputs)];
}
