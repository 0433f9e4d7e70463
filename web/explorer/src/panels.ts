/** The panels beside the map: the row, the decoded place and the group. */

import { ask, type App, type Place } from "./app";
import { cellText, cellWords, indexOfColumn, numberWords, toCsv, valueWords, type Column } from "./columns";
import type { Decoded } from "./decoder";
import { download, el, fill, picture } from "./dom";
import type { MapView } from "./map";
import { differences, percent } from "./stats";

const PATH_STEPS = 7;
const NEAREST = 2;
const MOST_DIFFERENCES = 8;

export function thumbnail(app: App, row: number): HTMLCanvasElement | null {
  const { images } = app.header;
  if (!images || !app.images) return null;
  const { height, width, channels } = images;
  const size = height * width * channels;
  return picture(app.images.subarray(row * size, (row + 1) * size), height, width, channels, app.name(row));
}

/** Return a definition list of name and value. */
function pairs(lines: [string, string | Node][]): HTMLDListElement {
  return el("dl", {}, ...lines.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

function reasonsOf(app: App, row: number): Node[] {
  const why = app.reasons.get(row);
  if (!why) return [];
  const lines = why.length ? why : ["no column stands out"];
  return [el("h3", {}, "Why it scores high"), el("ul", { class: "why" }, ...lines.map((line) => el("li", {}, line)))];
}

// ---------------------------------------------------------------- row
export function rowPanel(app: App): HTMLElement {
  const root = el("section", { class: "panel", id: "panel-row" });
  const what = whatIf(app);
  const draw = (): void => {
    what.clear();
    if (app.row === null) {
      fill(root, el("p", { class: "hint" }, "Click a point to see its row. Click an empty place to decode it."));
      return;
    }
    const row = app.row;
    const lines = app.columns.map((c): [string, string | Node] => [c.name, what.input(c, row) ?? cellWords(c, row)]);
    const image = thumbnail(app, row);
    fill(root, el("h2", {}, app.name(row)), ...(image ? [image] : []), ...actions(row), ...reasonsOf(app, row), what.root, pairs(lines));
  };
  const actions = (row: number): Node[] => {
    if (!app.codes || !app.canDecode) return [];
    const decode = (): void => {
      app.place = { x: app.xs[row], y: app.ys[row] };
      app.path = null;
      app.tab = "decode";
      app.setCode(app.rowCode(row));
    };
    return [el("p", {}, el("button", { type: "button", click: decode }, "Decode its code"))];
  };
  app.on(["row", "cut"], draw);
  draw();
  return root;
}

interface Scored {
  score?: number;
  reasons?: string[];
  repaired?: number;
  error?: string;
}

/** What if a cell were another one: the score and the reasons of the changed row, from the server. */
function whatIf(app: App): { root: HTMLElement; input: (column: Column, row: number) => HTMLElement | null; clear: () => void } {
  const root = el("div", { class: "whatif", role: "status" });
  let changes: Record<string, string> = {};
  const { server, images } = app.header;
  const send = async (row: number): Promise<void> => {
    const found = await ask<Scored>("score", { row, changes }, server!.token);
    if (row !== app.row) return;
    if (!found || found.error) return fill(root, el("p", { class: "hint" }, found?.error ?? "The server does not answer."));
    const before = app.scores ? numberWords(app.scores.data[row]) : "";
    const alert = app.header.alarm ? (found.score! > app.cut ? ", an alert" : ", no alert") : "";
    fill(root, el("h3", {}, "With the changed cells"), el("p", {}, `Score ${before} → ${numberWords(found.score!)}${alert}`),
      el("ul", { class: "why" }, ...(found.reasons ?? []).map((line) => el("li", {}, line))));
  };
  return {
    root,
    clear: () => { changes = {}; fill(root); },
    input: (column, row) => {
      if (!server || images || column.role !== "column") return null;
      const box = el("input", { type: "text", class: "cell", value: cellText(column, row), "aria-label": column.name });
      box.addEventListener("change", () => { changes[column.name] = box.value; void send(row); });
      return box;
    },
  };
}

// ---------------------------------------------------------------- decode
export function decodePanel(app: App, map: () => MapView): HTMLElement {
  const root = el("section", { class: "panel", id: "panel-decode" });
  const answer = el("div");
  const sliders = codeSliders(app);
  const draw = (): void => {
    sliders.hidden = !app.code;
    if (app.path) fill(answer, ...pathView(app, app.path));
    else if (app.place) fill(answer, ...placeView(app, map().nearest(app.place, NEAREST)));
    else fill(answer, el("p", { class: "hint" }, "Click an empty place of the map, or drag with the tool Decode."));
  };
  root.append(answer, sliders);
  app.on(["code"], draw);
  draw();
  return root;
}

function placeView(app: App, near: number[]): Node[] {
  const title = el("h2", {}, "Decoded place");
  if (!app.canDecode) return [title, el("p", { class: "hint" }, noDecoder(app)), nearOnly(app, near)];
  if (!app.encoded) return [title, el("p", { class: "hint" }, app.code ? "Decoding …" : "This place has no code.")];
  if (app.header.images) return [title, imageOf(app, app.encoded, "decoded image"), el("h3", {}, "Nearest rows"), strip(app, near)];
  return [title, beside(app, app.cells(app.encoded), near)];
}

function noDecoder(app: App): string {
  return app.header.decoder
    ? "This decoder does not run in the page. Open the map with latently explore, without an output, to decode."
    : "This model stores rows and does not decode places of a map. The nearest rows are:";
}

function imageOf(app: App, encoded: Float64Array, name: string): HTMLCanvasElement {
  const [channels, height, width] = app.header.decoder!.shape;
  const pixels = new Uint8ClampedArray(encoded.length);
  for (let c = 0; c < channels; c++) {
    for (let i = 0; i < height * width; i++) pixels[channels * i + c] = 255 * encoded[c * height * width + i];
  }
  return picture(pixels, height, width, channels, name);
}

function strip(app: App, rows: number[]): HTMLElement {
  const one = (row: number): HTMLElement =>
    el("button", { type: "button", class: "thumb", title: app.name(row), click: () => app.setRow(row) }, thumbnail(app, row)!);
  return el("div", { class: "strip" }, ...rows.map(one));
}

function sureness(column: Column, cell: Decoded): string {
  if (!Number.isFinite(cell.sure)) return "";
  if (typeof cell.value === "string") return percent(cell.sure);
  const amount = column.kind === "time" ? spanWords(cell.sure) : numberWords(cell.sure);
  return `± ${amount}`;
}

function spanWords(seconds: number): string {
  if (seconds >= 86400) return `${numberWords(seconds / 86400)} d`;
  return seconds >= 3600 ? `${numberWords(seconds / 3600)} h` : `${numberWords(seconds)} s`;
}

/** Return the decoded row beside the nearest rows. */
function beside(app: App, cells: Decoded[], near: number[]): HTMLElement {
  const heads = near.map((row) => el("th", { scope: "col" }, el("button", { type: "button", click: () => app.setRow(row) }, app.name(row))));
  const lines = cells.map((cell) => {
    const column = app.columns[indexOfColumn(app.columns, cell.column)];
    const rows = near.map((row) => el("td", { class: column.kind }, cellWords(column, row)));
    return el("tr", {},
      el("th", { scope: "row" }, column.name),
      el("td", { class: `decoded ${column.kind}`, "data-column": column.name, "data-value": String(cell.value) },
        valueWords(column, cell.value), el("small", {}, sureness(column, cell))),
      ...rows);
  });
  const head = el("tr", {}, el("td"), el("th", { scope: "col" }, "decoded"), ...heads);
  return el("div", { class: "wide" }, el("table", { class: "beside" }, el("thead", {}, head), el("tbody", {}, ...lines)));
}

function nearOnly(app: App, near: number[]): HTMLElement {
  if (app.header.images) return strip(app, near);
  const columns = app.columns.filter((c) => c.role !== "row");
  const heads = near.map((row) => el("th", { scope: "col" }, el("button", { type: "button", click: () => app.setRow(row) }, app.name(row))));
  const lines = columns.map((c) => el("tr", {}, el("th", { scope: "row" }, c.name), ...near.map((row) => el("td", { class: c.kind }, cellWords(c, row)))));
  return el("div", { class: "wide" }, el("table", { class: "beside" }, el("thead", {}, el("tr", {}, el("td"), ...heads)), el("tbody", {}, ...lines)));
}

// ---------------------------------------------------------------- path
function pathView(app: App, [from, to]: [Place, Place]): Node[] {
  const title = el("h2", {}, "Path");
  if (!app.canDecode) return [title, el("p", { class: "hint" }, noDecoder(app))];
  const steps = Array.from({ length: PATH_STEPS }, (_, i) => i / (PATH_STEPS - 1));
  const codes = steps.map((t) => app.codeAt({ x: from.x + t * (to.x - from.x), y: from.y + t * (to.y - from.y) })!);
  const body = el("div", {}, el("p", { class: "hint" }, "Decoding …"));
  const rows = Promise.all(codes.map((code) => app.decode(code)));
  void rows.then((found) => {
    const encoded = found.filter((row) => row !== null);
    fill(body, app.header.images ? el("div", { class: "strip" }, ...encoded.map((row, i) => imageOf(app, row, `step ${i + 1}`))) : pathTable(app, encoded));
  });
  return [title, el("p", { class: "hint" }, `${PATH_STEPS} steps along the line, from its start to its end.`), body];
}

function pathTable(app: App, encoded: Float64Array[]): HTMLElement {
  const cells = encoded.map((row) => app.cells(row));
  const lines = cells[0].map((first, place) => {
    const column = app.columns[indexOfColumn(app.columns, first.column)];
    return el("tr", {}, el("th", { scope: "row" }, column.name), ...cells.map((step) => el("td", { class: column.kind }, valueWords(column, step[place].value))));
  });
  return el("div", { class: "wide" }, el("table", { class: "beside path" }, el("tbody", {}, ...lines)));
}

// ---------------------------------------------------------------- sliders
function codeSliders(app: App): HTMLElement {
  const root = el("div", { class: "sliders" });
  const decoder = app.header.decoder;
  if (!decoder || decoder.sliders < 3 || !app.canDecode) return root;
  const inputs = Array.from({ length: decoder.sliders }, (_, i) => {
    const step = (decoder.high[i] - decoder.low[i]) / 500 || 0.001;
    return el("input", { type: "range", min: decoder.low[i], max: decoder.high[i], step, "aria-label": `component ${i + 1}` });
  });
  const shown = inputs.map(() => el("output"));
  const read = (): void => {
    if (app.code) app.setCode(Float64Array.from(app.code, (v, i) => (document.activeElement === inputs[i] ? Number(inputs[i].value) : v)), true);
  };
  inputs.forEach((input) => input.addEventListener("input", read));
  app.on(["code"], () => inputs.forEach((input, i) => {
    if (!app.code) return;
    if (document.activeElement !== input) input.value = String(app.code[i]);
    shown[i].textContent = numberWords(app.code[i]);
  }));
  root.append(el("h3", {}, "Components of the code"),
    ...inputs.map((input, i) => el("label", {}, el("span", {}, String(i + 1)), input, shown[i])));
  return root;
}

// ---------------------------------------------------------------- group
export function groupPanel(app: App): HTMLElement {
  const root = el("section", { class: "panel", id: "panel-group" });
  const draw = (): void => {
    if (!app.group) {
      fill(root, el("p", { class: "hint" }, "Draw around some points with the tool Lasso, or with Shift held down. A search can become a group, too."), fromFilter(app));
      return;
    }
    const rows = app.groupRows();
    const found = differences(app.columns, app.group).slice(0, MOST_DIFFERENCES);
    const lines = found.map((d) => el("li", {}, el("span", { class: "effect" }, effectWords(d.effect)), el("span", {}, d.words, el("small", {}, d.detail))));
    const save = (): void => download("group.csv", toCsv(app.columns, rows));
    fill(root,
      el("h2", {}, `${rows.length.toLocaleString("en-US")} rows`, el("small", {}, `${percent(rows.length / app.n)} of all`)),
      el("p", { class: "actions" },
        el("button", { type: "button", click: save }, "Save as CSV"),
        el("button", { type: "button", click: () => app.setGroup(null) }, "Clear")),
      el("h3", {}, "What sets them apart"),
      lines.length ? el("ul", { class: "differences" }, ...lines) : el("p", { class: "hint" }, "No column differs by an effect of 0.05 or more."),
      ...(lines.length ? [el("p", { class: "hint" }, "Effect from −1 to 1: Cliff's delta of numbers, difference of shares of categories.")] : []),
      ...groupImages(app, rows));
  };
  app.on(["group", "filter", "cut"], draw);
  draw();
  return root;
}

function effectWords(effect: number): string {
  return `${effect < 0 ? "−" : "+"}${Math.abs(effect).toFixed(2)}`;
}

function fromFilter(app: App): HTMLElement {
  const rows = app.tableRows();
  if (!app.isFiltered || !rows.length) return el("p");
  return el("p", {}, el("button", { type: "button", click: () => app.setGroup(rows) }, `Take the ${rows.length.toLocaleString("en-US")} rows of the filter`));
}

function groupImages(app: App, rows: Uint32Array): Node[] {
  if (!app.header.images) return [];
  const step = Math.max(1, Math.floor(rows.length / 24));
  return [el("h3", {}, "Some of them"), strip(app, [...rows].filter((_, i) => i % step === 0).slice(0, 24))];
}
