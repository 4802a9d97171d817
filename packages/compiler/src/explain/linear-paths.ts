/** Which path each linear takes: how its weight is stored, what it is multiplied with, by which kernels, and why. */
import type { Graph, NodeId, OpName } from "@weft/dsl";
import type { Compiled, CompiledProgram } from "../compile.ts";
import type { FusedGroup } from "../fusion/types.ts";
import type { PassRecord } from "../passes/pass.ts";
import { storedAs } from "../passes/quantize/quantize.ts";
import { attributesOf } from "../passes/rewrite.ts";
import type { PlanDtype } from "../plan/types.ts";
import { type DeviceKind, type ProductWay, productWays } from "./product-ways.ts";

export interface LinearPath {
  readonly program: string;
  /** The block. */
  readonly path: string;
  /** The weight, a parameter or a state of that name. */
  readonly parameter: string;
  readonly storage: PlanDtype;
  /** What the weight's values are multiplied with: rows that are quantised as well, or plain ones. */
  readonly activations: "plain" | "nvfp4";
  /** The dtype of these rows in the product. */
  readonly inputDtype: PlanDtype;
  readonly step: number;
  readonly kernel: string;
  readonly ways: readonly ProductWay[];
  /** Why storage and activations are what they are, as the pass `quantize` was told. */
  readonly reasons: readonly string[];
}

/** The products with weights of each program, in the order of the steps. Needs the records of a compilation. */
export function linearPaths(compiled: Compiled, device: DeviceKind = "cpu"): readonly LinearPath[] {
  return compiled.compiled.flatMap((program, index) => pathsOf(compiled, program, index, device));
}

function pathsOf(
  compiled: Compiled,
  { fused, records, name }: CompiledProgram,
  index: number,
  device: DeviceKind,
): LinearPath[] {
  const { plan } = compiled;
  const symbolMax = plan.symbols.map(({ max }) => max);
  const { graph } = fused;
  return compiled.groups[index]!.flatMap((group, step) => {
    const { kernel: number, bindings } = plan.programs[index]!.steps[step]!;
    const kernel = plan.kernels[number]!;
    return productsOf(group).flatMap((dot): LinearPath[] => {
      const node = graph.nodes[dot]!;
      const sides = node.inputs.map((input) => storedIn(graph, input));
      const side = sides[1] !== undefined ? 1 : 0;
      const parameter = sides[side];
      // A product of two values, as those of an attention.
      if (parameter === undefined) return [];
      const buffer = bindings.map((one) => plan.buffers[one]!).find((one) => one.name === parameter);
      if (buffer === undefined) return [];
      const other = node.inputs[1 - side]!;
      return [
        {
          program: name,
          path: node.origin.path,
          parameter,
          storage: buffer.dtype,
          activations: areQuantised(graph, other) ? "nvfp4" : "plain",
          inputDtype: graph.nodes[other]!.type.dtype as PlanDtype,
          step,
          kernel: kernel.name,
          ways: productWays(kernel, device, symbolMax),
          reasons: reasonsAt(records, node.origin.path),
        },
      ];
    });
  });
}

function productsOf(group: FusedGroup): readonly NodeId[] {
  if (group.kind === "matmul") return group.columns.flatMap(({ dots }) => dots);
  return group.kind === "contract" ? [group.node] : [];
}

/** Ops through which a stored matrix is seen: other axes, another dtype. */
const seenThrough: ReadonlySet<OpName> = new Set(["splitAxis", "mergeAxes", "rename", "cast"]);

function behind(graph: Graph, id: NodeId): Graph["nodes"][number] {
  let node = graph.nodes[id]!;
  while (seenThrough.has(node.op)) node = graph.nodes[node.inputs[0]!]!;
  return node;
}

function storedIn(graph: Graph, id: NodeId): string | undefined {
  const node = behind(graph, id);
  if (node.op === "parameter") return attributesOf(node, "parameter").name;
  return node.op === "stateRead" ? attributesOf(node, "stateRead").state : undefined;
}

const areQuantised = (graph: Graph, id: NodeId) => behind(graph, id).op === "quantizeNvfp4";

/** How the weight is stored comes first. */
function reasonsAt(records: readonly PassRecord[], path: string): readonly string[] {
  const isStorage = (reason: string) => reason.startsWith(storedAs);
  return records
    .filter(({ pass }) => pass === "quantize")
    .flatMap(({ fired, refusals }) => [
      ...[...fired].flatMap(([rule, places]) => (places.includes(path) ? [rule] : [])),
      ...refusals.filter((one) => one.path === path).map(({ reason }) => reason),
    ])
    .sort((a, b) => Number(isStorage(b)) - Number(isStorage(a)));
}

const named: Readonly<Record<ProductWay["kind"], string>> = {
  streamed: "streamed product",
  tiles: "tiles",
  library: "a library's product",
  dequantised: "a library's product of weights that become bf16 in scratch",
  general: "general product",
};

/** One line of what is done, and one for each reason. */
export function describeLinearPath({
  parameter,
  storage,
  activations,
  inputDtype,
  ways,
  reasons,
}: LinearPath): readonly string[] {
  const rows =
    activations === "plain"
      ? `rows of ${inputDtype}`
      : `rows in nvfp4, as the ${inputDtype} values that their codes mean`;
  return [
    `${parameter}: ${storage} times ${rows}`,
    ...ways.map(({ kind, why }) => `${named[kind]}: ${why}`),
    ...reasons,
  ];
}
