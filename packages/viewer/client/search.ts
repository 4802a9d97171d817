/** Finds blocks, kernels, nodes and buffers by parts of their names. */
import { element } from "./dom.ts";
import type { Selection } from "./links.ts";
import type { State } from "./state.ts";
import { VirtualList } from "./virtual-list.ts";

interface Found {
  readonly kind: string;
  readonly text: string;
  readonly selection: Selection;
}

/** Of each kind; what is behind these is found by typing more. */
const mostOfKind = 200;

export class Search {
  readonly input = element("input", {
    id: "search",
    attributes: {
      type: "search",
      placeholder: "search blocks, kernels, nodes, buffers  ( / )",
      "aria-label": "search",
      autocomplete: "off",
      spellcheck: "false",
    },
  });
  readonly results = element("div", { class: "results", id: "results" });
  readonly #nothing = element("div", { class: "dim", text: "nothing has all these words in its name" });
  readonly #state: State;
  readonly #list: VirtualList<Found>;

  constructor(state: State) {
    this.#state = state;
    this.#list = new VirtualList<Found>({
      label: "found",
      rowHeight: 22,
      draw: ({ kind, text }) =>
        element(
          "div",
          { class: "found", title: text },
          element("span", { class: "kind", text: kind }),
          element("span", { class: "name", text }),
        ),
      onChoose: (row) => this.#choose(row),
    });
    this.results.append(this.#list.root, this.#nothing);
    this.results.hidden = true;
    this.input.addEventListener("input", () => this.#search());
    this.input.addEventListener("keydown", (event) => this.#onKey(event));
    document.addEventListener("click", (event) => {
      const target = event.target as Node;
      if (!this.results.contains(target) && target !== this.input) this.results.hidden = true;
    });
  }

  #search(): void {
    const words = this.input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = words.length === 0 ? [] : find(this.#state, words);
    this.results.hidden = words.length === 0;
    this.results.style.height = `${Math.min(16, Math.max(1, found.length)) * 22 + 8}px`;
    this.results.dataset.count = String(found.length);
    this.#nothing.hidden = found.length > 0;
    this.#list.root.hidden = found.length === 0;
    this.#list.show(found);
    this.#list.root.scrollTop = 0;
  }

  #choose({ selection }: Found): void {
    this.#state.select(selection);
    this.results.hidden = true;
    // Keys are those of the page again.
    this.input.blur();
  }

  #onKey(event: KeyboardEvent): void {
    const [first] = this.#list.rows;
    if (event.key === "Enter" && first !== undefined && !this.results.hidden) this.#choose(first);
    else if (event.key === "ArrowDown" && !this.results.hidden) this.#list.root.focus();
    else if (event.key === "Escape") {
      this.results.hidden = true;
      this.input.blur();
    } else return;
    event.preventDefault();
  }
}

/** What holds every word, blocks first. */
function find({ model, program, stage, shown }: State, words: readonly string[]): Found[] {
  const matches = (text: string) => {
    const lower = text.toLowerCase();
    return words.every((word) => lower.includes(word));
  };
  const paths = new Set<string>();
  for (const { path } of stage?.nodes ?? [])
    for (
      let end = path.length;
      end > 0 && !paths.has(path.slice(0, end));
      end = path.lastIndexOf(".", end - 1)
    )
      paths.add(path.slice(0, end));
  if (stage === undefined)
    for (const { origins } of program.steps) for (const path of origins) paths.add(path);
  const some = <A>(all: Iterable<A>, text: (one: A) => string, found: (one: A) => Found): Found[] => {
    const result: Found[] = [];
    for (const one of all) {
      if (result.length >= mostOfKind) break;
      if (matches(text(one))) result.push(found(one));
    }
    return result;
  };
  const byLength = [...paths].sort((a, b) => a.length - b.length || (a < b ? -1 : 1));
  return [
    ...some(
      byLength,
      (path) => path,
      (path): Found => ({ kind: "block", text: path, selection: { kind: "paths", paths: [path] } }),
    ),
    ...some(
      model.view.kernels.map((kernel, index) => ({ kernel, index })),
      ({ kernel }) => kernel.name,
      ({ kernel, index }): Found => ({
        kind: "kernel",
        text: kernel.name,
        selection: { kind: "kernel", kernel: index },
      }),
    ),
    ...some(
      stage?.nodes ?? [],
      (node) => `%${node.id} ${node.op} ${node.attributes}`,
      (node): Found => ({
        kind: "node",
        text: `%${node.id} ${node.op}: ${node.type}  ${node.path}`,
        selection: { kind: "node", stage: shown.stage, id: node.id },
      }),
    ),
    ...some(
      model.buffers,
      (buffer) => buffer.name,
      (buffer): Found => ({
        kind: "buffer",
        text: model.bufferText(buffer),
        selection: { kind: "buffer", buffer: buffer.index },
      }),
    ),
  ];
}
