/** The block in `->>` notation; each name of it can be chosen. */
import type { NotationSpan } from "../src/format/types.ts";
import { element } from "./dom.ts";
import type { State } from "./state.ts";

interface Piece {
  readonly span: NotationSpan;
  readonly drawn: HTMLElement;
  readonly matches: (path: string) => boolean;
  /** A block of blocks is not marked because one of them is. */
  readonly isInnermost: boolean;
}

export class Notation {
  readonly root = element("pre", { class: "notation", attributes: { tabindex: "0" } });
  readonly #state: State;
  readonly #pieces: Piece[] = [];

  constructor(state: State) {
    this.#state = state;
    const { notation } = state.model.view;
    if (notation === undefined) {
      const reason =
        state.program.stages.length === 0
          ? "There is only a plan: how its block was written is not in it."
          : "This is a graph, which was not made from a block.";
      this.root.append(element("span", { class: "dim reason", text: reason }));
      return;
    }
    // Outer spans first, so that inner ones are nested in them.
    const spans = notation.spans.toSorted((a, b) => a.start - b.start || b.end - a.end);
    let next = 0;
    const fill = (parent: HTMLElement, from: number, to: number) => {
      let at = from;
      for (let span = spans[next]; span !== undefined && span.start < to; span = spans[next]) {
        next++;
        parent.append(notation.text.slice(at, span.start));
        const drawn = this.#piece(span);
        fill(drawn, span.start, span.end);
        parent.append(drawn);
        at = span.end;
      }
      parent.append(notation.text.slice(at, to));
    };
    fill(this.root, 0, notation.text.length);
    state.onChange((changed) => {
      if (!changed.has("selection") && !changed.has("program")) return;
      this.#mark();
    });
  }

  #piece(span: NotationSpan): HTMLElement {
    const drawn = element("span", {
      class: "block",
      title: titleOf(span),
      attributes: { "data-path": span.path, ...(span.op === undefined ? {} : { "data-op": span.op }) },
      onclick: (event) => {
        event.stopPropagation();
        const { op } = span;
        this.#state.select({ kind: "paths", paths: pathsOf(span), ...(op === undefined ? {} : { op }) });
      },
    });
    const { spans } = this.#state.model.view.notation!;
    const isInnermost = !spans.some((one) => one !== span && one.start >= span.start && one.end <= span.end);
    this.#pieces.push({ span, drawn, matches: matcher(span), isInnermost });
    return drawn;
  }

  /** The blocks in which each op was that is marked now. */
  #opsOfLinks(): ReadonlyMap<string, string[]> {
    const { program, links } = this.#state;
    const ops = new Map<string, string[]>();
    const last = links.nodes.at(-1);
    for (const id of last ?? []) {
      const { op, composite, path } = program.stages.at(-1)!.nodes[id]!;
      const name = composite === "" ? op : composite;
      const places = ops.get(name);
      if (places === undefined) ops.set(name, [path]);
      else if (places.at(-1) !== path) places.push(path);
    }
    return ops;
  }

  #mark(): void {
    const { links, shown } = this.#state;
    const { selection } = shown;
    const ops = this.#opsOfLinks();
    for (const { span, drawn, matches, isInnermost } of this.#pieces) {
      const isSelected =
        selection?.kind === "paths" && selection.op === span.op && selection.paths.some(matches);
      drawn.classList.toggle("selected", isSelected);
      // Where a whole block is selected its parts are so as well, and need no mark of their own.
      const isLinked =
        selection?.kind !== "paths" &&
        (span.op === undefined
          ? isInnermost && links.paths.some(matches)
          : ops.get(span.op)?.some(matches) === true);
      drawn.classList.toggle("linked", isLinked);
    }
    const first = this.root.querySelector(".selected, .linked");
    if (shown.selection !== undefined) first?.scrollIntoView({ block: "nearest" });
  }
}

const titleOf = (span: NotationSpan) =>
  `${span.op === undefined ? "" : `${span.op} of `}${span.path}${span.ranges.length === 0 ? "" : ` (${count(span)} layers)`}`;

const count = ({ ranges }: NotationSpan) => ranges.reduce((product, [, size]) => product * size, 1);

/** Every path that a span stands for. */
function pathsOf({ path, ranges }: NotationSpan): string[] {
  const [head, ...parts] = path.split("*");
  let paths = [head!];
  parts.forEach((part, index) => {
    const [first, size] = ranges[index]!;
    paths = paths.flatMap((one) => Array.from({ length: size }, (_, turn) => `${one}${first + turn}${part}`));
  });
  return paths;
}

function matcher({ path, ranges }: NotationSpan): (candidate: string) => boolean {
  if (ranges.length === 0) return (candidate) => candidate === path;
  const escaped = path.split("*").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const expression = new RegExp(`^${escaped.join("(\\d+)")}$`);
  return (candidate) => {
    const numbers = expression.exec(candidate)?.slice(1);
    return (
      numbers?.every((text, index) => {
        const [first, size] = ranges[index]!;
        return Number(text) >= first && Number(text) < first + size;
      }) === true
    );
  };
}
