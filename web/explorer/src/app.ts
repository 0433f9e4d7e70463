/** The state of the page, and what follows from it. */

import { columnsOf, matcher, rowName, type Column } from "./columns";
import { runLayers, toCells, type Decoded } from "./decoder";
import { Grid } from "./grid";
import { huesOf, type Hues } from "./hues";
import type { Theme } from "./palette";
import type { Numbers, Payload } from "./payload";
import { CHOSEN, DIMMED, HIDDEN, SHOWN } from "./render";

export type Change = "color" | "filter" | "group" | "row" | "hover" | "code" | "cut" | "tab" | "tool" | "theme";
export type Tool = "move" | "lasso" | "decode" | "path";

export interface Place {
  x: number;
  y: number;
}

export class App {
  readonly header;
  readonly columns: Column[];
  readonly n: number;
  readonly xs: Numbers;
  readonly ys: Numbers;
  readonly grid: Grid;
  readonly codes: Numbers | null;
  readonly scores: Column | null;
  readonly reasons: Map<number, string[]>;
  readonly shown: Uint8Array;
  readonly marks: Uint8Array;
  readonly images: Numbers | null;

  theme: Theme = "light";
  tool: Tool = "move";
  tab = "row";
  colorBy = 0;
  hues!: Hues;
  hiddenEntries = new Set<number>();
  range: [number, number] | null = null;
  query = "";
  group: Uint8Array | null = null;
  row: number | null = null;
  hover: number | null = null;
  code: Float64Array | null = null;
  encoded: Float64Array | null = null;
  place: Place | null = null;
  path: [Place, Place] | null = null;
  cut: number;

  private readonly listeners: [Set<Change>, () => void][] = [];
  private asked = 0;

  constructor(readonly payload: Payload) {
    const { header, array } = payload;
    this.header = header;
    this.n = header.n;
    this.columns = columnsOf(payload);
    this.xs = array(header.map.x);
    this.ys = array(header.map.y);
    this.grid = new Grid(this.xs, this.ys);
    this.codes = header.decoder && array(header.decoder.codes);
    this.images = header.images && array(header.images.data);
    this.reasons = new Map(header.reasons.map(({ row, why }) => [row, why]));
    this.cut = header.alarm?.cut ?? Infinity;
    this.scores = this.columns.find((c) => c.role === "score") ?? null;
    this.shown = new Uint8Array(this.n).fill(1);
    this.marks = new Uint8Array(this.n).fill(SHOWN);
    if (header.alarm) this.columns.push(this.alertColumn());
    const first = this.columns.findIndex((c) => c.role === "label");
    this.colorBy = first >= 0 ? first : this.columns.findIndex((c) => c.role === "score");
    this.hues = huesOf(this.columns[this.colorBy], this.theme);
  }

  on(changes: Change[], listener: () => void): void {
    this.listeners.push([new Set(changes), listener]);
  }

  emit(...changes: Change[]): void {
    for (const [wanted, listener] of this.listeners) if (changes.some((c) => wanted.has(c))) listener();
  }

  // ------------------------------------------------------------ colour and filters
  setTheme(theme: Theme): void {
    this.theme = theme;
    document.documentElement.dataset["theme"] = theme;
    this.hues = huesOf(this.columns[this.colorBy], theme);
    this.emit("theme");
  }

  setColor(column: number): void {
    this.colorBy = column;
    this.hiddenEntries.clear();
    this.range = null;
    this.hues = huesOf(this.columns[column], this.theme);
    this.filter();
    this.emit("color");
  }

  toggleEntry(entry: number): void {
    if (!this.hiddenEntries.delete(entry)) this.hiddenEntries.add(entry);
    if (this.hiddenEntries.size === this.hues.entries.length) this.hiddenEntries.clear();
    this.filter();
  }

  onlyEntry(entry: number): void {
    const others = this.hues.entries.map((_, i) => i).filter((i) => i !== entry);
    this.hiddenEntries = new Set(others);
    this.filter();
  }

  setRange(range: [number, number] | null): void {
    this.range = range;
    this.filter();
  }

  search(query: string): void {
    this.query = query;
    this.filter();
  }

  filter(): void {
    const { data } = this.columns[this.colorBy];
    const matches = this.query.trim() ? matcher(this.columns, this.query) : null;
    for (let i = 0; i < this.n; i++) {
      let keep = !(this.hues.entryOf && this.hiddenEntries.has(this.hues.entryOf[i]));
      if (keep && this.range) keep = data[i] >= this.range[0] && data[i] <= this.range[1];
      this.shown[i] = keep && (!matches || matches(i)) ? 1 : 0;
    }
    this.mark();
    this.emit("filter");
  }

  private mark(): void {
    const { group, shown, marks } = this;
    const searched = this.query.trim() !== "";
    for (let i = 0; i < this.n; i++) {
      marks[i] = !shown[i] ? (searched ? DIMMED : HIDDEN) : !group ? SHOWN : group[i] ? CHOSEN : DIMMED;
    }
  }

  get isFiltered(): boolean {
    return this.query.trim() !== "" || this.hiddenEntries.size > 0 || this.range !== null;
  }

  // ------------------------------------------------------------ rows
  name(row: number): string {
    return rowName(this.columns, row);
  }

  setRow(row: number | null): void {
    this.row = row;
    if (row !== null) this.tab = "row";
    this.emit("row", "tab");
  }

  setHover(row: number | null): void {
    if (row === this.hover) return;
    this.hover = row;
    this.emit("hover");
  }

  setGroup(rows: ArrayLike<number> | null): void {
    this.group = rows && rows.length ? new Uint8Array(this.n) : null;
    if (this.group && rows) for (let i = 0; i < rows.length; i++) this.group[rows[i]] = 1;
    if (this.group) this.tab = "group";
    this.mark();
    this.emit("group", "tab");
  }

  groupRows(): Uint32Array {
    const rows: number[] = [];
    this.group?.forEach((is, row) => is && rows.push(row));
    return Uint32Array.from(rows);
  }

  /** Rows of the table: of the group, if there is one, and of the filters. */
  tableRows(): Uint32Array {
    const rows: number[] = [];
    for (let i = 0; i < this.n; i++) if (this.shown[i] && (!this.group || this.group[i])) rows.push(i);
    return Uint32Array.from(rows);
  }

  setTab(tab: string): void {
    this.tab = tab;
    this.emit("tab");
  }

  setTool(tool: Tool): void {
    this.tool = tool;
    this.emit("tool");
  }

  // ------------------------------------------------------------ codes
  /** Return the code of a place: on the plane of the map, or near its nearest row for one component. */
  codeAt({ x, y }: Place): Float64Array | null {
    const decoder = this.header.decoder;
    if (!decoder) return null;
    if (!decoder.basis || !decoder.center) return Float64Array.of(x);
    const [first, second] = decoder.basis;
    return Float64Array.from(decoder.center, (c, i) => c + x * first[i] + y * second[i]);
  }

  placeOf(code: Float64Array): Place {
    const { basis, center } = this.header.decoder!;
    if (!basis || !center) return { x: code[0], y: this.place?.y ?? 0 };
    const along = (axis: number[]): number => axis.reduce((sum, b, i) => sum + b * (code[i] - center[i]), 0);
    return { x: along(basis[0]), y: along(basis[1]) };
  }

  rowCode(row: number): Float64Array | null {
    const size = this.header.decoder?.size ?? 0;
    return this.codes && Float64Array.from(this.codes.subarray(row * size, (row + 1) * size));
  }

  decodeAt(place: Place): void {
    this.place = place;
    this.path = null;
    this.row = null;
    this.tab = "decode";
    this.setCode(this.codeAt(place));
  }

  /** Show a code: at its place of the map, or where the user pointed. */
  setCode(code: Float64Array | null, move = false): void {
    this.code = code;
    this.encoded = null;
    if (code && move) this.place = this.placeOf(code);
    const asked = ++this.asked;
    const decoded = code ? this.decode(code) : null;
    if (decoded instanceof Promise) {
      void decoded.then((encoded) => {
        if (asked !== this.asked) return;
        this.encoded = encoded;
        this.emit("code");
      });
    } else this.encoded = decoded;
    this.emit("code", "row", "tab");
  }

  get canDecode(): boolean {
    return Boolean(this.header.decoder && (this.header.decoder.layers || this.header.server));
  }

  /** Return the encoded row of a code, from the layers of the page or from the server. */
  decode(code: Float64Array): Float64Array | Promise<Float64Array | null> | null {
    const { decoder, server } = this.header;
    if (decoder?.layers) return runLayers(decoder.layers, code, this.payload.array);
    if (!server || !decoder) return null;
    return ask<number[]>("decode", { code: [...code] }, server.token).then((found) => found && Float64Array.from(found));
  }

  /** Return the cells of an encoded row, in the user's units. */
  cells(encoded: Float64Array): Decoded[] {
    return toCells(encoded, this.header.decoder?.outputs ?? []);
  }

  setPath(path: [Place, Place] | null): void {
    this.path = path;
    this.code = this.encoded = this.place = null;
    this.tab = "decode";
    this.emit("code", "tab");
  }

  // ------------------------------------------------------------ alarms
  setCut(cut: number): void {
    this.cut = cut;
    const place = this.columns.findIndex((c) => c.role === "score" && c.labels);
    if (place >= 0) {
      this.markAlerts(this.columns[place]);
      if (this.colorBy === place) {
        this.hues = huesOf(this.columns[place], this.theme);
        this.filter();
        this.emit("color");
      }
    }
    this.emit("cut");
  }

  private alertColumn(): Column {
    const column: Column = { name: "alert", kind: "category", role: "score", labels: ["no", "yes"], data: new Uint8Array(this.n) };
    this.markAlerts(column);
    return column;
  }

  private markAlerts(column: Column): void {
    for (let i = 0; i < this.n; i++) column.data[i] = this.scores && this.scores.data[i] > this.cut ? 1 : 0;
  }
}

/** Ask the server of the page, which is on this machine. */
export async function ask<T>(path: string, body: object, token: string): Promise<T | null> {
  const headers = { "Content-Type": "application/json", "X-Token": token };
  try {
    const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
    return answer.ok || answer.status === 422 ? ((await answer.json()) as T) : null;
  } catch {
    return null;
  }
}
