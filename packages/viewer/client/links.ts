/** What belongs together: from one thing that is selected to everything that it is elsewhere. */
import type { GraphNode, Model, Program } from "./model.ts";

export type Selection =
  /** Blocks and all within them; several where a text or a box stands for several layers. */
  | {
      readonly kind: "paths";
      readonly paths: readonly string[];
      /** Only what this op became, of the blocks themselves. */
      readonly op?: string;
    }
  | { readonly kind: "node"; readonly stage: number; readonly id: number }
  | { readonly kind: "step"; readonly step: number }
  | { readonly kind: "kernel"; readonly kernel: number }
  | { readonly kind: "buffer"; readonly buffer: number };

export interface Links {
  readonly paths: readonly string[];
  /** By stage. */
  readonly nodes: readonly ReadonlySet<number>[];
  readonly steps: ReadonlySet<number>;
  readonly buffers: ReadonlySet<number>;
}

/** Whether a place is one of these blocks or within one. */
export function within(paths: readonly string[]): (place: string) => boolean {
  const all = new Set(paths);
  return (place) => {
    for (let end = place.length; end > 0; end = place.lastIndexOf(".", end - 1))
      if (all.has(place.slice(0, end))) return true;
    return all.has("") && place === "";
  };
}

export function linksOf(model: Model, program: Program, selection: Selection): Links {
  switch (selection.kind) {
    case "paths":
      return linksOfPaths(program, selection.paths, selection.op);
    case "node": {
      const nodes = traced(program, selection.stage, new Set([selection.id]));
      const own = program.stages[selection.stage]!.nodes[selection.id]!;
      const steps = stepsOfNodes(program, nodes.at(-1)!);
      return { paths: [own.path], nodes, steps, buffers: buffersOf(program, steps) };
    }
    case "step":
      return linksOfSteps(program, [selection.step]);
    case "kernel":
      return linksOfSteps(
        program,
        program.steps.filter((one) => one.kernel === selection.kernel).map(({ index }) => index),
      );
    case "buffer":
      return linksOfBuffer(model, program, selection.buffer);
  }
}

function linksOfPaths(program: Program, paths: readonly string[], op: string | undefined): Links {
  const isWithin = within(paths);
  const exactly = new Set(paths);
  const isWanted = (node: GraphNode) =>
    op === undefined
      ? isWithin(node.path)
      : (node.op === op || node.composite === op) && exactly.has(node.path);
  const nodes = program.stages.map((stage) => new Set(stage.nodes.filter(isWanted).map(({ id }) => id)));
  const last = nodes.at(-1);
  const steps =
    last === undefined
      ? new Set(program.steps.filter((one) => one.origins.some(isWithin)).map(({ index }) => index))
      : stepsOfNodes(program, last);
  return { paths, nodes, steps, buffers: buffersOf(program, steps) };
}

function linksOfSteps(program: Program, indices: readonly number[]): Links {
  const steps = new Set(indices);
  const own = new Set(indices.flatMap((index) => program.steps[index]!.nodes));
  const nodes = program.stages.length === 0 ? [] : traced(program, program.stages.length - 1, own);
  const paths = [...new Set(indices.flatMap((index) => program.steps[index]!.origins))];
  return { paths, nodes, steps, buffers: buffersOf(program, steps) };
}

/** A buffer's nodes are those whose value lies in it: what its writers store, or the leaf of its name. */
function linksOfBuffer(model: Model, program: Program, buffer: number): Links {
  const using = program.steps.filter((one) => one.buffers.includes(buffer));
  const writing = using.filter(({ kernel, buffers }) => {
    const { access } = model.view.kernels[kernel]!;
    return access[buffers.indexOf(buffer)] !== "read";
  });
  const last = program.stages.at(-1);
  const name = JSON.stringify(model.buffers[buffer]!.name);
  const own = new Set<number>();
  if (last !== undefined) {
    for (const { nodes } of writing) for (const id of nodes) if (last.nodes[id]!.isStored) own.add(id);
    for (const { id, inputs, attributes } of last.nodes)
      if (inputs.length === 0 && attributes.includes(name)) own.add(id);
  }
  const nodes = last === undefined ? [] : traced(program, program.stages.length - 1, own);
  const paths =
    last === undefined
      ? using.flatMap((one) => one.origins)
      : [...own].map((id) => last.nodes[id]!.path).filter((path) => path !== "");
  return {
    paths: [...new Set(paths)],
    nodes,
    steps: new Set(using.map(({ index }) => index)),
    buffers: new Set([buffer]),
  };
}

function stepsOfNodes(program: Program, nodes: ReadonlySet<number>): ReadonlySet<number> {
  const steps = new Set<number>();
  for (const id of nodes) {
    const step = program.stepOfNode.get(id);
    if (step !== undefined) steps.add(step);
  }
  return steps;
}

const buffersOf = (program: Program, steps: ReadonlySet<number>) =>
  new Set([...steps].flatMap((step) => program.steps[step]!.buffers));

/** The same nodes in every stage. What a pass replaced is followed to what took its place: new nodes of the same block. */
function traced(program: Program, stage: number, own: ReadonlySet<number>): readonly ReadonlySet<number>[] {
  const { stages } = program;
  const all: ReadonlySet<number>[] = stages.map(() => new Set());
  all[stage] = own;
  for (let at = stage + 1; at < stages.length; at++) {
    const [from, to] = [stages[at - 1]!, stages[at]!];
    const found = new Set<number>();
    const replaced = new Set<string>();
    for (const id of all[at - 1]!) {
      const next = to.next.get(id);
      if (next !== undefined) found.add(next);
      else replaced.add(place(from.nodes[id]!.path, from.nodes[id]!.op));
    }
    if (replaced.size > 0)
      for (const one of to.nodes)
        if (one.before < 0 && replaced.has(place(one.path, one.composite))) found.add(one.id);
    all[at] = found;
  }
  for (let at = stage; at > 0; at--) {
    const from = stages[at]!;
    const found = new Set<number>();
    const made = new Set<string>();
    for (const id of all[at]!) {
      const { before, path, composite } = from.nodes[id]!;
      if (before >= 0) found.add(before);
      else if (composite !== "") made.add(place(path, composite));
    }
    if (made.size > 0) for (const one of from.gone) if (made.has(place(one.path, one.op))) found.add(one.id);
    all[at - 1] = found;
  }
  return all;
}

const place = (path: string, op: string) => `${path}\n${op}`;
