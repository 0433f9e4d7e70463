/** The contents of the page, as `latently.explorer._payload` writes them. */

export interface Ref {
  at: number;
  n: number;
  type: "f32" | "f64" | "u8" | "u16" | "u32";
}

export type Numbers = Float32Array | Float64Array | Uint8Array | Uint16Array | Uint32Array;

export interface ColumnHeader {
  name: string;
  kind: "number" | "time" | "category";
  role: "row" | "id" | "label" | "score" | "column";
  data: Ref;
  decimals?: number | null;
  unit?: "instant" | "date" | "time" | "duration";
  labels?: string[];
}

export type Layer =
  | { op: "linear" | "scale"; weight: Ref; bias: Ref }
  | { op: "norm"; weight: Ref; bias: Ref; eps: number }
  | { op: "sum"; paths: Layer[][] }
  | { op: "gelu" | "relu" | "silu" | "elu" | "tanh" }
  | { op: "sigmoid" | "softmax" | "continuous"; from?: number; to?: number; width?: number };

export interface Output {
  column: number;
  from: number;
  to: number;
  kind: "number" | "time" | "category";
  center?: number;
  scale?: number;
  spread?: number;
  low?: number;
  high?: number;
  grid?: [number, number, number];
  masses?: [number, number, number][];
  /** Length, first and last tick and offset of weeks and days whose hours are limited. */
  cycles?: [number, number, number, number][];
  tick?: number;
  origin?: number;
  labels?: string[];
  steps?: boolean;
}

export interface DecoderHeader {
  layers: Layer[] | null;
  shape: number[];
  codes: Ref;
  size: number;
  low: number[];
  high: number[];
  sliders: number;
  outputs: Output[];
  center?: number[];
  basis?: number[][];
}

export interface Header {
  version: number;
  title: string;
  about: string;
  n: number;
  total: number;
  map: { axes: [string, string]; x: Ref; y: Ref };
  columns: ColumnHeader[];
  alarm: { cut: number; rule: string; p: Ref } | null;
  reasons: { row: number; why: string[] }[];
  images: { channels: number; height: number; width: number; data: Ref } | null;
  decoder: DecoderHeader | null;
  server: { token: string } | null;
}

export interface Payload {
  header: Header;
  array: (ref: Ref) => Numbers;
}

const ARRAYS = {
  f32: Float32Array,
  f64: Float64Array,
  u8: Uint8Array,
  u16: Uint16Array,
  u32: Uint32Array,
} as const;

/** Return views into the decompressed block of bytes. */
export function arraysOf(buffer: ArrayBuffer): (ref: Ref) => Numbers {
  return (ref) => new ARRAYS[ref.type](buffer, ref.at, ref.n);
}

export async function inflate(base64: string): Promise<ArrayBuffer> {
  const packed = Uint8Array.from(atob(base64.trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

export async function readPayload(): Promise<Payload> {
  const text = (id: string): string => document.getElementById(id)?.textContent ?? "";
  const header = JSON.parse(text("header")) as Header;
  return { header, array: arraysOf(await inflate(text("blob"))) };
}
