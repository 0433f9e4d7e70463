import { describe, expect, it } from "vitest";
import { cellWords, matcher, numberWords, sortedRows, timeWords, toCsv, type Column } from "../src/columns";
import { huesOf } from "../src/hues";
import { LINE, windowOf } from "../src/table";

const amount: Column = { name: "amount", kind: "number", role: "column", decimals: 2, data: Float64Array.of(5, NaN, 1234.5, -1) };
const word: Column = { name: "word", kind: "category", role: "column", labels: ['b "q"', "a,x"], data: Uint8Array.of(0, 1, 2, 1) };
const day: Column = { name: "day", kind: "time", role: "column", unit: "date", data: Float64Array.of(0, 86400, NaN, 172800) };
const columns = [amount, word, day];
const rows = [0, 1, 2, 3];

describe("table", () => {
  it("draws the lines in sight and no others", () => {
    expect(windowOf(0, 280, 1e6)).toEqual([0, 22]);
    const [first, n] = windowOf(1000 * LINE, 280, 1e6);
    expect(first).toBeLessThan(1000);
    expect(first + n).toBeGreaterThan(1010);
    expect(windowOf(99 * LINE, 280, 100)).toEqual([93, 7]);
  });

  it("sorts gaps last in both directions, and equal values by row", () => {
    expect([...sortedRows(rows, amount, false)]).toEqual([3, 0, 2, 1]);
    expect([...sortedRows(rows, amount, true)]).toEqual([2, 0, 3, 1]);
    expect([...sortedRows(rows, word, false)]).toEqual([1, 3, 0, 2]);
  });

  it("finds text, numbers and conditions", () => {
    const found = (query: string): number[] => rows.filter(matcher(columns, query));
    expect(found("A,X")).toEqual([1, 3]);
    expect(found("1,234.5")).toEqual([2]);
    expect(found("amount > 0")).toEqual([0, 2]);
    expect(found("word = a,x")).toEqual([1, 3]);
    expect(found("day >= 1970-01-02")).toEqual([1, 3]);
    expect(found("(.*")).toEqual([]);
  });

  it("writes values that a reader of CSV returns", () => {
    expect(toCsv(columns, [0, 1, 2])).toBe('amount,word,day\n5.00,"b ""q""",1970-01-01\n,"a,x",1970-01-02\n1234.50,,\n');
  });
});

describe("words", () => {
  it("writes numbers with the decimals of their column or four digits", () => {
    expect(["1,234.50", "–"]).toEqual([2, 1].map((row) => cellWords(amount, row)));
    expect([0.00012345, 12.3456, 98765.4, -0.5, 1e9].map((v) => numberWords(v))).toEqual(["0.000123", "12.35", "98,765", "−0.5000", "1.00e+9"]);
  });

  it("writes instants, dates and durations", () => {
    expect(timeWords(86399, "instant")).toBe("1970-01-01 23:59:59");
    expect(timeWords(-90061, "duration")).toBe("−1 d 01:01:01");
  });
});

describe("hues", () => {
  it("gives each label an entry, the missing one too, and draws rare ones last", () => {
    const { entries, order, entryOf } = huesOf(word, "light");
    expect(entries.map((e) => [e.label, e.count])).toEqual([['b "q"', 1], ["a,x", 2], ["missing", 1]]);
    expect([...order].slice(0, 2)).toEqual([1, 3]);
    expect([...entryOf!]).toEqual([0, 1, 2, 1]);
  });

  it("joins the rarest of many labels", () => {
    const many: Column = { name: "m", kind: "category", role: "label", labels: Array.from({ length: 30 }, (_, i) => `l${i}`), data: Uint8Array.from({ length: 60 }, (_, i) => i % 30) };
    const { entries } = huesOf(many, "dark");
    expect(entries.length).toBe(11);
    expect(entries.reduce((sum, e) => sum + e.count, 0)).toBe(60);
  });

  it("has a logarithmic scale for skewed amounts only", () => {
    const skewed = (f: (i: number) => number): Column => ({ ...amount, decimals: null, data: Float64Array.from({ length: 100 }, (_, i) => f(i)) });
    expect(huesOf(skewed((i) => Math.exp(i / 8)), "light").scale!.log).toBe(true);
    expect(huesOf(skewed((i) => i + 1), "light").scale!.log).toBe(false);
  });
});
