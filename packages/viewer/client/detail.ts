/** All that is known of what is selected, with a way to each thing that it belongs to. */
import { element } from "./dom.ts";
import { bytes, count, seconds } from "./format.ts";
import { within } from "./links.ts";
import type { GraphNode, Step } from "./model.ts";
import type { State } from "./state.ts";

const hint =
  "Click a name, a node, a kernel or a buffer: it is marked in every column, and all that is known of it stands here. / searches, ? lists the keys.";

/** Lists of links are cut here; the columns show all of them. */
const mostLinks = 40;

export class Detail {
  readonly root = element("div", { class: "detail", attributes: { tabindex: "0", "aria-live": "polite" } });
  readonly #state: State;
  #isProgramShown = false;

  constructor(state: State) {
    this.#state = state;
    state.onChange((changed) => {
      if (changed.size === 1 && changed.has("stage") && state.shown.selection?.kind !== "node") return;
      this.#show();
    });
    this.#show();
  }

  #show(): void {
    this.root.scrollTop = 0;
    this.root.replaceChildren(...this.#content());
  }

  #content(): readonly HTMLElement[] {
    const { selection } = this.#state.shown;
    switch (selection?.kind) {
      case undefined:
        return [element("p", { class: "dim", text: hint })];
      case "paths":
        return this.#paths(selection.paths, selection.op);
      case "node":
        return this.#node(this.#state.program.stages[selection.stage]!.nodes[selection.id]!, selection.stage);
      case "step":
        return this.#step(this.#state.program.steps[selection.step]!);
      case "kernel":
        return this.#kernel(selection.kernel);
      case "buffer":
        return this.#buffer(selection.buffer);
    }
  }

  #paths(paths: readonly string[], op: string | undefined): HTMLElement[] {
    const places = paths.length <= 2 ? paths.join(", ") : `${paths[0]} to ${paths.at(-1)} (${paths.length})`;
    const title = op === undefined ? places : `${op}${places === "" ? "" : ` of ${places}`}`;
    const { steps, nodes } = this.#state.links;
    const own = nodes.at(-1)?.size ?? 0;
    return [
      heading("block", title),
      facts([["nodes", String(own)], ["steps", String(steps.size)], ...this.#costs([...steps])]),
      ...this.#refusals(paths),
      ...this.#stepLinks([...steps]),
    ];
  }

  #node(node: GraphNode, stage: number): HTMLElement[] {
    const { stages } = this.#state.program;
    const { nodes } = stages[stage]!;
    const inputs = node.inputs.map((id) => nodes[id]!);
    return [
      heading("node", `%${node.id} ${node.op}`),
      facts([
        ["in the graph after", stages[stage]!.view.pass],
        ["type", node.type],
        ["block", node.path],
        ["part of", node.composite],
        ["attributes", node.attributes === "{}" ? "" : node.attributes],
        ["written at", node.source],
      ]),
      ...(inputs.length === 0
        ? []
        : [
            section(
              "reads",
              ...inputs.map((one) =>
                this.#link(`%${one.id} ${one.op}: ${one.type}`, () =>
                  this.#state.select({ kind: "node", stage, id: one.id }),
                ),
              ),
            ),
          ]),
      ...this.#refusals([node.path]),
      ...this.#stepLinks([...this.#state.links.steps]),
    ];
  }

  #step(step: Step): HTMLElement[] {
    const { program, model } = this.#state;
    const { name, kind, access } = model.view.kernels[step.kernel]!;
    const last = program.stages.length - 1;
    return [
      heading(`step ${step.index}`, name),
      facts([["kind", kind], ...this.#costs([step.index])]),
      ...(step.reasons.length === 0
        ? []
        : [section("why these are one kernel", ...step.reasons.map((text) => element("p", { text })))]),
      ...(step.boundaries.length === 0
        ? []
        : [
            section(
              "why others are not in it",
              ...this.#cut(step.boundaries, (text) => element("p", { text })),
            ),
          ]),
      ...this.#refusals(step.origins),
      section(
        "buffers",
        ...step.buffers.map((index, slot) =>
          this.#link(
            `b${slot} ${access[slot] ?? ""} ${model.bufferText(model.buffers[index]!)}`,
            () => this.#state.select({ kind: "buffer", buffer: index }),
            bytes(model.buffers[index]!.bytes),
          ),
        ),
      ),
      ...(step.nodes.length === 0
        ? []
        : [
            section(
              "nodes",
              ...this.#cut(step.nodes, (id) => {
                const node = program.stages[last]!.nodes[id]!;
                return this.#link(`%${id} ${node.op}: ${node.type}`, () =>
                  this.#state.set({ stage: last, selection: { kind: "node", stage: last, id } }),
                );
              }),
            ),
          ]),
      section(
        "blocks",
        ...this.#cut(step.origins, (path) =>
          this.#link(path, () => this.#state.select({ kind: "paths", paths: [path] })),
        ),
      ),
      ...this.#text(step.kernel),
    ];
  }

  #kernel(index: number): HTMLElement[] {
    const { steps } = this.#state.links;
    const { name, kind } = this.#state.model.view.kernels[index]!;
    return [
      heading("kernel", name),
      facts([["kind", kind], ["steps", String(steps.size)], ...this.#costs([...steps])]),
      ...this.#stepLinks([...steps]),
      ...this.#text(index),
    ];
  }

  #buffer(index: number): HTMLElement[] {
    const { model, program, links } = this.#state;
    const buffer = model.buffers[index]!;
    const life = program.lives.find((one) => one.buffer === index);
    const over = life === undefined || life.over < 0 ? undefined : model.buffers[life.over];
    const last = program.stages.length - 1;
    const nodes = [...(links.nodes.at(-1) ?? [])];
    return [
      heading("buffer", buffer.name),
      facts([
        ["class", buffer.kind],
        ["type", `${buffer.dtype}[${buffer.shape.join(", ")}]`],
        ["bytes", `${bytes(buffer.bytes)} (${buffer.bytes})`],
        ["offset", buffer.offset < 0 ? "" : String(buffer.offset)],
        ["alive", life === undefined ? "" : `from step ${life.first} to step ${life.last}`],
        ["takes the place of", over === undefined ? "" : over.name],
      ]),
      ...(nodes.length === 0
        ? []
        : [
            section(
              "holds",
              ...this.#cut(nodes, (id) => {
                const node = program.stages[last]!.nodes[id]!;
                return this.#link(`%${id} ${node.op}: ${node.type}`, () =>
                  this.#state.set({ stage: last, selection: { kind: "node", stage: last, id } }),
                );
              }),
            ),
          ]),
      ...this.#stepLinks([...links.steps]),
    ];
  }

  #costs(steps: readonly number[]): (readonly [string, string])[] {
    if (steps.length === 0) return [];
    const { program, shown } = this.#state;
    const sum = (of: (step: Step) => number) =>
      steps.reduce((total, index) => total + of(program.steps[index]!), 0);
    const [moved, work] = [sum((one) => one.read + one.written), sum((one) => one.operations)];
    const least = sum((one) => this.#state.rooflineOf(one.index));
    const isMemory = moved / shown.bytesPerSecond >= work / shown.operationsPerSecond;
    const measured = program.view.measured;
    const taken = measured === undefined ? 0 : sum((one) => measured[one.index]! / 1e9);
    return [
      ["read", bytes(sum((one) => one.read))],
      ["written", bytes(sum((one) => one.written))],
      ["work", count(work, "flop")],
      ["least time", `${seconds(least)}, bound by ${isMemory ? "memory" : "arithmetic"}`],
      ["measured", measured === undefined ? "" : `${seconds(taken)}, ${share(least, taken)}`],
    ];
  }

  #refusals(paths: readonly string[]): HTMLElement[] {
    const isWithin = within(paths);
    const own = this.#state.program.refusals.filter((one) => isWithin(one.path));
    if (own.length === 0) return [];
    const together = new Map<string, string[]>();
    for (const { rule, reason, path } of own) {
      const text = `${rule}: ${reason}`;
      const places = together.get(text);
      if (places === undefined) together.set(text, [path]);
      else places.push(path);
    }
    return [
      section(
        "refused",
        ...this.#cut([...together], ([text, places]) =>
          element("p", {
            text: `${text} (${places.slice(0, 2).join(", ")}${places.length > 2 ? `, and ${places.length - 2} more` : ""})`,
          }),
        ),
      ),
    ];
  }

  #stepLinks(steps: readonly number[]): HTMLElement[] {
    if (steps.length === 0) return [];
    const { program, model } = this.#state;
    return [
      section(
        "steps",
        ...this.#cut(steps, (index) =>
          this.#link(
            `${index} ${model.view.kernels[program.steps[index]!.kernel]!.name}`,
            () => this.#state.select({ kind: "step", step: index }),
            seconds(this.#state.secondsOf(index)),
          ),
        ),
      ),
    ];
  }

  /** The kernel's text: for CUDA what is compiled, with the plan's program to turn to. */
  #text(index: number): HTMLElement[] {
    const { program, cuda } = this.#state.model.view.kernels[index]!;
    const { steps } = this.#state.program;
    const uses = steps.filter((one) => one.kernel === index).length;
    const isProgram = cuda === undefined || this.#isProgramShown;
    const turn = (isShown: boolean) => {
      this.#isProgramShown = isShown;
      this.#show();
    };
    const tabs =
      cuda === undefined
        ? []
        : [
            element("button", {
              text: "CUDA",
              class: isProgram ? "" : "current",
              onclick: () => turn(false),
            }),
            element("button", {
              text: "program",
              class: isProgram ? "current" : "",
              onclick: () => turn(true),
            }),
          ];
    return [
      element(
        "div",
        { class: "tools" },
        element("h3", { text: "text of the kernel" }),
        ...tabs,
        element("span", { class: "gap" }),
        this.#link(`all ${uses} steps of it`, () => this.#state.select({ kind: "kernel", kernel: index })),
      ),
      element("pre", { class: "code", text: isProgram ? program : cuda, attributes: { tabindex: "0" } }),
    ];
  }

  #link(text: string, onclick: () => void, note = ""): HTMLElement {
    const made = element("button", { class: "link", onclick, title: text }, element("span", { text }));
    if (note !== "") made.append(element("span", { class: "time", text: note }));
    return made;
  }

  #cut<A>(all: readonly A[], draw: (one: A) => HTMLElement): HTMLElement[] {
    const shown = all.slice(0, mostLinks).map(draw);
    if (all.length > mostLinks)
      shown.push(element("p", { class: "dim", text: `and ${all.length - mostLinks} more` }));
    return shown;
  }
}

/** A clock may be too coarse for a step. */
const share = (least: number, taken: number) =>
  taken === 0 ? "too short to be told" : `${((100 * least) / taken).toFixed(0)} % of the roofline`;

const heading = (kind: string, text: string) =>
  element("h2", {}, element("span", { class: "kind", text: kind }), text);

const section = (title: string, ...children: readonly HTMLElement[]) =>
  element("section", {}, element("h3", { text: title }), ...children);

function facts(all: readonly (readonly [name: string, value: string])[]): HTMLElement {
  const list = element("dl");
  for (const [name, value] of all)
    if (value !== "") list.append(element("dt", { text: name }), element("dd", { text: value }));
  return list;
}
