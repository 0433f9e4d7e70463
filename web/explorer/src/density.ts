/** The density of the points, where they are too many to be seen one by one. */

import type { Camera } from "./camera";

/** Points of a pixel, on average where there are any, from which the density is drawn. */
const CROWDED = 4;
const CELL = 3;

export interface Density {
  width: number;
  height: number;
  pixels: Uint8ClampedArray<ArrayBuffer>;
}

/** Return the mean colour of the rows of each cell, whose opacity is the logarithm of their number. */
export function densityOf(xs: ArrayLike<number>, ys: ArrayLike<number>, colors: Uint8Array, shown: Uint8Array, camera: Camera): Density | null {
  const [width, height] = [Math.ceil(camera.width / CELL), Math.ceil(camera.height / CELL)];
  const sums = new Float32Array(4 * width * height);
  const [kx, ky] = [camera.sx / CELL, camera.sy / CELL];
  const [ox, oy] = [width / 2 - camera.x * kx, height / 2 + camera.y * ky];
  let [inside, used, most] = [0, 0, 0];
  for (let i = 0; i < xs.length; i++) {
    const [px, py] = [Math.floor(xs[i] * kx + ox), Math.floor(oy - ys[i] * ky)];
    if (!shown[i] || px < 0 || py < 0 || px >= width || py >= height) continue;
    const at = 4 * (py * width + px);
    sums[at] += colors[4 * i];
    sums[at + 1] += colors[4 * i + 1];
    sums[at + 2] += colors[4 * i + 2];
    const count = ++sums[at + 3];
    if (count === 1) used++;
    if (count > most) most = count;
    inside++;
  }
  if (!used || inside / used < CROWDED * CELL) return null;
  const pixels = new Uint8ClampedArray(4 * width * height);
  const scale = 1 / Math.log1p(most);
  for (let at = 0; at < sums.length; at += 4) {
    const count = sums[at + 3];
    if (!count) continue;
    for (let k = 0; k < 3; k++) pixels[at + k] = sums[at + k] / count;
    pixels[at + 3] = 255 * (0.12 + 0.88 * Math.log1p(count) * scale);
  }
  return { width, height, pixels };
}
