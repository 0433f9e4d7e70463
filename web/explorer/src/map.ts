/** The map: points, and what lies above them. */

import type { App, Place } from "./app";
import { fitted, panned, resized, toMapX, toMapY, toScreenX, toScreenY, zoomed, type Camera } from "./camera";
import { densityOf, type Density } from "./density";
import { el } from "./dom";
import { plain, pointStyle, webgl, type Renderer } from "./render";
import { rowsInside } from "./stats";

/** Pixels within which a row is pointed at, and a drag is a click. */
const REACH = 12;
const STILL = 4;
const PAN_STEP = 60;

export class MapView {
  readonly root = el("div", { class: "map" });
  camera: Camera;
  home: Camera;
  private points = el("canvas", { class: "points", "aria-hidden": "true" });
  private readonly crowd = el("canvas", { class: "points", "aria-hidden": "true" });
  private readonly above = el("canvas", { class: "above", tabindex: 0, role: "application" });
  private readonly renderer: Renderer;
  private readonly pointers = new Map<number, { x: number; y: number }>();
  private drag: { x: number; y: number; lasso: number[]; kind: string; moved: boolean } | null = null;
  private pinch = 0;
  private waiting = false;
  private density: Density | null = null;
  private readonly styles = getComputedStyle(document.documentElement);

  constructor(private readonly app: App, private readonly onPoint: (x: number, y: number) => void) {
    this.above.setAttribute("aria-label", "Map of the rows. Arrows pan, plus and minus zoom, Enter decodes the centre, Space selects the row nearest to it.");
    this.renderer = webgl(this.points, app.xs, app.ys) ?? this.withoutWebgl();
    this.root.append(this.crowd, this.points, this.above);
    this.camera = this.home = fitted(app.xs, app.ys, 800, 600);
    this.root.dataset["renderer"] = this.renderer.kind;
    new ResizeObserver(() => this.resize()).observe(this.root);
    this.listen();
    app.on(["color", "filter", "group", "theme"], () => this.recolor());
    app.on(["row", "hover", "code", "tool", "cut"], () => this.redraw());
    this.recolor();
  }

  /** A canvas of WebGL gives no plain context, so that another one is needed. */
  private withoutWebgl(): Renderer {
    this.points = el("canvas", { class: "points", "aria-hidden": "true" });
    return plain(this.points, this.app.xs, this.app.ys);
  }

  private listen(): void {
    const { above } = this;
    above.addEventListener("pointerdown", (e) => this.down(e));
    above.addEventListener("pointermove", (e) => this.move(e));
    above.addEventListener("pointerup", (e) => this.up(e));
    above.addEventListener("pointercancel", (e) => this.cancel(e));
    above.addEventListener("pointerleave", () => this.app.setHover(null));
    above.addEventListener("wheel", (e) => this.wheel(e), { passive: false });
    above.addEventListener("keydown", (e) => this.key(e));
    this.app.on(["tool"], () => (above.dataset["tool"] = this.app.tool));
  }

  // ------------------------------------------------------------ size and camera
  private resize(): void {
    const { clientWidth: width, clientHeight: height } = this.root;
    if (!width || !height) return;
    const wasHome = this.camera === this.home;
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    this.renderer.resize(width, height, ratio);
    [this.above.width, this.above.height] = [Math.round(width * ratio), Math.round(height * ratio)];
    this.home = fitted(this.app.xs, this.app.ys, width, height);
    this.camera = wasHome ? this.home : resized(this.camera, width, height);
    this.redraw();
  }

  fit(all = false): void {
    this.camera = this.home = fitted(this.app.xs, this.app.ys, this.home.width, this.home.height, all);
    this.redraw();
  }

  zoom(factor: number, px = this.camera.width / 2, py = this.camera.height / 2): void {
    this.camera = zoomed(this.camera, factor, px, py);
    this.redraw();
  }

  /** Move to a row if it is out of sight. */
  show(row: number): void {
    const [x, y] = [this.app.xs[row], this.app.ys[row]];
    const [px, py] = [toScreenX(this.camera, x), toScreenY(this.camera, y)];
    const { width, height } = this.camera;
    if (px < 20 || py < 20 || px > width - 20 || py > height - 20) this.camera = { ...this.camera, x, y };
    this.redraw();
  }

  // ------------------------------------------------------------ pointers
  private local(event: PointerEvent | WheelEvent): { x: number; y: number } {
    const box = this.above.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  private toMap(at: { x: number; y: number }): Place {
    return { x: toMapX(this.camera, at.x), y: toMapY(this.camera, at.y) };
  }

  private rowAt(at: { x: number; y: number }): number | null {
    const place = this.toMap(at);
    const { sx, sy } = this.camera;
    return this.app.grid.near(place.x, place.y, REACH / sx, REACH / sy, 1, this.app.shown)[0] ?? null;
  }

  private down(event: PointerEvent): void {
    const at = this.local(event);
    this.pointers.set(event.pointerId, at);
    this.above.setPointerCapture(event.pointerId);
    this.above.focus({ preventScroll: true });
    if (this.pointers.size === 2) {
      this.drag = null;
      this.pinch = this.spread();
      return;
    }
    const kind = event.shiftKey ? "lasso" : this.app.tool;
    this.drag = { ...at, lasso: [at.x, at.y], kind, moved: false };
    if (kind === "decode") this.app.decodeAt(this.toMap(at));
  }

  private spread(): number {
    const [a, b] = [...this.pointers.values()];
    return Math.hypot(a.x - b.x, a.y - b.y);
  }

  private move(event: PointerEvent): void {
    const at = this.local(event);
    const before = this.pointers.get(event.pointerId);
    this.onPoint(event.clientX, event.clientY);
    if (!before) return this.app.setHover(this.rowAt(at));
    this.pointers.set(event.pointerId, at);
    if (this.pointers.size === 2) return this.pinched();
    if (!this.drag) return;
    this.drag.moved ||= Math.hypot(at.x - this.drag.x, at.y - this.drag.y) > STILL;
    if (this.drag.moved) this.dragged(at, before);
  }

  private pinched(): void {
    const [a, b] = [...this.pointers.values()];
    const spread = this.spread();
    this.zoom(spread / (this.pinch || spread), (a.x + b.x) / 2, (a.y + b.y) / 2);
    this.pinch = spread;
  }

  private dragged(at: { x: number; y: number }, before: { x: number; y: number }): void {
    const drag = this.drag!;
    drag.lasso.push(at.x, at.y);
    if (drag.kind === "move") this.camera = panned(this.camera, at.x - before.x, at.y - before.y);
    if (drag.kind === "decode") this.app.decodeAt(this.toMap(at));
    if (drag.kind === "path") this.app.setPath([this.toMap(drag), this.toMap(at)]);
    this.redraw();
  }

  private up(event: PointerEvent): void {
    const drag = this.drag;
    const at = this.local(event);
    this.cancel(event);
    if (!drag) return;
    if (drag.kind === "lasso" && drag.moved) return this.lassoed(drag.lasso);
    if (!drag.moved && drag.kind !== "decode") this.clicked(at);
  }

  private cancel(event: PointerEvent): void {
    this.pointers.delete(event.pointerId);
    this.drag = null;
    this.redraw();
  }

  private lassoed(screen: number[]): void {
    const polygon = screen.map((v, i) => (i % 2 ? toMapY(this.camera, v) : toMapX(this.camera, v)));
    this.app.setGroup(rowsInside(this.app.xs, this.app.ys, polygon, this.app.shown));
  }

  private clicked(at: { x: number; y: number }): void {
    const row = this.rowAt(at);
    if (row !== null) this.app.setRow(row);
    else if (this.app.group) this.app.setGroup(null);
    else this.app.decodeAt(this.toMap(at));
  }

  private wheel(event: WheelEvent): void {
    event.preventDefault();
    const at = this.local(event);
    this.zoom(Math.exp(-Math.max(-100, Math.min(100, event.deltaY)) * 0.004), at.x, at.y);
  }

  // ------------------------------------------------------------ keyboard
  private key(event: KeyboardEvent): void {
    const actions: Record<string, () => void> = {
      ArrowLeft: () => this.pan(PAN_STEP, 0),
      ArrowRight: () => this.pan(-PAN_STEP, 0),
      ArrowUp: () => this.pan(0, PAN_STEP),
      ArrowDown: () => this.pan(0, -PAN_STEP),
      Enter: () => this.app.decodeAt({ x: this.camera.x, y: this.camera.y }),
      " ": () => this.app.setRow(this.nearest({ x: this.camera.x, y: this.camera.y }, 1)[0] ?? null),
    };
    const action = actions[event.key];
    if (!action || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    action();
  }

  private pan(dx: number, dy: number): void {
    this.camera = panned(this.camera, dx, dy);
    this.redraw();
  }

  nearest(place: Place, k: number): number[] {
    return this.app.grid.nearest(place.x, place.y, this.camera.sx, this.camera.sy, k, this.app.shown);
  }

  // ------------------------------------------------------------ drawing
  private recolor(): void {
    this.renderer.setColors(this.app.hues.colors, this.app.marks, this.app.hues.order);
    this.redraw();
  }

  redraw(): void {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.draw();
    });
  }

  private draw(): void {
    const { app, camera } = this;
    this.density = app.n > 20_000 ? densityOf(app.xs, app.ys, app.hues.colors, app.shown, camera) : null;
    this.points.hidden = this.density !== null && !app.group;
    if (!this.points.hidden) {
      const { size, alpha } = pointStyle(app.n, camera, this.home);
      this.renderer.draw(camera, size, alpha);
    }
    this.drawDensity();
    this.drawAbove();
    this.root.dataset["drawn"] = this.density ? "density" : "points";
  }

  private drawDensity(): void {
    const { crowd, density } = this;
    crowd.hidden = density === null;
    if (!density) return;
    [crowd.width, crowd.height] = [density.width, density.height];
    crowd.getContext("2d")?.putImageData(new ImageData(density.pixels, density.width, density.height), 0, 0);
  }

  private drawAbove(): void {
    const context = this.above.getContext("2d")!;
    const ratio = this.above.width / Math.max(this.camera.width, 1);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.camera.width, this.camera.height);
    context.lineWidth = 1.5;
    context.strokeStyle = context.fillStyle = this.styles.getPropertyValue("--ink");
    this.drawAxes(context);
    this.drawLasso(context);
    this.drawPath(context);
    if (this.app.hover !== null) this.ring(context, this.app.hover, 6, 1.5);
    if (this.app.row !== null) this.ring(context, this.app.row, 8, 2.5);
    if (this.app.place) this.drawPlace(context, this.app.place);
  }

  private drawAxes(context: CanvasRenderingContext2D): void {
    const [x, y] = this.app.header.map.axes;
    const { width, height } = this.camera;
    context.save();
    context.fillStyle = this.styles.getPropertyValue("--quiet");
    context.font = "12px system-ui, sans-serif";
    context.fillText(`↑ ${y}`, 12, height - 10, width / 2 - 16);
    context.textAlign = "right";
    context.fillText(`${x} →`, width - 12, height - 10, width / 2 - 16);
    context.restore();
  }

  private drawLasso(context: CanvasRenderingContext2D): void {
    if (this.drag?.kind !== "lasso" || !this.drag.moved) return;
    const { lasso } = this.drag;
    context.beginPath();
    for (let i = 0; i < lasso.length; i += 2) context.lineTo(lasso[i], lasso[i + 1]);
    context.closePath();
    context.save();
    context.globalAlpha = 0.1;
    context.fill();
    context.restore();
    context.setLineDash([4, 3]);
    context.stroke();
    context.setLineDash([]);
  }

  private drawPath(context: CanvasRenderingContext2D): void {
    if (!this.app.path) return;
    const ends = this.app.path.map((p) => [toScreenX(this.camera, p.x), toScreenY(this.camera, p.y)]);
    context.beginPath();
    for (const [x, y] of ends) context.lineTo(x, y);
    context.stroke();
    for (const [x, y] of ends) this.dot(context, x, y, 4);
  }

  private dot(context: CanvasRenderingContext2D, x: number, y: number, radius: number): void {
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fill();
  }

  private ring(context: CanvasRenderingContext2D, row: number, radius: number, width: number): void {
    const [x, y] = [toScreenX(this.camera, this.app.xs[row]), toScreenY(this.camera, this.app.ys[row])];
    context.lineWidth = width;
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.stroke();
  }

  private drawPlace(context: CanvasRenderingContext2D, place: Place): void {
    const [x, y] = [toScreenX(this.camera, place.x), toScreenY(this.camera, place.y)];
    context.lineWidth = 2;
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      context.beginPath();
      context.moveTo(x + 4 * dx, y + 4 * dy);
      context.lineTo(x + 12 * dx, y + 12 * dy);
      context.stroke();
    }
    this.dot(context, x, y, 1.5);
  }
}
