import { describe, expect, it } from "vitest";
import { fitted, panned, toMapX, toMapY, toScreenX, toScreenY, zoomed } from "../src/camera";
import type { Column } from "../src/columns";
import { densityOf } from "../src/density";
import { Grid } from "../src/grid";
import { alarmsAt, cliffsDelta, differences, histogram, isInside, rowsInside } from "../src/stats";

/** A generator of the same numbers each time. */
function random(seed: number): () => number {
  return () => (seed = (seed * 16807) % 2147483647) / 2147483647;
}

const column = (name: string, data: number[]): Column => ({ name, kind: "number", role: "column", decimals: null, data: Float64Array.from(data) });

describe("effects", () => {
  it("equals the count over all pairs", () => {
    const draw = random(7);
    const values = Array.from({ length: 60 }, () => Math.floor(draw() * 9));
    const isIn = Uint8Array.from(values, () => (draw() < 0.4 ? 1 : 0));
    let [wins, pairs] = [0, 0];
    values.forEach((a, i) => values.forEach((b, j) => {
      if (!isIn[i] || isIn[j]) return;
      wins += Math.sign(a - b);
      pairs++;
    }));
    expect(cliffsDelta(values, isIn)).toBeCloseTo(wins / pairs, 12);
  });

  it("is 1 for a group above all others, and ignores gaps", () => {
    expect(cliffsDelta([1, 2, NaN, 8, 9], Uint8Array.of(0, 0, 1, 1, 1))).toBe(1);
  });

  it("names the column that sets a group apart first", () => {
    const isIn = Uint8Array.of(1, 1, 0, 0, 0, 0);
    const same = column("same", [1, 2, 1, 2, 1, 2]);
    const kind: Column = { name: "kind", kind: "category", role: "column", labels: ["x", "y"], data: Uint8Array.of(0, 0, 1, 1, 1, 0) };
    const found = differences([same, kind, column("size", [9, 8, 1, 2, 3, 4])], isIn);
    expect(found.map((d) => d.words)).toEqual(["size is much higher", "kind is much more often x"]);
    expect(found[1].detail).toBe("100 %, all others 25 %");
  });

  it("finds that a group has more gaps", () => {
    const found = differences([column("a", [NaN, NaN, 1, 1])], Uint8Array.of(1, 1, 0, 0));
    expect(found[0].words).toBe("a is much more often missing");
  });
});

describe("alarms", () => {
  it("counts scores above the threshold, as NumPy does", () => {
    const scores = Float64Array.of(1, 2, 2, 3, 5);
    const p = Float64Array.of(1, 0.6, 0.6, 0.2, 0.1);
    expect([0, 1, 2, 4, 5].map((cut) => alarmsAt(scores, p, cut).alerts)).toEqual([5, 4, 2, 1, 0]);
    expect(alarmsAt(scores, p, 4).rate).toBe(0.1);
    expect(alarmsAt(scores, p, 9).rate).toBe(0.1);
  });

  it("keeps all finite values in a histogram", () => {
    const { counts, low, high } = histogram([0, 1, 2, 3, NaN, Infinity], 3);
    expect([counts.reduce((a, b) => a + b), low, high]).toEqual([4, 0, 3]);
    expect(histogram([2, 2], 4).counts.reduce((a, b) => a + b)).toBe(2);
  });
});

describe("places", () => {
  const draw = random(3);
  const xs = Float32Array.from({ length: 3000 }, () => draw() ** 3);
  const ys = Float32Array.from({ length: 3000 }, () => 50 * draw());
  const all = new Uint8Array(3000).fill(1);

  it("finds the nearest rows that a search over all finds", () => {
    const grid = new Grid(xs, ys);
    for (const [x, y] of [[0.1, 20], [0.9, 49], [-3, 400]]) {
      const away = (i: number): number => ((xs[i] - x) * 50) ** 2 + (ys[i] - y) ** 2;
      const best = [...xs.keys()].sort((a, b) => away(a) - away(b)).slice(0, 3);
      expect(grid.nearest(x, y, 50, 1, 3, all)).toEqual(best);
    }
  });

  it("finds rows inside a lasso, and only shown ones", () => {
    const box = [0.2, 10, 0.5, 10, 0.5, 30, 0.2, 30];
    const expected = [...xs.keys()].filter((i) => xs[i] > 0.2 && xs[i] < 0.5 && ys[i] > 10 && ys[i] < 30);
    expect([...rowsInside(xs, ys, box, all)]).toEqual(expected);
    expect(rowsInside(xs, ys, box, new Uint8Array(3000)).length).toBe(0);
    expect(isInside(0.5, 0.5, [0, 0, 1, 0, 0, 1])).toBe(false);
  });

  it("returns a place through screen and back, and zooms around the pointer", () => {
    const camera = panned(fitted(xs, ys, 800, 600), 30, -20);
    expect(toScreenX(camera, toMapX(camera, 123))).toBeCloseTo(123);
    expect(toScreenY(camera, toMapY(camera, 321))).toBeCloseTo(321);
    expect(toMapX(zoomed(camera, 3, 100, 50), 100)).toBeCloseTo(toMapX(camera, 100));
  });

  it("draws the density only where points are crowded", () => {
    const colors = new Uint8Array(4 * 3000).fill(80);
    const camera = fitted(xs, ys, 800, 600);
    expect(densityOf(xs, ys, colors, all, camera)).toBeNull();
    const density = densityOf(xs, ys, colors, all, { ...camera, width: 12, height: 12, sx: camera.sx / 80, sy: camera.sy / 80 })!;
    expect(Math.max(...density.pixels.filter((_, i) => i % 4 === 3))).toBe(255);
    expect(Math.max(...density.pixels.filter((_, i) => i % 4 === 0))).toBe(80);
  });
});
