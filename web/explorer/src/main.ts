import "./style.css";
import { alarmPanel } from "./alarms";
import { App, type Tool } from "./app";
import { cellWords } from "./columns";
import { el, fill } from "./dom";
import { colorChoice, legend } from "./legend";
import { MapView } from "./map";
import { decodePanel, groupPanel, rowPanel, thumbnail } from "./panels";
import { readPayload } from "./payload";
import { Table } from "./table";

const TOOLS: [Tool, string, string, string][] = [
  ["move", "Move", "v", "Drag to pan, click a point or an empty place"],
  ["lasso", "Lasso", "l", "Draw around points to select them"],
  ["decode", "Decode", "d", "Drag to decode every place on the way"],
  ["path", "Path", "p", "Draw a line and decode its steps"],
];
const HELP = [
  ["Drag, arrows", "pan"], ["Wheel, + and −", "zoom"], ["0", "show all rows"], ["Shift and drag, L", "lasso"],
  ["D", "decode while dragging"], ["P", "path"], ["V", "move"], ["Enter", "decode the centre"], ["Space", "row nearest to the centre"],
  ["/", "search"], ["Esc", "clear"],
];

function toolbar(app: App, map: MapView): HTMLElement {
  const button = ([tool, name, key, title]: (typeof TOOLS)[number]): HTMLElement => {
    const made = el("button", { type: "button", title: `${title} (${key.toUpperCase()})`, "aria-pressed": String(app.tool === tool), "data-tool": tool, click: () => app.setTool(tool) }, name);
    app.on(["tool"], () => made.setAttribute("aria-pressed", String(app.tool === tool)));
    return made;
  };
  const zoom = (label: string, title: string, act: () => void): HTMLElement => el("button", { type: "button", title, "aria-label": title, click: act }, label);
  return el("div", { class: "toolbar", role: "toolbar", "aria-label": "Tools" }, ...TOOLS.map(button), el("span", { class: "gap" }),
    zoom("+", "Zoom in", () => map.zoom(1.5)), zoom("−", "Zoom out", () => map.zoom(1 / 1.5)), zoom("Fit", "Show all rows (0)", () => map.fit()));
}

function searchBox(app: App): HTMLInputElement {
  const number = app.columns.find((c) => c.kind === "number" && c.role !== "row");
  const placeholder = number && number.name.length < 20 ? `Search, or ${number.name} > 1` : "Search";
  const box = el("input", { type: "search", id: "search", placeholder, "aria-label": "Search rows by value or identifier", spellcheck: "false" });
  let waiting = 0;
  box.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = window.setTimeout(() => app.search(box.value), app.n > 50_000 ? 250 : 60);
  });
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    clearTimeout(waiting);
    app.search(box.value);
    const first = app.tableRows()[0];
    if (first !== undefined) app.setRow(first);
  });
  return box;
}

function themeButton(app: App): HTMLElement {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  app.setTheme(dark.matches ? "dark" : "light");
  dark.addEventListener("change", () => app.setTheme(dark.matches ? "dark" : "light"));
  const turn = (): void => app.setTheme(app.theme === "dark" ? "light" : "dark");
  return el("button", { type: "button", class: "theme", "aria-label": "Dark or light", title: "Dark or light", click: turn }, "◐");
}

function helpDialog(): HTMLDialogElement {
  const close = (): void => dialog.close();
  const dialog = el("dialog", { "aria-label": "Keys" }, el("h2", {}, "Keys and gestures"),
    el("dl", {}, ...HELP.map(([key, what]) => el("div", {}, el("dt", {}, key), el("dd", {}, what)))),
    el("p", { class: "hint" }, "Search for any text or number, or for a condition such as amount > 100 or country = DE."),
    el("button", { type: "button", click: close }, "Close"));
  return dialog;
}

function tabs(app: App, panels: [string, string, HTMLElement][]): [HTMLElement, HTMLElement] {
  const buttons = panels.map(([id, name]) => el("button", { type: "button", role: "tab", id: `tab-${id}`, "aria-controls": `panel-${id}`, click: () => app.setTab(id) }, name));
  const list = el("div", { class: "tabs", role: "tablist" }, ...buttons);
  list.addEventListener("keydown", (event) => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (!step) return;
    const next = (panels.findIndex(([id]) => id === app.tab) + step + panels.length) % panels.length;
    app.setTab(panels[next][0]);
    buttons[next].focus();
  });
  const draw = (): void => panels.forEach(([id, , panel], i) => {
    buttons[i].setAttribute("aria-selected", String(id === app.tab));
    buttons[i].tabIndex = id === app.tab ? 0 : -1;
    panel.classList.toggle("active", id === app.tab);
  });
  for (const [, , panel] of panels) panel.setAttribute("role", "tabpanel");
  app.on(["tab"], draw);
  draw();
  return [list, el("div", { class: "panels" }, ...panels.map(([, , panel]) => panel))];
}

/** Return the card at the pointer, which follows it. */
function card(app: App): { root: HTMLElement; follow: (x: number, y: number) => void } {
  const root = el("div", { class: "card", hidden: true });
  let [x, y] = [0, 0];
  const place = (): void => {
    const [w, h] = [root.offsetWidth, root.offsetHeight];
    root.style.left = `${Math.max(8, Math.min(x + 16, innerWidth - w - 8))}px`;
    root.style.top = `${Math.max(8, y + 16 + h > innerHeight ? y - h - 12 : y + 16)}px`;
  };
  app.on(["hover"], () => {
    root.hidden = app.hover === null || !root.dataset["on"];
    if (app.hover === null) return;
    const row = app.hover;
    const rest = app.columns.filter((c, i) => c.role === "column" || c.role === "label" || i === app.colorBy || c === app.scores);
    const lines = rest.slice(0, 10).map((c) => el("div", {}, el("dt", {}, c.name), el("dd", {}, cellWords(c, row))));
    const image = thumbnail(app, row);
    fill(root, el("strong", {}, app.name(row)), ...(image ? [image] : []), el("dl", {}, ...lines));
    place();
  });
  return { root, follow: (px, py) => { [x, y] = [px, py]; if (!root.hidden) place(); } };
}

function keys(app: App, map: MapView, search: HTMLInputElement, help: HTMLDialogElement): void {
  document.addEventListener("keydown", (event) => {
    const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
    if (event.key === "Escape") return clear(app, search);
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const tool = TOOLS.find(([, , key]) => key === event.key.toLowerCase());
    if (tool) app.setTool(tool[0]);
    else if (event.key === "/") search.focus();
    else if (event.key === "+" || event.key === "=") map.zoom(1.3);
    else if (event.key === "-") map.zoom(1 / 1.3);
    else if (event.key === "0") map.fit(true);
    else if (event.key === "?") help.showModal();
    else return;
    event.preventDefault();
  });
}

function clear(app: App, search: HTMLInputElement): void {
  if (search.value) {
    search.value = "";
    app.search("");
  } else if (app.group) app.setGroup(null);
  else {
    app.row = app.place = app.path = null;
    app.setCode(null);
  }
}

async function start(): Promise<void> {
  const root = document.getElementById("app")!;
  const app = new App(await readPayload());
  const theme = themeButton(app);
  const hover = card(app);
  const map: MapView = new MapView(app, hover.follow);
  map.root.addEventListener("pointerenter", () => (hover.root.dataset["on"] = "yes"));
  map.root.addEventListener("pointerleave", () => delete hover.root.dataset["on"]);
  const choose = (row: number): void => { app.setRow(row); map.show(row); };
  const table: Table = new Table(app, choose, []);
  table.root.id = "panel-table";
  const search = searchBox(app);
  const help = helpDialog();
  const panels: [string, string, HTMLElement][] = [["row", "Row", rowPanel(app)], ["decode", "Decode", decodePanel(app, () => map)], ["group", "Group", groupPanel(app)]];
  if (app.header.alarm) panels.push(["alarms", "Alarms", alarmPanel(app, choose)]);
  const [list, body] = tabs(app, [...panels, ["table", "Table", table.root]]);
  const helpButton = el("button", { type: "button", class: "theme", "aria-label": "Keys and gestures", title: "Keys and gestures (?)", click: () => help.showModal() }, "?");
  fill(root,
    el("header", { class: "top" }, el("div", { class: "title" }, el("h1", {}, app.header.title), el("span", {}, app.header.about)), colorChoice(app), search, theme, helpButton),
    el("main", {}, el("div", { class: "stage" }, map.root, legend(app), toolbar(app, map)), el("aside", {}, list, body)),
    hover.root, help);
  dock(table, body);
  keys(app, map, search, help);
  map.fit();
  Object.assign(window, { explorer: { app, map } }); // for scripts and tests
  root.dataset["ready"] = "yes";
}

/** Wide pages have the table under the map, narrow ones in a tab. */
function dock(table: Table, body: HTMLElement): void {
  const wide = matchMedia("(min-width: 900px)");
  const stage = document.querySelector("main")!;
  const put = (): void => (wide.matches ? stage : body).append(table.root);
  wide.addEventListener("change", put);
  put();
}

start().catch((error: unknown) => {
  fill(document.getElementById("app")!, el("p", { class: "failed", role: "alert" }, `The page could not be read: ${String(error)}`));
});
