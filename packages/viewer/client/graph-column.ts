/** The graph at one pass, as a drawing or as an outline, with what that pass changed. */
import { addedNode, changedNode } from "../src/format/types.ts";
import { Diagram } from "./diagram.ts";
import { element } from "./dom.ts";
import type { Stage } from "./model.ts";
import { Opened } from "./opened.ts";
import { Outline } from "./outline.ts";
import type { State } from "./state.ts";
import { keysAround, type Scope, treeOf } from "./tree.ts";

/** Of the first drawing: its texts can still be read. */
const leastAtFirst = 0.75;

type Mode = "diagram" | "outline";

export class GraphColumn {
  readonly root = element("div", { class: "graph" });
  readonly #state: State;
  readonly #opened = new Opened();
  readonly #diagram: Diagram;
  readonly #outline: Outline;
  readonly #passes = element("div", { class: "passes", attributes: { role: "tablist" } });
  readonly #about = element("div", { class: "about" });
  readonly #body = element("div", { class: "graph-body" });
  readonly #modes: ReadonlyMap<Mode, HTMLElement>;
  /** Of the drawing only: an outline has one size. */
  readonly #sizes: readonly HTMLButtonElement[];
  readonly #trees = new Map<Stage, Scope>();
  #mode: Mode = "diagram";

  constructor(state: State) {
    this.#state = state;
    this.#diagram = new Diagram(state, this.#opened);
    this.#outline = new Outline(state, this.#opened);
    const button = (text: string, title: string, onclick: () => void, id?: string) =>
      element("button", { text, title, onclick, ...(id === undefined ? {} : { id }) });
    this.#modes = new Map([
      ["diagram", button("diagram", "draw what is open", () => this.setMode("diagram"), "mode-diagram")],
      ["outline", button("outline", "list what is open", () => this.setMode("outline"), "mode-outline")],
    ]);
    this.#sizes = [
      button("−", "smaller", () => this.#diagram.zoom(1 / 1.25)),
      button("fit", "as wide as the column", () => this.#diagram.fit()),
      button("+", "larger", () => this.#diagram.zoom(1.25)),
    ];
    const tools = element(
      "div",
      { class: "tools" },
      ...this.#modes.values(),
      element("span", { class: "gap" }),
      button("show selected", "open what is around the selection (s)", () => this.openSelected()),
      button("close all", "close all blocks", () => this.#opened.closeAll()),
      element("span", { class: "gap" }),
      ...this.#sizes,
    );
    this.root.append(this.#passes, this.#about, tools, this.#body);
    state.onChange((changed) => {
      if (changed.has("program") || changed.has("stage")) this.#showStage();
      else if (changed.has("selection")) this.#mark();
    });
    if (this.#tree !== undefined) this.#opened.openFew(this.#tree);
    this.#opened.onChange(() => this.#draw());
    this.#showStage();
    // The column has its width once it is on the page.
    requestAnimationFrame(() => this.#diagram.fit(leastAtFirst));
  }

  get #tree(): Scope | undefined {
    const { stage } = this.#state;
    if (stage === undefined) return undefined;
    let tree = this.#trees.get(stage);
    if (tree === undefined) {
      tree = treeOf(stage);
      this.#trees.set(stage, tree);
    }
    return tree;
  }

  setMode(mode: Mode): void {
    this.#mode = mode;
    this.#draw();
    this.#reveal();
  }

  /** To the pass before or behind. */
  turn(by: number): void {
    const most = this.#state.program.stages.length - 1;
    const stage = Math.min(most, Math.max(0, this.#state.shown.stage + by));
    if (most >= 0) this.#state.set({ stage });
  }

  /** Opens the blocks around the first node that belongs to the selection. */
  openSelected(): void {
    const { linkedNodes, stage } = this.#state;
    const [first] = linkedNodes;
    if (first === undefined || stage === undefined || this.#tree === undefined) return;
    const { path } = stage.nodes[first]!;
    this.#opened.open(keysAround(this.#tree, path, (node) => node.id === first));
    this.#reveal();
  }

  #showStage(): void {
    const { stages } = this.#state.program;
    const buttons = stages.map((stage, index) => {
      const { added, changed, gone } = changesOf(stage);
      const made = element("button", {
        class: index === this.#state.shown.stage ? "pass current" : "pass",
        title: stage.view.summary,
        attributes: { role: "tab", "aria-selected": String(index === this.#state.shown.stage) },
        onclick: () => this.#state.set({ stage: index }),
      });
      made.append(stage.view.pass);
      if (index > 0)
        for (const [number, kind, sign] of [
          [added, "added", "+"],
          [changed, "changed", "~"],
          [gone, "gone", "−"],
        ] as const)
          if (number > 0) made.append(element("span", { class: `count ${kind}`, text: `${sign}${number}` }));
      return made;
    });
    this.#passes.replaceChildren(...buttons);
    this.#aboutStage();
    this.#draw();
    this.#reveal();
  }

  #aboutStage(): void {
    const { stage } = this.#state;
    if (stage === undefined) {
      this.#about.textContent = "A plan alone has no graph: inspect the model or the block to see it.";
      return;
    }
    const rules = stage.view.rules.map(([rule, times]) => `${rule} ×${times}`).join(", ");
    const lines = [element("div", { text: stage.view.summary })];
    if (rules !== "") lines.push(element("div", { class: "dim rules", text: rules, title: rules }));
    this.#about.replaceChildren(...lines);
  }

  #draw(): void {
    const tree = this.#tree;
    for (const [mode, button] of this.#modes) button.classList.toggle("current", mode === this.#mode);
    for (const button of this.#sizes) button.disabled = this.#mode !== "diagram";
    const shown = this.#mode === "diagram" ? this.#diagram : this.#outline;
    if (shown.root.parentElement !== this.#body) this.#body.replaceChildren(shown.root);
    if (tree !== undefined) shown.show(tree);
  }

  #mark(): void {
    (this.#mode === "diagram" ? this.#diagram : this.#outline).mark();
    this.#reveal();
  }

  #reveal(): void {
    (this.#mode === "diagram" ? this.#diagram : this.#outline).reveal();
  }
}

function changesOf(stage: Stage): {
  readonly added: number;
  readonly changed: number;
  readonly gone: number;
} {
  // What a pass left as it was is not unpacked for this.
  if (stage.previous === undefined || stage.view.nodes === null) return { added: 0, changed: 0, gone: 0 };
  let [added, changed] = [0, 0];
  for (const { state } of stage.nodes) {
    if (state === addedNode) added++;
    if (state === changedNode) changed++;
  }
  return { added, changed, gone: stage.gone.length };
}
