/** Statistics of a group of rows and of scores. */

import { isMissing, valueWords, type Column } from "./columns";

export interface Difference {
  column: Column;
  /** Cliff's delta of numbers, difference of shares of a category: from -1 to 1. */
  effect: number;
  words: string;
  detail: string;
}

/** Romano et al. (2006): from where on a Cliff's delta is small, medium and large. */
const LEVELS: [number, string][] = [
  [0.474, "much"],
  [0.33, "clearly"],
  [0.147, "slightly"],
];

export function strength(effect: number): string {
  return LEVELS.find(([least]) => Math.abs(effect) >= least)?.[1] ?? "hardly";
}

/** Probability that a number of the group is larger than another row's, minus that it is smaller. */
export function cliffsDelta(values: ArrayLike<number>, isIn: Uint8Array): number {
  const order: number[] = [];
  for (let i = 0; i < values.length; i++) if (!Number.isNaN(values[i])) order.push(i);
  order.sort((a, b) => values[a] - values[b]);
  let [inside, outside, wins] = [0, 0, 0];
  for (let i = 0; i < order.length; ) {
    let j = i;
    let [here, there] = [0, 0];
    for (; j < order.length && values[order[j]] === values[order[i]]; j++) isIn[order[j]] ? here++ : there++;
    wins += here * outside - there * inside;
    inside += here;
    outside += there;
    i = j;
  }
  return inside && outside ? wins / (inside * outside) : 0;
}

export function median(values: number[]): number {
  if (!values.length) return NaN;
  const sorted = values.slice().sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function numberDifference(column: Column, isIn: Uint8Array): Difference {
  const [inside, outside]: [number[], number[]] = [[], []];
  column.data.forEach((value: number, i: number) => {
    if (!Number.isNaN(value)) (isIn[i] ? inside : outside).push(value);
  });
  const effect = cliffsDelta(column.data, isIn);
  const [low, high] = column.kind === "time" ? ["earlier", "later"] : ["lower", "higher"];
  const [a, b] = [median(inside), median(outside)].map((v) => valueWords(column, v));
  const words = `${column.name} is ${strength(effect)} ${effect < 0 ? low : high}`;
  return { column, effect, words, detail: `median ${a}, all others ${b}` };
}

function categoryDifference(column: Column, isIn: Uint8Array): Difference {
  const labels = column.labels!;
  const counts = [new Float64Array(labels.length), new Float64Array(labels.length)];
  const totals = [0, 0];
  column.data.forEach((value: number, i: number) => {
    if (value >= labels.length) return;
    counts[isIn[i]][value]++;
    totals[isIn[i]]++;
  });
  const share = (side: number, label: number): number => counts[side][label] / Math.max(totals[side], 1);
  let best = 0;
  labels.forEach((_, l) => {
    if (Math.abs(share(1, l) - share(0, l)) > Math.abs(share(1, best) - share(0, best))) best = l;
  });
  const effect = totals[0] && totals[1] ? share(1, best) - share(0, best) : 0;
  const words = `${column.name} is ${strength(effect)} ${effect < 0 ? "less" : "more"} often ${labels[best] ?? ""}`;
  return { column, effect, words, detail: `${percent(share(1, best))}, all others ${percent(share(0, best))}` };
}

export function percent(share: number): string {
  const value = 100 * share;
  return `${value >= 10 || value === 0 ? value.toFixed(0) : value.toPrecision(2)} %`;
}

function gapDifference(column: Column, isIn: Uint8Array): Difference {
  const [gaps, totals] = [[0, 0], [0, 0]];
  for (let i = 0; i < isIn.length; i++) {
    totals[isIn[i]]++;
    if (isMissing(column, i)) gaps[isIn[i]]++;
  }
  const [a, b] = [gaps[1] / Math.max(totals[1], 1), gaps[0] / Math.max(totals[0], 1)];
  const words = `${column.name} is ${strength(a - b)} ${a < b ? "less" : "more"} often missing`;
  return { column, effect: a - b, words, detail: `${percent(a)}, all others ${percent(b)}` };
}

/** Return what sets a group apart from all other rows, the largest effect first. */
export function differences(columns: Column[], isIn: Uint8Array): Difference[] {
  const compared = columns.filter((c) => c.role === "column" || c.role === "score" || c.role === "label");
  const usable = compared.filter((c) => c.kind !== "category" || c.labels!.length <= 1000);
  return usable
    .flatMap((c) => [c.kind === "category" ? categoryDifference(c, isIn) : numberDifference(c, isIn), gapDifference(c, isIn)])
    .filter((d) => Math.abs(d.effect) >= 0.05)
    .sort((a, b) => Math.abs(b.effect) - Math.abs(a.effect));
}

export interface Bins {
  low: number;
  high: number;
  counts: number[];
}

/** Return the counts of a histogram. The ends are the smallest and the largest finite value. */
export function histogram(values: ArrayLike<number>, n: number): Bins {
  let [low, high] = [Infinity, -Infinity];
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i])) continue;
    low = Math.min(low, values[i]);
    high = Math.max(high, values[i]);
  }
  if (!(high > low)) [low, high] = [low - 0.5, low + 0.5];
  const counts = new Array<number>(n).fill(0);
  for (let i = 0; i < values.length; i++) {
    const place = Math.floor(((values[i] - low) / (high - low)) * n);
    if (Number.isFinite(values[i])) counts[Math.min(place, n - 1)]++;
  }
  return { low, high, counts };
}

export interface Alarms {
  /** Rows above the threshold. */
  alerts: number;
  /** Largest expected share of normal rows that score as high as the lowest alert. */
  rate: number;
}

/** Return alerts and the expected rate of false alarms, from scores in ascending order. */
export function alarmsAt(scores: Float64Array, p: Float64Array, cut: number): Alarms {
  let [low, high] = [0, scores.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (scores[middle] > cut) high = middle;
    else low = middle + 1;
  }
  const alerts = scores.length - low;
  // The p-value of the lowest alert bounds the share of normal rows that score as high.
  return { alerts, rate: p[Math.min(low, scores.length - 1)] ?? 1 };
}

/** Return True for a place inside a polygon of x, y, x, y and so on. */
export function isInside(x: number, y: number, polygon: number[]): boolean {
  let inside = false;
  for (let i = 0, j = polygon.length - 2; i < polygon.length; j = i, i += 2) {
    const [xi, yi, xj, yj] = [polygon[i], polygon[i + 1], polygon[j], polygon[j + 1]];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
  }
  return inside;
}

/** Return the rows inside a polygon, of those that are visible. */
export function rowsInside(xs: Numbers1, ys: Numbers1, polygon: number[], shown: Uint8Array): Uint32Array {
  let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity];
  for (let i = 0; i < polygon.length; i += 2) {
    x0 = Math.min(x0, polygon[i]);
    x1 = Math.max(x1, polygon[i]);
    y0 = Math.min(y0, polygon[i + 1]);
    y1 = Math.max(y1, polygon[i + 1]);
  }
  const found: number[] = [];
  for (let i = 0; i < xs.length; i++) {
    if (!shown[i] || xs[i] < x0 || xs[i] > x1 || ys[i] < y0 || ys[i] > y1) continue;
    if (isInside(xs[i], ys[i], polygon)) found.push(i);
  }
  return Uint32Array.from(found);
}

type Numbers1 = ArrayLike<number>;
