/** Columns of the rows: values, words and order. */

import type { ColumnHeader, Numbers, Payload } from "./payload";

export interface Column extends Omit<ColumnHeader, "data"> {
  data: Numbers;
}

export const MISSING = "–";

export function columnsOf({ header, array }: Payload): Column[] {
  return header.columns.map((column) => ({ ...column, data: array(column.data) }));
}

export function isMissing(column: Column, row: number): boolean {
  const value = column.data[row];
  return column.kind === "category" ? value >= column.labels!.length : Number.isNaN(value);
}

function grouped(value: number, decimals: number): string {
  return value.toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

/** Write a number with the decimals of its column, or with four digits. */
export function numberWords(value: number, decimals: number | null = null): string {
  if (!Number.isFinite(value)) return MISSING;
  if (decimals !== null) return grouped(value, decimals).replace(/^-/, "−");
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e7 || size < 1e-4)) return value.toExponential(2).replace("-", "−");
  const digits = size >= 1000 ? 0 : Math.max(0, 3 - Math.floor(Math.log10(size || 1)));
  return grouped(value, Math.min(digits, 6)).replace(/^-/, "−");
}

const two = (value: number): string => String(value).padStart(2, "0");

export function timeWords(seconds: number, unit: string): string {
  if (!Number.isFinite(seconds)) return MISSING;
  if (unit === "duration" || unit === "time") {
    const whole = Math.round(Math.abs(seconds));
    const [days, rest] = [Math.floor(whole / 86400), whole % 86400];
    const clock = `${two(Math.floor(rest / 3600))}:${two(Math.floor(rest / 60) % 60)}:${two(rest % 60)}`;
    return (seconds < 0 ? "−" : "") + (days ? `${days} d ` : "") + clock;
  }
  const date = new Date(Math.round(seconds) * 1000);
  if (Number.isNaN(date.getTime())) return MISSING;
  const iso = date.toISOString();
  return unit === "date" ? iso.slice(0, 10) : iso.slice(0, 19).replace("T", " ");
}

/** Write a value of a column that is not a cell, such as a decoded one or a mean. */
export function valueWords(column: Column, value: number | string): string {
  if (typeof value === "string") return value;
  if (column.kind === "time") return timeWords(value, column.unit ?? "instant");
  return numberWords(value, column.decimals ?? null);
}

export function cellWords(column: Column, row: number): string {
  if (isMissing(column, row)) return MISSING;
  const value = column.data[row];
  if (column.role === "row") return String(value);
  return column.kind === "category" ? column.labels![value] : valueWords(column, value);
}

/** Write a cell for a file: full precision, and nothing for a gap. */
export function cellText(column: Column, row: number): string {
  if (isMissing(column, row)) return "";
  const value = column.data[row];
  if (column.kind === "category") return column.labels![value];
  if (column.kind === "time") return timeWords(value, column.unit ?? "instant").replace("−", "-");
  if (column.decimals !== null && column.decimals !== undefined) return value.toFixed(column.decimals);
  return String(column.data instanceof Float32Array ? Number(value.toPrecision(7)) : value);
}

/** Return a name for a row: its first identifier, or its number. */
export function rowName(columns: Column[], row: number): string {
  const id = columns.find((column) => column.role === "id" && !isMissing(column, row));
  return id ? cellWords(id, row) : `row ${cellWords(columns[0], row)}`;
}

/** Return rows in the order of a column, gaps last. */
export function sortedRows(rows: ArrayLike<number>, column: Column, descending: boolean): Uint32Array {
  const { data } = column;
  const rank = column.kind === "category" ? labelRanks(column.labels!) : null;
  const key = new Float64Array(data.length);
  for (let i = 0; i < data.length; i++) {
    const gap = isMissing(column, i);
    const value = rank ? rank[data[i]] : data[i];
    key[i] = gap ? Infinity : descending ? -value : value;
  }
  return Uint32Array.from(rows).sort((a, b) => (key[a] < key[b] ? -1 : key[a] > key[b] ? 1 : a - b));
}

function labelRanks(labels: string[]): Float64Array {
  const order = labels.map((_, i) => i).sort((a, b) => (labels[a] < labels[b] ? -1 : 1));
  const rank = new Float64Array(labels.length);
  order.forEach((label, place) => (rank[label] = place));
  return rank;
}

const CONDITION = /^\s*(<=|>=|!=|=|<|>)\s*(.+?)\s*$/;

/** Return the column, the operator and the value of a condition. A name may hold operators itself. */
function conditionOf(columns: Column[], query: string): [Column, string, string] | null {
  const text = query.trimStart();
  const named = columns.filter((c) => text.toLowerCase().startsWith(c.name.toLowerCase()));
  for (const column of named.sort((a, b) => b.name.length - a.name.length)) {
    const parts = CONDITION.exec(text.slice(column.name.length));
    if (parts) return [column, parts[1], parts[2]];
  }
  return null;
}

/** Return the test of a search: `column > 5`, `column = word`, or text that any cell contains. */
export function matcher(columns: Column[], query: string): (row: number) => boolean {
  const condition = conditionOf(columns, query);
  if (condition) return comparison(...condition);
  const text = query.trim().toLowerCase();
  const hits = columns.map((c) => (c.kind === "category" ? c.labels!.map((l) => l.toLowerCase().includes(text)) : null));
  const number = text === "" ? NaN : Number(text.replaceAll(",", ""));
  return (row) =>
    columns.some((c, i) => {
      const words = hits[i];
      if (words) return words[c.data[row]] ?? false;
      if (c.kind === "time") return cellWords(c, row).includes(text);
      return !Number.isNaN(number) && isClose(c.data[row], number);
    });
}

const isClose = (a: number, b: number): boolean => Math.abs(a - b) <= 1e-6 * Math.max(1, Math.abs(b));

const COMPARE: Record<string, (a: number, b: number) => boolean> = {
  "<": (a, b) => a < b,
  ">": (a, b) => a > b,
  "<=": (a, b) => a <= b || isClose(a, b),
  ">=": (a, b) => a >= b || isClose(a, b),
  "=": isClose,
  "!=": (a, b) => !isClose(a, b),
};

function comparison(column: Column, operator: string, wanted: string): (row: number) => boolean {
  if (column.kind === "category") {
    const same = (row: number): boolean => cellWords(column, row).toLowerCase() === wanted.toLowerCase();
    return operator === "!=" ? (row) => !same(row) : same;
  }
  const value = column.kind === "time" ? secondsOf(wanted) : Number(wanted.replaceAll(",", ""));
  const compare = COMPARE[operator];
  return (row) => !isMissing(column, row) && compare(column.data[row], value);
}

/** Return the seconds of a date or an instant in UTC, or of a time of day. */
function secondsOf(text: string): number {
  const clock = /^(\d+):(\d\d)(?::(\d\d))?$/.exec(text);
  if (clock) return Number(clock[1]) * 3600 + Number(clock[2]) * 60 + Number(clock[3] ?? 0);
  return Date.parse(text.trim().replace(" ", "T") + (text.includes(":") ? "Z" : "")) / 1000;
}

/** Return the selected rows as comma-separated text. */
export function toCsv(columns: Column[], rows: ArrayLike<number>): string {
  const quoted = (text: string): string => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const lines = [columns.map((c) => quoted(c.name)).join(",")];
  for (let i = 0; i < rows.length; i++) lines.push(columns.map((c) => quoted(cellText(c, rows[i]))).join(","));
  return lines.join("\n") + "\n";
}

export function indexOfColumn(columns: Column[], place: number): number {
  return columns.findIndex((column) => column.role === "column") + place;
}
