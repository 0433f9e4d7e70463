/** The points: WebGL 2, or a plain canvas where there is none. */

import type { Camera } from "./camera";

/** What a row is in the picture. */
export const HIDDEN = 0;
export const DIMMED = 1;
export const SHOWN = 2;
export const CHOSEN = 3;

export interface Renderer {
  kind: "webgl" | "canvas";
  /** `order` holds the rows from the lowest to the topmost. */
  setColors(colors: Uint8Array, marks: Uint8Array, order: Uint32Array): void;
  draw(camera: Camera, size: number, alpha: number): void;
  resize(width: number, height: number, ratio: number): void;
}

const VERTEX = `#version 300 es
in vec2 place;
in vec4 color;
uniform vec2 center, scale;
uniform float size;
out vec4 tint;
void main() {
  float mark = floor(color.a * 255.0 + 0.5);
  tint = vec4(color.rgb, mark);
  gl_Position = mark < 0.5 ? vec4(2.0, 2.0, 2.0, 1.0) : vec4((place - center) * scale, 0.0, 1.0);
  gl_PointSize = mark > 2.5 ? size * 1.5 + 1.0 : size;
}`;

const FRAGMENT = `#version 300 es
precision highp float;
in vec4 tint;
uniform float alpha, size;
uniform bool chosen;
out vec4 pixel;
void main() {
  bool isChosen = tint.a > 2.5;
  if (isChosen != chosen) discard;
  float edge = length(gl_PointCoord - 0.5) * 2.0;
  float cover = size < 2.5 ? 1.0 : 1.0 - smoothstep(1.0 - 2.0 / size, 1.0, edge);
  float opacity = isChosen ? max(alpha, 0.9) : tint.a < 1.5 ? alpha * 0.12 : alpha;
  pixel = vec4(tint.rgb, 1.0) * cover * opacity;
}`;

function shader(gl: WebGL2RenderingContext, type: number, source: string): WebGLShader {
  const made = gl.createShader(type)!;
  gl.shaderSource(made, source);
  gl.compileShader(made);
  return made;
}

function program(gl: WebGL2RenderingContext): WebGLProgram | null {
  const made = gl.createProgram();
  gl.attachShader(made, shader(gl, gl.VERTEX_SHADER, VERTEX));
  gl.attachShader(made, shader(gl, gl.FRAGMENT_SHADER, FRAGMENT));
  gl.linkProgram(made);
  return gl.getProgramParameter(made, gl.LINK_STATUS) ? made : null;
}

/** Single precision has few digits far from zero, so that places are counted from their mean. */
function centered(values: ArrayLike<number>): [Float32Array, number] {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i];
  const mean = values.length ? total / values.length : 0;
  return [Float32Array.from(values, (v) => v - mean), mean];
}

export function webgl(canvas: HTMLCanvasElement, xs: ArrayLike<number>, ys: ArrayLike<number>): Renderer | null {
  const gl = canvas.getContext("webgl2", { antialias: false, premultipliedAlpha: true, preserveDrawingBuffer: true });
  const made = gl && program(gl);
  if (!gl || !made) return null;
  const n = xs.length;
  const [[cx, mx], [cy, my]] = [centered(xs), centered(ys)];
  const places = new Float32Array(2 * n);
  for (let i = 0; i < n; i++) places.set([cx[i], cy[i]], 2 * i);
  gl.useProgram(made);
  buffer(gl, made, "place", places, 2, gl.FLOAT, false);
  const colorBuffer = buffer(gl, made, "color", new Uint8Array(4 * n), 4, gl.UNSIGNED_BYTE, true);
  const at = (name: string): WebGLUniformLocation | null => gl.getUniformLocation(made, name);
  const [center, scale, size, alpha, chosen] = ["center", "scale", "size", "alpha", "chosen"].map(at);
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
  gl.enable(gl.BLEND);
  gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  let dots = 1;
  let hasChosen = false;
  return {
    kind: "webgl",
    setColors(colors, marks, order) {
      gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, order as unknown as BufferSource, gl.DYNAMIC_DRAW);
      const bytes = colors.slice();
      hasChosen = marks.includes(CHOSEN);
      for (let i = 0; i < n; i++) bytes[4 * i + 3] = marks[i];
      gl.bindBuffer(gl.ARRAY_BUFFER, colorBuffer);
      gl.bufferData(gl.ARRAY_BUFFER, bytes, gl.DYNAMIC_DRAW);
    },
    draw(camera, pointSize, opacity) {
      gl.clearColor(0, 0, 0, 0);
      gl.clear(gl.COLOR_BUFFER_BIT);
      gl.uniform2f(center!, camera.x - mx, camera.y - my);
      gl.uniform2f(scale!, (2 * camera.sx) / camera.width, (2 * camera.sy) / camera.height);
      gl.uniform1f(size!, pointSize * dots);
      gl.uniform1f(alpha!, opacity);
      for (const pass of hasChosen ? [0, 1] : [0]) {
        gl.uniform1i(chosen!, pass);
        gl.drawElements(gl.POINTS, n, gl.UNSIGNED_INT, 0);
      }
    },
    resize(width, height, ratio) {
      dots = ratio;
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      gl.viewport(0, 0, canvas.width, canvas.height);
    },
  };
}

function buffer(gl: WebGL2RenderingContext, made: WebGLProgram, name: string, data: Float32Array | Uint8Array, width: number, type: number, normalized: boolean): WebGLBuffer {
  const place = gl.getAttribLocation(made, name);
  const bytes = gl.createBuffer();
  gl.bindBuffer(gl.ARRAY_BUFFER, bytes);
  gl.bufferData(gl.ARRAY_BUFFER, data as unknown as BufferSource, gl.DYNAMIC_DRAW);
  gl.enableVertexAttribArray(place);
  gl.vertexAttribPointer(place, width, type, normalized, 0, 0);
  return bytes;
}

/** Draw squares on a plain canvas, for browsers without WebGL. */
export function plain(canvas: HTMLCanvasElement, xs: ArrayLike<number>, ys: ArrayLike<number>): Renderer {
  const context = canvas.getContext("2d")!;
  let [colors, marks]: [Uint8Array, Uint8Array] = [new Uint8Array(4 * xs.length), new Uint8Array(xs.length)];
  let order = new Uint32Array();
  let ratio = 1;
  return {
    kind: "canvas",
    setColors(newColors, newMarks, newOrder) {
      [colors, marks, order] = [newColors, newMarks, newOrder as Uint32Array<ArrayBuffer>];
    },
    draw(c, size, alpha) {
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.clearRect(0, 0, c.width, c.height);
      for (const pass of [DIMMED, SHOWN, CHOSEN]) {
        context.globalAlpha = pass === DIMMED ? 0.12 * alpha : pass === CHOSEN ? 0.9 : alpha;
        for (const i of order) {
          if (marks[i] !== pass) continue;
          context.fillStyle = `rgb(${colors[4 * i]},${colors[4 * i + 1]},${colors[4 * i + 2]})`;
          context.fillRect((xs[i] - c.x) * c.sx + c.width / 2 - size / 2, c.height / 2 - (ys[i] - c.y) * c.sy - size / 2, size, size);
        }
      }
    },
    resize(width, height, dots) {
      ratio = dots;
      canvas.width = Math.round(width * dots);
      canvas.height = Math.round(height * dots);
    },
  };
}

/** Return point size and opacity, so that a crowded map shows its density. */
export function pointStyle(n: number, camera: Camera, home: Camera): { size: number; alpha: number } {
  const zoom = Math.max(1, Math.sqrt((camera.sx * camera.sy) / (home.sx * home.sy)));
  const area = camera.width * camera.height;
  const base = Math.sqrt((0.12 * area) / Math.max(n, 1));
  const size = Math.max(2, Math.min(base * Math.sqrt(zoom), 9, 3 * base + 3 + zoom));
  const cover = (n * size * size) / (area * 0.3 * zoom * zoom);
  return { size, alpha: Math.max(0.1, Math.min(0.85, 0.9 / Math.sqrt(Math.max(cover, 0.2)))) };
}
