/** A program's steps as a diagram: kernels as nodes, buffers as edges. */
import { quotedForDot, quotedForMermaid } from "@weft/dsl";
import type { Plan, PlanProgram, PlanStep } from "../plan/types.ts";

interface Edge {
  readonly from: number;
  readonly to: number;
  readonly buffer: string;
}

/** Who reads what whom: an edge for each buffer from the step that wrote it last. */
function edgesOf(plan: Plan, program: PlanProgram): Edge[] {
  const writer = new Map<number, number>();
  const edges: Edge[] = [];
  program.steps.forEach((step, index) => {
    const kernel = plan.kernels[step.kernel]!;
    kernel.slots.forEach((slot, at) => {
      const buffer = step.bindings[at]!;
      const from = writer.get(buffer);
      if (slot.access !== "write" && from !== undefined)
        edges.push({ from, to: index, buffer: plan.buffers[buffer]!.name });
    });
    kernel.slots.forEach((slot, at) => {
      if (slot.access !== "read") writer.set(step.bindings[at]!, index);
    });
  });
  return edges;
}

const labelOf = ({ kernels }: Plan, { kernel, origins }: PlanStep) => [
  kernels[kernel]!.name,
  origins[0] ?? "",
];

export function programToDot(plan: Plan, program: PlanProgram): string {
  const lines = [`digraph ${quotedForDot([program.name])} {`, "  node [shape=box];"];
  program.steps.forEach((step, index) => {
    lines.push(`  s${index} [label=${quotedForDot(labelOf(plan, step))}];`);
  });
  for (const edge of edgesOf(plan, program))
    lines.push(`  s${edge.from} -> s${edge.to} [label=${quotedForDot([edge.buffer])}];`);
  return [...lines, "}"].join("\n");
}

export function programToMermaid(plan: Plan, program: PlanProgram): string {
  const lines = ["flowchart TD"];
  program.steps.forEach((step, index) => {
    lines.push(`  s${index}[${quotedForMermaid(labelOf(plan, step))}]`);
  });
  for (const edge of edgesOf(plan, program))
    lines.push(`  s${edge.from} -->|${quotedForMermaid([edge.buffer])}| s${edge.to}`);
  return lines.join("\n");
}
