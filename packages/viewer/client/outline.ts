/** The graph as a list: blocks that open, and their nodes in the order in which they are executed. */
import { addedNode, changedNode } from "../src/format/types.ts";
import { element } from "./dom.ts";
import type { Opened } from "./opened.ts";
import type { State } from "./state.ts";
import {
  type Counts,
  type Entry,
  entryName,
  folded,
  nodeCount,
  nodeName,
  nodesWithin,
  type Scope,
} from "./tree.ts";
import { VirtualList } from "./virtual-list.ts";

interface OutlineRow {
  readonly entry: Entry;
  readonly depth: number;
  readonly isOpen: boolean;
}

export class Outline {
  readonly root: HTMLElement;
  readonly #state: State;
  readonly #opened: Opened;
  readonly #list: VirtualList<OutlineRow>;

  constructor(state: State, opened: Opened) {
    this.#state = state;
    this.#opened = opened;
    this.#list = new VirtualList<OutlineRow>({
      label: "nodes of the graph",
      rowHeight: 20,
      draw: (row) => this.#draw(row),
      onChoose: (row) => this.#choose(row),
      onTurn: (row, direction) => this.#turn(row, direction > 0),
    });
    this.root = this.#list.root;
    this.root.classList.add("outline");
  }

  show(tree: Scope): void {
    const rows: OutlineRow[] = [];
    const walk = (scope: Scope, depth: number) => {
      for (const entry of folded(scope.entries, this.#opened.has)) {
        const isOpen =
          entry.kind === "scope" && entry.turns.length === 1 && this.#opened.has(entry.scope.key);
        rows.push({ entry, depth, isOpen });
        if (isOpen) walk(entry.scope, depth + 1);
      }
    };
    walk(tree, 0);
    this.#list.show(rows);
  }

  mark(): void {
    this.#list.redraw();
  }

  reveal(): void {
    this.#list.reveal(this.#list.rows.findIndex((row) => this.#isSelected(row) || this.#isLinked(row)));
  }

  #draw(row: OutlineRow): HTMLElement {
    const { entry, depth, isOpen } = row;
    const made = element("div", { class: "outline-row" });
    made.style.paddingLeft = `${6 + depth * 14}px`;
    if (this.#isSelected(row)) made.classList.add("selected");
    if (this.#isLinked(row)) made.classList.add("linked");
    if (entry.kind === "scope") {
      const sign = element("button", {
        class: "sign",
        text: isOpen ? "▾" : "▸",
        attributes: { tabindex: "-1", "aria-label": isOpen ? "close" : "open" },
        onclick: (event) => {
          event.stopPropagation();
          this.#turn(row, !isOpen);
        },
      });
      const times = entry.turns.length === 1 ? "" : ` ×${entry.turns.length}`;
      made.append(
        sign,
        element("span", { class: "name", text: `${entryName(entry)}${times}` }),
        element("span", { class: "dim", text: ` ${nodeCount(entry.scope)}` }),
        ...countsOf(entry.scope.counts),
      );
      return made;
    }
    const { id, type, state } = entry.node;
    const change = entry.isGone
      ? "gone"
      : state === addedNode
        ? "added"
        : state === changedNode
          ? "changed"
          : "";
    if (change !== "") made.classList.add(change);
    made.title = `${entry.node.path}\n${entry.node.attributes}`;
    made.append(
      element("span", { class: "dim number", text: `%${id}` }),
      element("span", { class: "op", text: nodeName(entry.node) }),
      element("span", { class: "dim", text: ` ${type}` }),
    );
    return made;
  }

  #isSelected({ entry }: OutlineRow): boolean {
    const { selection, stage } = this.#state.shown;
    if (entry.kind === "node")
      return (
        selection?.kind === "node" &&
        selection.id === entry.node.id &&
        selection.stage === (entry.isGone ? stage - 1 : stage)
      );
    return selection?.kind === "paths" && entry.turns.some(({ key }) => selection.paths.includes(key));
  }

  #isLinked({ entry, isOpen }: OutlineRow): boolean {
    const { linkedNodes } = this.#state;
    if (linkedNodes.size === 0) return false;
    if (entry.kind === "node") return !entry.isGone && linkedNodes.has(entry.node.id);
    if (isOpen) return false;
    for (const turn of entry.turns)
      for (const { id } of nodesWithin(turn)) if (linkedNodes.has(id)) return true;
    return false;
  }

  #choose({ entry }: OutlineRow): void {
    const { stage } = this.#state.shown;
    if (entry.kind === "node")
      this.#state.select({ kind: "node", stage: entry.isGone ? stage - 1 : stage, id: entry.node.id });
    else if (entry.scope.isPart) this.#opened.open([entry.scope.key]);
    else this.#state.select({ kind: "paths", paths: entry.turns.map(({ key }) => key) });
  }

  #turn({ entry }: OutlineRow, open: boolean): void {
    if (entry.kind !== "scope") return;
    if (open) this.#opened.open([entry.scope.key]);
    else this.#opened.close(entry.scope.key);
  }
}

function countsOf({ added, changed, gone }: Counts): HTMLElement[] {
  const all = [
    [added, "added", "+"],
    [changed, "changed", "~"],
    [gone, "gone", "−"],
  ] as const;
  return all
    .filter(([number]) => number > 0)
    .map(([number, kind, sign]) => element("span", { class: `count ${kind}`, text: `${sign}${number}` }));
}
