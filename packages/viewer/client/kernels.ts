/** The steps of a program, each a kernel on certain buffers, with the time that they take or must take. */
import { element } from "./dom.ts";
import { bytes, count, seconds } from "./format.ts";
import type { Step } from "./model.ts";
import type { State } from "./state.ts";
import { VirtualList } from "./virtual-list.ts";

/** Steps of the same kernels one turn after the other, as layers are. */
interface Run {
  readonly start: number;
  readonly length: number;
  readonly times: number;
}

type KernelRow =
  | { readonly kind: "run"; readonly run: Run }
  /** `others` are the same step of further turns, while they are folded. */
  | {
      readonly kind: "step";
      readonly step: Step;
      readonly others: readonly number[];
      readonly depth: number;
    };

export class Kernels {
  readonly root = element("div", { class: "kernels" });
  readonly #state: State;
  readonly #head = element("div", { class: "column-note" });
  readonly #list: VirtualList<KernelRow>;
  readonly #open = new Set<number>();
  #runs: readonly Run[] = [];
  #longest = 0;

  constructor(state: State) {
    this.#state = state;
    this.#list = new VirtualList<KernelRow>({
      label: "steps",
      rowHeight: 36,
      draw: (row) => this.#draw(row),
      onChoose: (row) => {
        if (row.kind === "run") this.#toggle(row.run);
        else state.select({ kind: "step", step: row.step.index });
      },
      onTurn: (row, direction) => {
        if (row.kind === "run" && this.#open.has(row.run.start) !== direction > 0) this.#toggle(row.run);
      },
    });
    this.root.append(this.#head, this.#list.root);
    state.onChange((changed) => {
      if (changed.has("program")) this.#open.clear();
      if (["program", "bytesPerSecond", "operationsPerSecond"].some((key) => changed.has(key as never)))
        this.#show();
      else if (changed.has("selection")) {
        this.#list.redraw();
        this.#reveal();
      }
    });
    this.#show();
  }

  #show(): void {
    const { program, model } = this.#state;
    this.#runs = runsOf(program.steps.map((one) => one.kernel));
    this.#longest = program.steps.reduce(
      (most, { index }) => Math.max(most, this.#state.secondsOf(index)),
      0,
    );
    const all = program.steps.reduce((sum, { index }) => sum + this.#state.secondsOf(index), 0);
    const moved = program.steps.reduce((sum, { read, written }) => sum + read + written, 0);
    const work = program.steps.reduce((sum, { operations }) => sum + operations, 0);
    const used = new Set(program.steps.map((one) => one.kernel)).size;
    const at = Object.entries(program.view.at).map(([name, value]) => `${name}=${value}`);
    const how = program.view.measured === undefined ? "at least" : "measured";
    this.#head.textContent = `${program.steps.length} steps of ${used} kernels (plan: ${model.view.kernels.length}); ${how} ${seconds(all)}, ${bytes(moved)}, ${count(work, "flop")}${at.length === 0 ? "" : ` at ${at.join(", ")}`}`;
    this.#showRows();
  }

  #showRows(): void {
    const { steps } = this.#state.program;
    const rows: KernelRow[] = [];
    for (const run of this.#runs) {
      const isFolded = run.times > 1 && !this.#open.has(run.start);
      if (run.times > 1) rows.push({ kind: "run", run });
      const shown = isFolded ? run.length : run.length * run.times;
      for (let offset = 0; offset < shown; offset++) {
        const others = isFolded
          ? Array.from({ length: run.times - 1 }, (_, turn) => run.start + offset + (turn + 1) * run.length)
          : [];
        rows.push({
          kind: "step",
          step: steps[run.start + offset]!,
          others,
          depth: run.times > 1 ? 1 : 0,
        });
      }
    }
    this.#list.show(rows);
  }

  #toggle(run: Run): void {
    if (this.#open.has(run.start)) this.#open.delete(run.start);
    else this.#open.add(run.start);
    this.#showRows();
  }

  #reveal(): void {
    this.#list.reveal(this.#list.rows.findIndex((row) => row.kind === "step" && this.#isLinked(row)));
  }

  #isLinked({ step, others }: Extract<KernelRow, { kind: "step" }>): boolean {
    const { steps } = this.#state.links;
    return steps.has(step.index) || others.some((one) => steps.has(one));
  }

  #draw(row: KernelRow): HTMLElement {
    if (row.kind === "run") return this.#drawRun(row.run);
    const { step, others, depth } = row;
    const { selection, program } = this.#state.shown;
    const kernel = this.#state.model.view.kernels[step.kernel]!;
    const time = this.#state.secondsOf(step.index);
    const made = element("div", {
      class: "step",
      title: `${kernel.name}\n${step.origins.join("\n")}`,
      attributes: { "data-step": String(step.index), "data-program": String(program) },
    });
    made.style.paddingLeft = `${8 + depth * 12}px`;
    if (this.#isLinked(row)) made.classList.add("linked");
    const isOwn = (index: number) => selection?.kind === "step" && selection.step === index;
    if (isOwn(step.index) || others.some(isOwn)) made.classList.add("selected");
    const bar = element("span", { class: "bar" });
    bar.style.width = `${Math.max(1, (100 * time) / Math.max(this.#longest, Number.MIN_VALUE))}%`;
    made.append(
      element(
        "div",
        { class: "line" },
        element("span", { class: "dim number", text: String(step.index) }),
        element("span", { class: "name", text: kernel.name }),
        element("span", { class: "time", text: seconds(time) }),
      ),
      element(
        "div",
        { class: "line dim" },
        element("span", { class: "kind", text: kernel.kind }),
        element("span", { class: "name", text: step.origins.join(", ") }),
      ),
      bar,
    );
    return made;
  }

  #drawRun(run: Run): HTMLElement {
    const isOpen = this.#open.has(run.start);
    const end = run.start + run.length * run.times - 1;
    const made = element("div", { class: "run" });
    made.append(
      element("span", { class: "sign", text: isOpen ? "▾" : "▸" }),
      element("span", { class: "name", text: `${run.length} steps ×${run.times}` }),
      element("span", {
        class: "dim",
        text: isOpen
          ? ` steps ${run.start} to ${end}`
          : ` steps ${run.start} to ${end}, the first turn shown`,
      }),
    );
    return made;
  }
}

/** Steps of the longest turn that is looked for. */
const longestTurn = 64;

export function runsOf(keys: readonly number[]): readonly Run[] {
  const runs: Run[] = [];
  for (let start = 0; start < keys.length; ) {
    let best: Run = { start, length: 1, times: 1 };
    for (let length = 1; length <= longestTurn && start + 2 * length <= keys.length; length++) {
      let end = start + length;
      while (end < keys.length && keys[end] === keys[end - length]) end++;
      const times = Math.floor((end - start) / length);
      if (times > 1 && times * length > best.times * best.length) best = { start, length, times };
    }
    runs.push(best);
    start += best.length * best.times;
  }
  return runs;
}
