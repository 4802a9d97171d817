/** What the page shows now. Every part of it draws itself anew when something that it shows has changed. */
import { type Links, linksOf, type Selection } from "./links.ts";
import type { Model, Program, Stage } from "./model.ts";

export interface Shown {
  readonly program: number;
  readonly stage: number;
  readonly selection: Selection | undefined;
  /** Peak rates that times on the roofline are taken at. */
  readonly bytesPerSecond: number;
  readonly operationsPerSecond: number;
}

const nothing: Links = { paths: [], nodes: [], steps: new Set(), buffers: new Set() };

export class State {
  readonly model: Model;
  #shown: Shown;
  #links: Links = nothing;
  readonly #listeners: ((changed: ReadonlySet<keyof Shown>) => void)[] = [];

  constructor(model: Model) {
    this.model = model;
    const { bytesPerSecond, operationsPerSecond } = model.view.roofline;
    const stage = Math.max(0, (model.programs[0]?.stages.length ?? 0) - 1);
    this.#shown = { program: 0, stage, selection: undefined, bytesPerSecond, operationsPerSecond };
  }

  get shown(): Shown {
    return this.#shown;
  }

  get program(): Program {
    return this.model.programs[this.#shown.program]!;
  }

  /** Undefined where there is a plan only. */
  get stage(): Stage | undefined {
    return this.program.stages[this.#shown.stage];
  }

  get links(): Links {
    return this.#links;
  }

  /** Nodes of the graph that is shown. */
  get linkedNodes(): ReadonlySet<number> {
    return this.#links.nodes[this.#shown.stage] ?? new Set();
  }

  onChange(listener: (changed: ReadonlySet<keyof Shown>) => void): void {
    this.#listeners.push(listener);
  }

  select(selection: Selection | undefined): void {
    this.set({ selection });
  }

  set(change: Partial<Shown>): void {
    const next = { ...this.#shown, ...change };
    if (next.program !== this.#shown.program) {
      // Programs have passes of their own; a step of one is no step of the other, a block is the same.
      const passes = this.model.programs[next.program]!.stages;
      const pass = this.stage?.view.pass;
      const same = passes.findIndex((one) => one.view.pass === pass);
      next.stage = same < 0 ? Math.max(0, passes.length - 1) : same;
      next.selection = this.#links.paths.length > 0 ? { kind: "paths", paths: this.#links.paths } : undefined;
    }
    const keys = Object.keys(next) as (keyof Shown)[];
    const changed = new Set(keys.filter((key) => next[key] !== this.#shown[key]));
    if (changed.size === 0) return;
    this.#shown = next;
    if (changed.has("selection") || changed.has("program"))
      this.#links =
        next.selection === undefined ? nothing : linksOf(this.model, this.program, next.selection);
    for (const listener of this.#listeners) listener(changed);
  }

  /** Seconds of a step: as measured, else the least that the roofline allows. */
  secondsOf(step: number): number {
    const { measured } = this.program.view;
    return measured === undefined ? this.rooflineOf(step) : measured[step]! / 1e9;
  }

  rooflineOf(step: number): number {
    const { read, written, operations } = this.program.steps[step]!;
    const { bytesPerSecond, operationsPerSecond } = this.#shown;
    return Math.max((read + written) / bytesPerSecond, operations / operationsPerSecond);
  }
}
