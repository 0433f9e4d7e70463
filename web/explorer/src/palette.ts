/** Colour-blind safe colours. */

export type Rgb = [number, number, number];

const rgb = (hex: string): Rgb => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)) as Rgb;
export const css = ([r, g, b]: Rgb): string => `rgb(${r},${g},${b})`;

/** Okabe and Ito (2008), without yellow, which is pale on white; on dark pages lighter. */
const FEW = {
  light: ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#444444"].map(rgb),
  dark: ["#4AA8E0", "#F0854A", "#2FC39A", "#E2A0C6", "#F0B94A", "#9AD6F7", "#C9CCD1"].map(rgb),
};
/** Petroff (2021), Accessible Color Sequences for Data Visualization. */
const MANY = ["#3F90DA", "#BD1F01", "#FFA90E", "#832DB6", "#94A4A2", "#A96B59", "#E76300", "#B9AC70", "#717581", "#92DADD"].map(rgb);
const REST: Rgb = [150, 153, 158];
export const GAP: Rgb = [170, 172, 176];

/** Viridis at eleven places. Light pages leave out its pale end. */
const VIRIDIS = ["#440154", "#482576", "#414487", "#35608D", "#2A788E", "#21918C", "#22A884", "#43BF71", "#7AD151", "#BBDF27", "#FDE725"].map(rgb);
const SPAN = { light: [0, 0.9], dark: [0.18, 1] } as const;

export type Theme = "light" | "dark";

export function labelColor(place: number, n: number, theme: Theme): Rgb {
  if (place >= MANY.length) return REST;
  return n <= FEW.light.length ? FEW[theme][place] : MANY[place];
}

export function amountColor(share: number, theme: Theme): Rgb {
  const [low, high] = SPAN[theme];
  const at = Math.max(0, Math.min(1, low + share * (high - low))) * (VIRIDIS.length - 1);
  const place = Math.min(Math.floor(at), VIRIDIS.length - 2);
  const mix = at - place;
  return VIRIDIS[place].map((v, i) => Math.round(v + mix * (VIRIDIS[place + 1][i] - v))) as Rgb;
}
