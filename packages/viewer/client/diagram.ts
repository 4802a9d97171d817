/** The graph as a drawing: what is open, laid out from top to bottom. */
import { addedNode, changedNode } from "../src/format/types.ts";
import { element, svg } from "./dom.ts";
import { type Box, type Line, type Point, place } from "./layout.ts";
import type { Opened } from "./opened.ts";
import type { State } from "./state.ts";
import { type Entry, entryName, folded, nodeCount, nodeName, nodesWithin, type Scope } from "./tree.ts";

type ScopeEntry = Extract<Entry, { kind: "scope" }>;

/** More boxes take seconds to lay out, and nobody reads them. */
const mostBoxes = 320;
/** Lines from one box. */
const mostReaders = 8;
const characterWidth = 6.7;
const longestLabel = 34;

interface Shape extends Box {
  readonly entry: Entry;
  readonly label: string;
  readonly detail: string;
}

export class Diagram {
  readonly root = element("div", {
    class: "diagram",
    attributes: { tabindex: "0", "aria-label": "drawing of the graph" },
  });
  readonly #state: State;
  readonly #opened: Opened;
  #zoom = 1;
  #size = { width: 0, height: 0 };
  #topCentre = 0;
  #picture: SVGSVGElement | undefined;
  #shapes: readonly { readonly shape: Shape; readonly drawn: SVGElement }[] = [];

  constructor(state: State, opened: Opened) {
    this.#state = state;
    this.#opened = opened;
    this.root.addEventListener(
      "wheel",
      (event) => {
        if (!event.ctrlKey) return;
        event.preventDefault();
        this.zoom(event.deltaY < 0 ? 1.15 : 1 / 1.15);
      },
      { passive: false },
    );
    this.#dragToScroll();
  }

  zoom(factor: number): void {
    this.#zoom = Math.min(3, Math.max(0.15, this.#zoom * factor));
    this.#resize();
  }

  /** As wide as there is room, but no smaller than `least`; where that is too wide, the top stands in the middle. */
  fit(least = 0.2): void {
    const room = this.root.clientWidth - 16;
    this.#zoom = Math.min(1, Math.max(least, room / Math.max(1, this.#size.width)));
    this.#resize();
    this.root.scrollTop = 0;
    this.root.scrollLeft = this.#topCentre * this.#zoom - room / 2;
  }

  show(tree: Scope): void {
    const { shapes, boxOf, isCut } = visible(tree, this.#opened);
    const placed = place(shapes, linesOf(this.#state, boxOf));
    this.#size = { width: placed.width, height: placed.height };
    const tops = shapes.filter(({ isCluster }) => !isCluster).map(({ id }) => placed.boxes.get(id)!);
    this.#topCentre = tops.reduce((top, one) => (one.y < top.y ? one : top), { x: 0, y: Infinity }).x;
    const drawn = shapes.map((shape) => ({ shape, drawn: this.#draw(shape, placed.boxes.get(shape.id)!) }));
    this.#shapes = drawn;
    const arrow = svg("marker", {
      id: "arrow",
      attributes: {
        viewBox: "0 0 8 8",
        refX: "7",
        refY: "4",
        markerWidth: "6",
        markerHeight: "6",
        orient: "auto",
      },
    });
    arrow.append(svg("path", { attributes: { d: "M0 0L8 4L0 8z" } }));
    this.#picture = svg(
      "svg",
      { attributes: { viewBox: `0 0 ${placed.width} ${placed.height}` } },
      arrow,
      // Clusters behind, then lines, then boxes.
      ...drawn.filter(({ shape }) => shape.isCluster).map((one) => one.drawn),
      ...placed.lines.map(({ points }) =>
        svg("path", { class: "edge", attributes: { d: curve(points), "marker-end": "url(#arrow)" } }),
      ),
      ...drawn.filter(({ shape }) => !shape.isCluster).map((one) => one.drawn),
    );
    const notice = element("div", {
      class: "notice",
      text: `More than ${mostBoxes} boxes are open: the rest is left out here. Close some blocks, or use the outline.`,
    });
    this.root.replaceChildren(...(isCut ? [notice] : []), this.#picture);
    this.#resize();
    this.mark();
  }

  /** Shows what belongs to the selection. */
  mark(): void {
    const { linkedNodes, shown } = this.#state;
    const { selection } = shown;
    const chosen = selection?.kind === "paths" ? new Set(selection.paths) : undefined;
    for (const { shape, drawn } of this.#shapes) {
      const { entry } = shape;
      const isSelected =
        entry.kind === "node"
          ? selection?.kind === "node" && selection.stage === shown.stage && selection.id === entry.node.id
          : entry.turns.some(({ key }) => chosen?.has(key) === true);
      const isLinked =
        entry.kind === "node"
          ? !entry.isGone && linkedNodes.has(entry.node.id)
          : !shape.isCluster && linkedNodes.size > 0 && containsAny(entry, linkedNodes);
      drawn.classList.toggle("selected", isSelected);
      drawn.classList.toggle("linked", isLinked);
    }
  }

  /** Brings the first thing that is marked into sight. */
  reveal(): void {
    const drawn = this.#shapes
      .map((one) => one.drawn)
      .filter((one) => one.matches(".selected, .linked"))
      .toSorted((a, b) => Number(b.matches(".selected")) - Number(a.matches(".selected")))[0];
    if (drawn === undefined) return;
    const [own, room] = [drawn.getBoundingClientRect(), this.root.getBoundingClientRect()];
    if (own.top < room.top || own.bottom > room.bottom)
      this.root.scrollTop += own.top - room.top - room.height / 3;
    if (own.left < room.left || own.right > room.right)
      this.root.scrollLeft += own.left - room.left - room.width / 3;
  }

  #draw(shape: Shape, at: { x: number; y: number; width: number; height: number }): SVGElement {
    const { entry, isCluster, label, detail } = shape;
    const [left, top] = [at.x - at.width / 2, at.y - at.height / 2];
    const group = svg("g", { class: `box ${isCluster ? "cluster" : classOf(entry)} ${changeOf(entry)}` });
    const lines = isCluster ? [label] : [label, detail];
    group.append(
      svg("rect", {
        attributes: {
          x: String(left),
          y: String(top),
          width: String(at.width),
          height: String(at.height),
          rx: "4",
        },
      }),
      ...lines.map((line, index) =>
        svg("text", {
          class: index === 0 ? "label" : "sub",
          text: line,
          attributes: isCluster
            ? { x: String(left + 8), y: String(top + 14) }
            : { x: String(at.x), y: String(at.y + (index === 0 ? -3 : 11)), "text-anchor": "middle" },
        }),
      ),
      svg("title", { text: titleOf(entry) }),
    );
    group.addEventListener("click", (event) => {
      event.stopPropagation();
      this.#choose(entry);
    });
    group.addEventListener("dblclick", (event) => {
      event.stopPropagation();
      this.#toggle(shape);
    });
    if (entry.kind === "scope") group.append(this.#toggleSign(shape, left + at.width - 11, top + 11));
    return group;
  }

  #toggleSign(shape: Shape, x: number, y: number): SVGElement {
    const sign = svg("g", { class: "toggle" });
    const label = shape.isCluster ? "−" : "+";
    sign.append(
      svg("circle", { attributes: { cx: String(x), cy: String(y), r: "7" } }),
      svg("text", {
        text: label,
        attributes: { x: String(x), y: String(y + 3.5), "text-anchor": "middle" },
      }),
    );
    sign.addEventListener("click", (event) => {
      event.stopPropagation();
      this.#toggle(shape);
    });
    return sign;
  }

  #toggle({ entry, isCluster }: Shape): void {
    if (entry.kind !== "scope") return;
    if (isCluster) this.#opened.close(entry.scope.key);
    else this.#opened.open([entry.scope.key]);
  }

  #choose(entry: Entry): void {
    const { stage } = this.#state.shown;
    if (entry.kind === "node") {
      const own = entry.isGone ? stage - 1 : stage;
      this.#state.select({ kind: "node", stage: own, id: entry.node.id });
    } else if (!entry.scope.isPart)
      this.#state.select({ kind: "paths", paths: entry.turns.map(({ key }) => key) });
  }

  #resize(): void {
    if (this.#picture === undefined) return;
    this.#picture.setAttribute("width", String(this.#size.width * this.#zoom));
    this.#picture.setAttribute("height", String(this.#size.height * this.#zoom));
  }

  #dragToScroll(): void {
    let from: { x: number; y: number } | undefined;
    this.root.addEventListener("pointerdown", (event) => {
      if (event.button === 0) from = { x: event.clientX, y: event.clientY };
    });
    window.addEventListener("pointermove", (event) => {
      if (from === undefined) return;
      this.root.scrollLeft -= event.clientX - from.x;
      this.root.scrollTop -= event.clientY - from.y;
      from = { x: event.clientX, y: event.clientY };
    });
    window.addEventListener("pointerup", () => {
      from = undefined;
    });
  }
}

interface Visible {
  readonly shapes: readonly Shape[];
  /** The box that stands for a node. */
  readonly boxOf: ReadonlyMap<number, string>;
  readonly isCut: boolean;
}

function visible(root: Scope, opened: Opened): Visible {
  const shapes: Shape[] = [];
  const boxOf = new Map<number, string>();
  let isCut = false;
  const walk = (scope: Scope, parent: string | undefined) => {
    for (const entry of folded(scope.entries, opened.has)) {
      if (shapes.length >= mostBoxes) {
        isCut = true;
        return;
      }
      const isCluster = entry.kind === "scope" && entry.turns.length === 1 && opened.has(entry.scope.key);
      const id =
        entry.kind === "scope" ? `s${entry.scope.key}` : `${entry.isGone ? "g" : "n"}${entry.node.id}`;
      const [label, detail] = textsOf(entry, isCluster);
      const longest = Math.max(label.length + (entry.kind === "scope" ? 6 : 0), detail.length * 0.88);
      const width = isCluster ? 0 : Math.max(54, longest * characterWidth + 14);
      shapes.push({ id, width, height: isCluster ? 0 : 34, parent, isCluster, entry, label, detail });
      if (isCluster) walk(entry.scope, id);
      else if (entry.kind === "scope")
        for (const turn of entry.turns) for (const node of nodesWithin(turn)) boxOf.set(node.id, id);
      else if (!entry.isGone) boxOf.set(entry.node.id, id);
    }
  };
  walk(root, undefined);
  return { shapes, boxOf, isCut };
}

/**
 * A line for each pair of boxes between which a value goes; of a value that everything reads (a mask, a constant) only the
 * first ones, because a bundle of lines over the whole drawing says nothing and takes seconds to lay out.
 */
function linesOf(state: State, boxOf: ReadonlyMap<number, string>): Line[] {
  const lines = new Map<string, Line>();
  const readers = new Map<string, number>();
  for (const { id, inputs } of state.stage?.nodes ?? []) {
    const to = boxOf.get(id);
    if (to === undefined) continue;
    for (const input of inputs) {
      const from = boxOf.get(input);
      const key = `${from}\n${to}`;
      if (from === undefined || from === to || lines.has(key)) continue;
      const count = (readers.get(from) ?? 0) + 1;
      readers.set(from, count);
      if (count <= mostReaders) lines.set(key, { from, to });
    }
  }
  return [...lines.values()];
}

const short = (text: string) => (text.length <= longestLabel ? text : `${text.slice(0, longestLabel - 1)}…`);

function textsOf(entry: Entry, isCluster: boolean): readonly [label: string, detail: string] {
  if (entry.kind === "scope") {
    const times = entry.turns.length === 1 ? "" : ` ×${entry.turns.length}`;
    return [
      short(isCluster && entry.scope.isPart ? entry.scope.name : `${entryName(entry)}${times}`),
      nodeCount(entry.scope),
    ];
  }
  return [short(nodeName(entry.node)), short(entry.node.type)];
}

function titleOf(entry: Entry): string {
  if (entry.kind === "scope") return `${entry.scope.key} (click to select, double click to open)`;
  const { id, op, type, path, attributes } = entry.node;
  return `%${id} ${op}: ${type}\n${path}\n${attributes}`;
}

const leaves = new Set(["input", "parameter", "constant", "stateRead"]);

const classOf = (entry: Entry) =>
  entry.kind === "scope" ? "scope" : leaves.has(entry.node.op) ? "leaf" : "op";

function changeOf(entry: Entry): string {
  if (entry.kind === "node") {
    if (entry.isGone) return "gone";
    return entry.node.state === addedNode ? "added" : entry.node.state === changedNode ? "changed" : "";
  }
  const { added, changed, gone } = entry.scope.counts;
  return added + changed + gone === 0 ? "" : "changed";
}

function containsAny(entry: ScopeEntry, ids: ReadonlySet<number>): boolean {
  for (const turn of entry.turns) for (const { id } of nodesWithin(turn)) if (ids.has(id)) return true;
  return false;
}

/** A smooth line through dagre's points. */
function curve(points: readonly Point[]): string {
  const [first, ...rest] = points;
  if (first === undefined) return "";
  let text = `M${first.x} ${first.y}`;
  for (let index = 0; index < rest.length; index++) {
    const [point, next] = [rest[index]!, rest[index + 1]];
    if (next === undefined) text += `L${point.x} ${point.y}`;
    else text += `Q${point.x} ${point.y} ${(point.x + next.x) / 2} ${(point.y + next.y) / 2}`;
  }
  return text;
}
