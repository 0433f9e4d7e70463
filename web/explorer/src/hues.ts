/** The colour of each row by a column, and the entries of the legend. */

import { isMissing, valueWords, type Column } from "./columns";
import { amountColor, css, GAP, labelColor, type Rgb, type Theme } from "./palette";

const MOST_LABELS = 11;

export interface Entry {
  label: string;
  color: string;
  count: number;
}

export interface Hues {
  colors: Uint8Array;
  /** Legend entry of each row, for columns of labels. */
  entryOf: Uint8Array | null;
  entries: Entry[];
  /** Rows from the lowest to the topmost: rare labels and high amounts lie above. */
  order: Uint32Array;
  scale: { low: number; high: number; log: boolean } | null;
}

/** Whole numbers with few values are labels. */
function labelsOf(column: Column): { names: string[]; place: (row: number) => number } | null {
  if (column.kind === "category") {
    return { names: column.labels!, place: (row) => column.data[row] };
  }
  if (column.kind !== "number" || column.decimals !== 0) return null;
  const values = new Set<number>();
  for (let i = 0; i < column.data.length && values.size <= MOST_LABELS; i++) {
    if (!isMissing(column, i)) values.add(column.data[i]);
  }
  if (values.size > MOST_LABELS) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const places = new Map(sorted.map((value, place) => [value, place]));
  return { names: sorted.map((v) => valueWords(column, v)), place: (row) => places.get(column.data[row]) ?? sorted.length };
}

export function huesOf(column: Column, theme: Theme): Hues {
  const labels = labelsOf(column);
  return labels ? labelHues(labels.names, labels.place, column.data.length, theme) : amountHues(column, theme);
}

function labelHues(names: string[], place: (row: number) => number, n: number, theme: Theme): Hues {
  const counts = new Uint32Array(names.length + 1);
  for (let i = 0; i < n; i++) counts[Math.min(place(i), names.length)]++;
  const order = names.map((_, i) => i).filter((i) => counts[i]);
  order.sort((a, b) => counts[b] - counts[a] || a - b);
  const kept = order.length <= MOST_LABELS ? order : order.slice(0, MOST_LABELS - 1);
  if (names.length <= MOST_LABELS) kept.sort((a, b) => a - b);
  const entries: Entry[] = [];
  const colors: Rgb[] = [];
  const add = (label: string, color: Rgb, count: number): number => {
    colors.push(color);
    return entries.push({ label, color: css(color), count }) - 1;
  };
  const entryOfLabel = new Uint8Array(names.length + 1).fill(255);
  kept.forEach((label, i) => (entryOfLabel[label] = add(names[label], labelColor(i, kept.length, theme), counts[label])));
  const rest = order.slice(kept.length).reduce((sum, label) => sum + counts[label], 0);
  if (rest) {
    const other = add(`${order.length - kept.length} others`, labelColor(99, 99, theme), rest);
    for (let l = 0; l < names.length; l++) if (entryOfLabel[l] === 255) entryOfLabel[l] = other;
  }
  if (counts[names.length]) entryOfLabel[names.length] = add("missing", GAP, counts[names.length]);
  const [entryOf, bytes] = [new Uint8Array(n), new Uint8Array(4 * n)];
  for (let i = 0; i < n; i++) {
    entryOf[i] = entryOfLabel[Math.min(place(i), names.length)];
    bytes.set(colors[entryOf[i]], 4 * i);
  }
  const ranks = entries.map((_, i) => i).sort((a, b) => entries[b].count - entries[a].count);
  const rank = new Uint32Array(entries.length);
  ranks.forEach((entry, place) => (rank[entry] = place));
  return { colors: bytes, entryOf, entries, order: byRank(n, (row) => rank[entryOf[row]], entries.length), scale: null };
}

/** Return the rows in ascending order of a small whole number, by counting. */
function byRank(n: number, rank: (row: number) => number, nRanks: number): Uint32Array {
  const starts = new Uint32Array(nRanks + 1);
  for (let i = 0; i < n; i++) starts[rank(i) + 1]++;
  for (let r = 0; r < nRanks; r++) starts[r + 1] += starts[r];
  const order = new Uint32Array(n);
  for (let i = 0; i < n; i++) order[starts[rank(i)]++] = i;
  return order;
}

/** Amounts whose mean is far above their median have a logarithmic scale. */
const SKEWED = 3;

function amountHues(column: Column, theme: Theme): Hues {
  const sorted = Float64Array.from(column.data).filter(Number.isFinite).sort();
  const at = (q: number): number => sorted[Math.round(q * (sorted.length - 1))] ?? 0;
  const mean = sorted.reduce((a, b) => a + b, 0) / Math.max(sorted.length, 1);
  const log = column.kind === "number" && sorted[0] > 0 && mean > SKEWED * at(0.5);
  const [low, high] = [at(0.01), at(0.99)];
  const turn = log ? Math.log : (v: number): number => v;
  const [from, span] = [turn(low), turn(high) - turn(low) || 1];
  const bytes = new Uint8Array(4 * column.data.length);
  for (let i = 0; i < column.data.length; i++) {
    const color = isMissing(column, i) ? GAP : amountColor((turn(column.data[i]) - from) / span, theme);
    bytes.set(color, 4 * i);
  }
  const level = (row: number): number => Math.max(0, Math.min(15, Math.floor((16 * (turn(column.data[row]) - from)) / span) || 0));
  return { colors: bytes, entryOf: null, entries: [], order: byRank(column.data.length, level, 16), scale: { low, high, log } };
}
