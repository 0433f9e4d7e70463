import { describe, expect, it } from "vitest";
import { erf, runLayers, snapped, toCells } from "../src/decoder";
import { arraysOf, type Layer, type Output, type Ref } from "../src/payload";

/** Keeps arrays as the page does, in one block of bytes. */
function stored(): { add: (values: number[]) => Ref; array: ReturnType<typeof arraysOf> } {
  const buffer = new ArrayBuffer(4096);
  let at = 0;
  const add = (values: number[]): Ref => {
    new Float32Array(buffer, at, values.length).set(values);
    const ref: Ref = { at, n: values.length, type: "f32" };
    at += 8 * Math.ceil(values.length / 2);
    return ref;
  };
  return { add, array: arraysOf(buffer) };
}

describe("layers", () => {
  it("multiplies a code by a matrix and adds a bias", () => {
    const { add, array } = stored();
    const layers: Layer[] = [{ op: "linear", weight: add([1, 2, 3, 4, 5, 6]), bias: add([1, 0, -1]) }];
    expect([...runLayers(layers, [1, -1], array)]).toEqual([0, -1, -2]);
  });

  it("adds the results of two paths", () => {
    const { add, array } = stored();
    const double: Layer = { op: "scale", weight: add([2, 2]), bias: add([0, 0]) };
    expect([...runLayers([{ op: "sum", paths: [[double], [{ op: "relu" }]] }], [3, -1], array)]).toEqual([9, -2]);
  });

  it("has the error function of a normal distribution", () => {
    const { array } = stored();
    for (const [x, y] of [[0, 0], [0.5, 0.5204998778], [1, 0.8427007929], [2, 0.995322265]]) {
      expect(erf(x)).toBeCloseTo(y, 6);
      expect(erf(-x)).toBeCloseTo(-y, 6);
    }
    expect(runLayers([{ op: "gelu" }], [1], array)[0]).toBeCloseTo(0.8413447461, 6);
  });

  it("returns probabilities that sum to one in each block, without overflow", () => {
    const { array } = stored();
    const found = runLayers([{ op: "softmax", from: 1, to: 5, width: 2 }], [7, 1000, 1000, 0, 0], array);
    expect([...found]).toEqual([7, 0.5, 0.5, 0.5, 0.5]);
  });

  it("normalises a layer to mean 0 and variance 1", () => {
    const { add, array } = stored();
    const found = runLayers([{ op: "norm", weight: add([1, 1, 1]), bias: add([0, 0, 0]), eps: 0 }], [1, 2, 3], array);
    expect(found[0] + found[2]).toBeCloseTo(0);
    expect(found[2]).toBeCloseTo(Math.sqrt(1.5));
  });

  it("has a continuous mean at the logit zero", () => {
    const { array } = stored();
    const mean = (x: number): number => runLayers([{ op: "continuous", from: 0, to: 1, width: 1 }], [x], array)[0];
    expect(mean(0)).toBe(0.5);
    expect(mean(0.00999)).toBeCloseTo(mean(0.01001), 4);
  });
});

describe("cells", () => {
  const number: Output = { column: 0, from: 0, to: 1, kind: "number", low: 0, high: 10, grid: [100, 25, 0], masses: [[0, -Infinity, 0.1]] };

  it("moves a number to its grid, its bounds and its point masses", () => {
    expect(snapped(3.3, number)).toBe(3.25);
    expect(snapped(12, number)).toBe(10);
    expect(snapped(0.09, number)).toBe(0);
    expect(snapped(3.3, { ...number, grid: [1, 0, 0] })).toBe(3.3);
  });

  it("rounds half to even, as NumPy does", () => {
    const whole: Output = { ...number, grid: [1, 1, 0], masses: [] };
    expect([0.5, 1.5, 2.5].map((v) => snapped(v, whole))).toEqual([0, 2, 2]);
  });

  it("returns the most probable category and the steps of an ordered one", () => {
    const outputs: Output[] = [
      { column: 0, from: 0, to: 3, kind: "category", labels: ["a", "b"] },
      { column: 1, from: 3, to: 5, kind: "category", labels: ["low", "mid", "high"], steps: true },
    ];
    const cells = toCells(Float64Array.of(0.2, 0.7, 0.1, 0.9, 0.4), outputs);
    expect(cells.map((c) => c.value)).toEqual(["b", "mid"]);
    expect(cells.map((c) => c.sure)).toEqual([0.7, 0.6]);
  });
});
