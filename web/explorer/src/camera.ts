/** The part of the map that is shown. Places of the map have units, places of the screen pixels. */

export interface Camera {
  /** Place of the map at the centre of the screen. */
  x: number;
  y: number;
  /** Pixels per unit. */
  sx: number;
  sy: number;
  width: number;
  height: number;
}

export const toScreenX = (c: Camera, x: number): number => (x - c.x) * c.sx + c.width / 2;
export const toScreenY = (c: Camera, y: number): number => c.height / 2 - (y - c.y) * c.sy;
export const toMapX = (c: Camera, px: number): number => (px - c.width / 2) / c.sx + c.x;
export const toMapY = (c: Camera, py: number): number => (c.height / 2 - py) / c.sy + c.y;

/** Axes whose ranges differ by less than this factor have the same scale. */
const ALIKE = 5;
const MARGIN = 0.9;
/** Pixels above and below the rows that legend, tools and names of the axes take. */
const CONTROLS = 90;

function quantileRange(values: ArrayLike<number>, share: number): [number, number] {
  const sorted = Float64Array.from(values).filter(Number.isFinite).sort();
  if (!sorted.length) return [-1, 1];
  const at = (q: number): number => sorted[Math.round(q * (sorted.length - 1))];
  const [low, high] = [at(share), at(1 - share)];
  return high > low ? [low, high] : [low - 0.5, high + 0.5];
}

/** Return the camera that shows nearly all rows. Far outliers are left out unless `all`. */
export function fitted(xs: ArrayLike<number>, ys: ArrayLike<number>, width: number, height: number, all = false): Camera {
  const [x, y] = [xs, ys].map((values) => extent(values, all));
  const free = Math.max(height - CONTROLS, 0.6 * height);
  let [sx, sy] = [(MARGIN * width) / (x[1] - x[0]), (MARGIN * free) / (y[1] - y[0])];
  const ratio = (x[1] - x[0]) / (y[1] - y[0]);
  if (ratio < ALIKE && ratio > 1 / ALIKE) sx = sy = Math.min(sx, sy);
  return { x: (x[0] + x[1]) / 2, y: (y[0] + y[1]) / 2, sx, sy, width, height };
}

function extent(values: ArrayLike<number>, all: boolean): [number, number] {
  const whole = quantileRange(values, 0);
  if (all) return whole;
  const inner = quantileRange(values, 0.01);
  const reach = 0.75 * (inner[1] - inner[0]);
  return [Math.max(whole[0], inner[0] - reach), Math.min(whole[1], inner[1] + reach)];
}

export function panned(c: Camera, dx: number, dy: number): Camera {
  return { ...c, x: c.x - dx / c.sx, y: c.y + dy / c.sy };
}

/** Zoom around a place of the screen, which stays where it is. */
export function zoomed(c: Camera, factor: number, px: number, py: number): Camera {
  const [x, y] = [toMapX(c, px), toMapY(c, py)];
  const [sx, sy] = [c.sx * factor, c.sy * factor];
  return { ...c, sx, sy, x: x - (px - c.width / 2) / sx, y: y + (py - c.height / 2) / sy };
}

export function resized(c: Camera, width: number, height: number): Camera {
  const factor = Math.min(width / c.width, height / c.height);
  return { ...c, width, height, sx: c.sx * factor, sy: c.sy * factor };
}
