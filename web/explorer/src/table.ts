/** The table of the rows: only the lines in sight are in the document. */

import type { App } from "./app";
import { cellWords, sortedRows } from "./columns";
import { el, fill } from "./dom";

export const LINE = 28;

/** Return the first line in sight and how many lines there are to draw. */
export function windowOf(scroll: number, height: number, n: number): [number, number] {
  const spare = 6;
  const first = Math.max(0, Math.min(Math.floor(scroll / LINE) - spare, n));
  return [first, Math.min(n - first, Math.ceil(height / LINE) + 2 * spare)];
}

/** Browsers lay out no more pixels than this, so that longer tables scroll faster. */
const MOST_PIXELS = 8_000_000;

export class Table {
  readonly root = el("section", { class: "table", "aria-label": "Rows" });
  private rows: Uint32Array = new Uint32Array();
  private sort: { column: number; descending: boolean } | null = null;
  private readonly count = el("span", { class: "count", role: "status" });
  private readonly head = el("tr");
  private readonly body = el("tbody");
  private readonly before = el("div");
  private readonly after = el("div");
  private readonly scroller = el("div", { class: "scroller", tabindex: 0 });
  private stale = true;

  constructor(
    private readonly app: App,
    private readonly choose: (row: number) => void,
    extra: Node[],
  ) {
    const table = el("table", {}, el("thead", {}, this.head), this.body);
    this.scroller.append(this.before, table, this.after);
    this.root.append(el("header", { class: "bar" }, this.count, ...extra), this.scroller);
    this.scroller.addEventListener("scroll", () => this.draw());
    this.scroller.addEventListener("keydown", (e) => this.key(e));
    new ResizeObserver(() => this.refresh()).observe(this.scroller);
    app.on(["filter", "group"], () => this.reset());
    app.on(["cut"], () => this.draw());
    app.on(["row", "hover"], () => this.mark());
    this.heads();
    this.reset();
  }

  private heads(): void {
    const cells = this.app.columns.map((column, place) => {
      const sorted = this.sort?.column === place ? (this.sort.descending ? "descending" : "ascending") : "none";
      const arrow = sorted === "none" ? "" : sorted === "ascending" ? " ↑" : " ↓";
      const button = el("button", { type: "button", click: () => this.sortBy(place), title: `Sort by ${column.name}` }, column.name + arrow);
      return el("th", { class: column.kind, "aria-sort": sorted, scope: "col" }, button);
    });
    fill(this.head, ...cells);
  }

  sortBy(column: number): void {
    const isSame = this.sort?.column === column;
    const starts = this.app.columns[column].role === "score";
    if (isSame && this.sort!.descending !== starts) this.sort = null;
    else this.sort = { column, descending: isSame ? !starts : starts };
    this.heads();
    this.reset();
  }

  /** Take the rows of the filters and the group, in the order of the table. */
  private reset(): void {
    this.stale = true;
    this.refresh();
  }

  private refresh(): void {
    if (!this.scroller.clientHeight) return; // not in sight
    if (this.stale) {
      const rows = this.app.tableRows();
      this.rows = this.sort ? sortedRows(rows, this.app.columns[this.sort.column], this.sort.descending) : rows;
      const n = this.app.n;
      this.count.textContent = rows.length === n ? `${n.toLocaleString("en-US")} rows` : `${rows.length.toLocaleString("en-US")} of ${n.toLocaleString("en-US")} rows`;
      this.scroller.scrollTop = 0;
      this.stale = false;
    }
    this.draw();
  }

  private get shrink(): number {
    return Math.max(1, (this.rows.length * LINE) / MOST_PIXELS);
  }

  private draw(): void {
    const { scrollTop, clientHeight } = this.scroller;
    const shrink = this.shrink;
    const [first, n] = windowOf(scrollTop * shrink, clientHeight, this.rows.length);
    const lines: HTMLTableRowElement[] = [];
    for (let i = first; i < first + n; i++) lines.push(this.line(this.rows[i]));
    fill(this.body, ...lines);
    this.before.style.height = `${(first * LINE) / shrink}px`;
    this.after.style.height = `${Math.max(0, ((this.rows.length - first - n) * LINE) / shrink)}px`;
    this.mark();
  }

  private line(row: number): HTMLTableRowElement {
    const cells = this.app.columns.map((column) => el("td", { class: column.kind }, cellWords(column, row)));
    return el("tr", {
      "data-row": row,
      click: () => this.choose(row),
      pointerenter: () => this.app.setHover(row),
      pointerleave: () => this.app.setHover(null),
    }, ...cells);
  }

  private mark(): void {
    for (const line of this.body.rows) {
      const row = Number(line.dataset["row"]);
      line.classList.toggle("chosen", row === this.app.row);
      line.classList.toggle("hover", row === this.app.hover);
    }
  }

  private key(event: KeyboardEvent): void {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (!step || !this.rows.length) return;
    event.preventDefault();
    const here = this.app.row === null ? -1 : this.rows.indexOf(this.app.row);
    const next = Math.max(0, Math.min(this.rows.length - 1, here + step));
    this.choose(this.rows[next]);
    const top = (next * LINE) / this.shrink;
    const { scrollTop, clientHeight } = this.scroller;
    if (top < scrollTop || top > scrollTop + clientHeight - 3 * LINE) this.scroller.scrollTop = top - clientHeight / 2;
  }
}
