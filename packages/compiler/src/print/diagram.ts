/** A program's steps as a diagram: kernels as nodes, buffers as edges. */
import type { Plan, PlanProgram } from "../plan/types.ts";

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

const dotText = (text: string) =>
  `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`;

const mermaidText = (text: string) =>
  `"${text.replaceAll("&", "#amp;").replaceAll('"', "#quot;").replaceAll("<", "#lt;").replaceAll(">", "#gt;").replaceAll("\n", "<br>")}"`;

export function programToDot(plan: Plan, program: PlanProgram): string {
  const lines = [`digraph ${dotText(program.name)} {`, "  node [shape=box];"];
  program.steps.forEach((step, index) => {
    const label = `${plan.kernels[step.kernel]!.name}\n${step.origins[0] ?? ""}`;
    lines.push(`  s${index} [label=${dotText(label)}];`);
  });
  for (const edge of edgesOf(plan, program))
    lines.push(`  s${edge.from} -> s${edge.to} [label=${dotText(edge.buffer)}];`);
  return [...lines, "}"].join("\n");
}

export function programToMermaid(plan: Plan, program: PlanProgram): string {
  const lines = ["flowchart TD"];
  program.steps.forEach((step, index) => {
    const label = `${plan.kernels[step.kernel]!.name}\n${step.origins[0] ?? ""}`;
    lines.push(`  s${index}[${mermaidText(label)}]`);
  });
  for (const edge of edgesOf(plan, program))
    lines.push(`  s${edge.from} -->|${mermaidText(edge.buffer)}| s${edge.to}`);
  return lines.join("\n");
}
