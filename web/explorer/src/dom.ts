/** Elements from text only: nothing that a user wrote is parsed as HTML. */

type Attributes = Record<string, string | number | boolean | ((event: never) => void)>;
type Child = Node | string;

export function el<K extends keyof HTMLElementTagNameMap>(tag: K, attributes: Attributes = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value as EventListener);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false) made.setAttribute(name, String(value));
  }
  made.append(...children);
  return made;
}

export function fill(parent: Element, ...children: Child[]): void {
  parent.replaceChildren(...children);
}

/** Draw an image of bytes (y, x, channel) on a canvas, enlarged by CSS. */
export function picture(pixels: ArrayLike<number>, height: number, width: number, channels: number, name: string): HTMLCanvasElement {
  const canvas = el("canvas", { width, height, class: "picture", role: "img", "aria-label": name });
  const data = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) data.data[4 * i + c] = pixels[channels * i + (channels < 3 ? 0 : c)];
    data.data[4 * i + 3] = channels === 4 ? pixels[4 * i + 3] : channels === 2 ? pixels[2 * i + 1] : 255;
  }
  canvas.getContext("2d")?.putImageData(data, 0, 0);
  return canvas;
}

export function download(name: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
