/** Nearest rows by a grid of buckets over the map. */

export class Grid {
  private readonly starts: Uint32Array;
  private readonly rows: Uint32Array;
  private readonly n: number;
  private readonly x0: number;
  private readonly y0: number;
  private readonly dx: number;
  private readonly dy: number;

  constructor(
    private readonly xs: ArrayLike<number>,
    private readonly ys: ArrayLike<number>,
  ) {
    this.n = Math.max(1, Math.min(512, Math.round(Math.sqrt(xs.length / 4))));
    const [x0, x1] = range(xs);
    const [y0, y1] = range(ys);
    [this.x0, this.y0] = [x0, y0];
    [this.dx, this.dy] = [(x1 - x0) / this.n || 1, (y1 - y0) / this.n || 1];
    this.starts = new Uint32Array(this.n * this.n + 1);
    const cells = new Uint32Array(xs.length);
    for (let i = 0; i < xs.length; i++) this.starts[(cells[i] = this.cell(xs[i], ys[i])) + 1]++;
    for (let c = 0; c < this.n * this.n; c++) this.starts[c + 1] += this.starts[c];
    const next = this.starts.slice();
    this.rows = new Uint32Array(xs.length);
    for (let i = 0; i < xs.length; i++) this.rows[next[cells[i]]++] = i;
  }

  private place(value: number, start: number, step: number): number {
    return Math.max(0, Math.min(this.n - 1, Math.floor((value - start) / step)));
  }

  private cell(x: number, y: number): number {
    return this.place(y, this.y0, this.dy) * this.n + this.place(x, this.x0, this.dx);
  }

  /** Return up to `k` shown rows within radii `rx` and `ry`, the nearest first. */
  near(x: number, y: number, rx: number, ry: number, k: number, shown: Uint8Array): number[] {
    const found: [number, number][] = [];
    const [c0, c1] = [this.place(x - rx, this.x0, this.dx), this.place(x + rx, this.x0, this.dx)];
    const [r0, r1] = [this.place(y - ry, this.y0, this.dy), this.place(y + ry, this.y0, this.dy)];
    for (let r = r0; r <= r1; r++) {
      for (let i = this.starts[r * this.n + c0]; i < this.starts[r * this.n + c1 + 1]; i++) {
        const row = this.rows[i];
        const distance = ((this.xs[row] - x) / rx) ** 2 + ((this.ys[row] - y) / ry) ** 2;
        if (distance <= 1 && shown[row]) found.push([distance, row]);
      }
    }
    return found.sort((a, b) => a[0] - b[0]).slice(0, k).map(([, row]) => row);
  }

  /** Return the `k` nearest shown rows at any distance. */
  nearest(x: number, y: number, sx: number, sy: number, k: number, shown: Uint8Array): number[] {
    const widest = 4 * Math.max(this.n * this.dx * sx, this.n * this.dy * sy) + this.away(x, y, sx, sy);
    for (let pixels = 8; ; pixels *= 2) {
      const found = this.near(x, y, pixels / sx, pixels / sy, k, shown);
      if (found.length >= k || pixels > widest) return found;
    }
  }

  private away(x: number, y: number, sx: number, sy: number): number {
    return Math.abs(x - this.x0) * sx + Math.abs(y - this.y0) * sy;
  }
}

function range(values: ArrayLike<number>): [number, number] {
  let [low, high] = [Infinity, -Infinity];
  for (let i = 0; i < values.length; i++) {
    if (values[i] < low) low = values[i];
    if (values[i] > high) high = values[i];
  }
  return [low, high];
}
