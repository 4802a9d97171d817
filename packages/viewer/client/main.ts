/** The page: reads the view that stands in it, and puts the columns together. */
import { packedType, type View, viewVersion } from "../src/format/types.ts";
import { Detail } from "./detail.ts";
import { byId, element } from "./dom.ts";
import { GraphColumn } from "./graph-column.ts";
import { Kernels } from "./kernels.ts";
import { Memory } from "./memory.ts";
import { Model } from "./model.ts";
import { Notation } from "./notation.ts";
import { Search } from "./search.ts";
import { State } from "./state.ts";

const keys = [
  ["/", "search"],
  ["arrows, j k", "move in a list; left and right close and open"],
  ["Enter", "choose"],
  ["[ ]", "pass before, pass after"],
  ["d o", "graph as a diagram, as an outline"],
  ["s", "open the graph around the selection"],
  ["p", "next program"],
  ["t", "light or dark"],
  ["Escape", "select nothing"],
] as const;

/** JSON as it stands in the page, or packed where it is large. */
async function readView(): Promise<View> {
  const script = byId("view");
  const text = script.textContent ?? "";
  if (script.getAttribute("type") !== packedType) return JSON.parse(text) as View;
  const packed = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return (await new Response(stream).json()) as View;
}

function start(view: View): void {
  if (view.version !== viewVersion)
    throw new Error(`the view must be of version ${viewVersion}; given ${view.version}`);
  const state = new State(new Model(view));
  const search = new Search(state);
  const memory = new Memory(state);
  const graph = new GraphColumn(state);
  const notation = new Notation(state);
  byId("page").replaceChildren(
    header(state, search, memory),
    element(
      "main",
      {},
      column("notation-column", "->>", notation.root),
      column("graph-column", "graph", graph.root),
      column("kernel-column", "kernels", new Kernels(state).root, new Detail(state).root),
    ),
    column("memory-column", "memory", memory.root),
  );
  document.addEventListener("keydown", (event) => onKey(event, state, search, graph, memory));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => memory.draw());
  document.documentElement.dataset.ready = "true";
}

function column(id: string, title: string, ...children: readonly HTMLElement[]): HTMLElement {
  return element("section", { class: "column", id }, element("h1", { text: title }), ...children);
}

function header(state: State, search: Search, memory: Memory): HTMLElement {
  const { view } = state.model;
  const programs = element("select", { id: "program", attributes: { "aria-label": "program" } });
  for (const [index, { name }] of view.programs.entries())
    programs.append(element("option", { text: name, attributes: { value: String(index) } }));
  programs.addEventListener("change", () => state.set({ program: Number(programs.value) }));
  state.onChange(() => {
    programs.value = String(state.shown.program);
  });
  return element(
    "header",
    {},
    element("strong", { text: view.name, title: view.target }),
    element("span", {
      class: "dim",
      text: `${view.device}, plan ${view.plan.hash.slice(0, 12)}`,
      title: view.target,
    }),
    programs,
    element("div", { class: "search" }, search.input, search.results),
    ...rate(
      state,
      "bytesPerSecond",
      1e9,
      "GB/s",
      `memory that the roofline is taken at; ${view.roofline.source}`,
    ),
    ...rate(
      state,
      "operationsPerSecond",
      1e12,
      "TFLOP/s",
      `arithmetic that the roofline is taken at; ${view.roofline.source}`,
    ),
    element("button", {
      text: "◐",
      id: "theme",
      title: "light or dark (t)",
      onclick: () => turnTheme(memory),
    }),
    element("button", { text: "?", id: "keys", title: "keys", onclick: showKeys }),
  );
}

function rate(
  state: State,
  key: "bytesPerSecond" | "operationsPerSecond",
  unit: number,
  name: string,
  title: string,
): HTMLElement[] {
  const input = element("input", {
    id: key,
    title,
    attributes: { type: "number", min: "0", step: "any", "aria-label": name },
  });
  input.value = String(state.shown[key] / unit);
  input.addEventListener("change", () => {
    const value = Number(input.value) * unit;
    if (value > 0) state.set({ [key]: value });
    else input.value = String(state.shown[key] / unit);
  });
  return [element("label", { class: "rate", title }, input, element("span", { class: "dim", text: name }))];
}

function turnTheme(memory: Memory): void {
  const root = document.documentElement;
  const isDark =
    root.dataset.theme === undefined
      ? matchMedia("(prefers-color-scheme: dark)").matches
      : root.dataset.theme === "dark";
  root.dataset.theme = isDark ? "light" : "dark";
  // A canvas has no style sheet.
  memory.draw();
}

function showKeys(): void {
  const present = document.querySelector("dialog");
  if (present !== null) {
    present.remove();
    return;
  }
  const list = element("dl");
  for (const [key, text] of keys) list.append(element("dt", { text: key }), element("dd", { text }));
  const dialog = element("dialog", {}, element("h2", { text: "Keys" }), list);
  dialog.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

function onKey(event: KeyboardEvent, state: State, search: Search, graph: GraphColumn, memory: Memory): void {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const { target } = event;
  if (target instanceof HTMLInputElement || target instanceof HTMLSelectElement) return;
  const actions: Readonly<Record<string, () => void>> = {
    "/": () => search.input.select(),
    Escape: () => state.select(undefined),
    "[": () => graph.turn(-1),
    "]": () => graph.turn(1),
    d: () => graph.setMode("diagram"),
    o: () => graph.setMode("outline"),
    s: () => graph.openSelected(),
    p: () => state.set({ program: (state.shown.program + 1) % state.model.programs.length }),
    t: () => turnTheme(memory),
    "?": showKeys,
  };
  const action = actions[event.key];
  if (action === undefined) return;
  event.preventDefault();
  action();
}

try {
  start(await readView());
} catch (error) {
  // A page that shows nothing helps nobody.
  const text = `This page cannot be shown.\n${error instanceof Error ? error.message : String(error)}`;
  byId("page").replaceChildren(element("pre", { class: "failure", text }));
  throw error;
}
