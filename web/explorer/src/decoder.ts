/** The dense decoder: layers on one code, and the values of an encoded row in the user's units. */

import type { Layer, Numbers, Output, Ref } from "./payload";

type Lookup = (ref: Ref) => Numbers;

/** Error function, Abramowitz and Stegun (1964), 7.1.26: an error of at most 1.5e-7. */
export function erf(x: number): number {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const poly = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  return Math.sign(x) * (1 - poly * Math.exp(-x * x));
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const continuous = (x: number): number => (Math.abs(x) < 1e-2 ? 0.5 + x / 12 : -1 / Math.expm1(-x) - 1 / x);

const POINTWISE: Record<string, (x: number) => number> = {
  gelu: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  relu: (x) => Math.max(x, 0),
  silu: (x) => x * sigmoid(x),
  elu: (x) => (x > 0 ? x : Math.expm1(x)),
  tanh: Math.tanh,
  sigmoid,
  continuous,
};

function linear(values: Float64Array, weight: Numbers, bias: Numbers): Float64Array {
  const n = values.length;
  return Float64Array.from(bias, (start, row) => {
    let total = start;
    for (let i = 0; i < n; i++) total += weight[row * n + i] * values[i];
    return total;
  });
}

function normalized(values: Float64Array, weight: Numbers, bias: Numbers, eps: number): Float64Array {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length;
  return values.map((v, i) => ((v - mean) / Math.sqrt(variance + eps)) * weight[i] + bias[i]);
}

function softmax(values: Float64Array, from: number, to: number, width: number): void {
  for (let start = from; start < to; start += width) {
    const block = values.subarray(start, start + width);
    const top = block.reduce((a, b) => Math.max(a, b), -Infinity);
    block.forEach((v, i) => (block[i] = Math.exp(v - top)));
    const total = block.reduce((a, b) => a + b, 0);
    block.forEach((v, i) => (block[i] = v / total));
  }
}

function apply(layer: Layer, values: Float64Array, array: Lookup): Float64Array {
  switch (layer.op) {
    case "linear":
      return linear(values, array(layer.weight), array(layer.bias));
    case "scale": {
      const [weight, bias] = [array(layer.weight), array(layer.bias)];
      return values.map((v, i) => v * weight[i] + bias[i]);
    }
    case "norm":
      return normalized(values, array(layer.weight), array(layer.bias), layer.eps);
    case "sum":
      return layer.paths
        .map((path) => runLayers(path, values, array))
        .reduce((a, b) => a.map((v, i) => v + b[i]));
  }
  const [from, to, width] = "from" in layer ? [layer.from!, layer.to!, layer.width!] : [0, values.length, 1];
  const answer = values.slice();
  if (layer.op === "softmax") softmax(answer, from, to, width);
  else for (let i = from; i < to; i++) answer[i] = POINTWISE[layer.op](answer[i]);
  return answer;
}

/** Return the expected encoded row of a code. */
export function runLayers(layers: Layer[], code: ArrayLike<number>, array: Lookup): Float64Array {
  let values = Float64Array.from(code);
  for (const layer of layers) values = apply(layer, values, array) as Float64Array<ArrayBuffer>;
  return values;
}

/** A decoded cell: its value, and the probability of a category or the typical error of a number. */
export interface Decoded {
  column: number;
  value: number | string;
  sure: number;
}

/** Round half to even, as NumPy does. */
function rint(x: number): number {
  const low = Math.floor(x);
  if (x - low !== 0.5) return Math.round(x);
  return low % 2 === 0 ? low : low + 1;
}

/** Move a time outside the hours of a cycle to the nearer end of them. */
function withinHours(value: number, [length, first, last, offset]: [number, number, number, number]): number {
  const turn = Math.floor((value + offset - first) / length);
  let since = value + offset - first - turn * length;
  const open = last - first;
  if (since > open) since = since < (open + length) / 2 ? open : length;
  return turn * length + since + first - offset;
}

/** Move a number to the nearest value that its column can hold. */
export function snapped(value: number, output: Output): number {
  let answer = value;
  for (const [mass, low, high] of output.masses ?? []) if (value >= low && value <= high) answer = mass;
  for (const [mass] of output.masses ?? []) if (value === mass) answer = mass;
  const [factor, step, anchor] = output.grid ?? [1, 0, 0];
  if (step > 0) answer = (anchor + step * rint((answer * factor - anchor) / step)) / factor;
  for (const cycle of output.cycles ?? []) answer = withinHours(answer, cycle);
  return Math.min(Math.max(answer, output.low ?? -Infinity), output.high ?? Infinity);
}

function category(elements: Float64Array, labels: string[], steps: boolean): [string, number] {
  if (steps) {
    const above = Math.min(elements.filter((p) => p > 0.5).length, labels.length - 1);
    const sure = elements.reduce((least, p) => Math.min(least, Math.max(p, 1 - p)), 1);
    return [labels[above] ?? "", sure];
  }
  let best = 0;
  for (let i = 1; i < labels.length; i++) if (elements[i] > elements[best]) best = i;
  return [labels[best] ?? "", elements[best] ?? 0];
}

/** Return the cells of an encoded row, in the user's units. */
export function toCells(encoded: Float64Array, outputs: Output[]): Decoded[] {
  return outputs.map((output) => {
    if (output.kind === "category") {
      const elements = encoded.subarray(output.from, output.to);
      const [value, sure] = category(elements, output.labels ?? [], output.steps ?? false);
      return { column: output.column, value, sure };
    }
    const value = encoded[output.from] * (output.scale ?? 1) + (output.center ?? 0);
    const near = snapped(value, output);
    const inUnits = output.kind === "time" ? Math.round(near) * output.tick! + output.origin! : near;
    return { column: output.column, value: inUnits, sure: output.spread ?? NaN };
  });
}
