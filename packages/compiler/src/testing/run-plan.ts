/** Runs a graph on a device with given values, and gives its outputs as the interpreter would. */
import { type Graph, sizeFor, type TensorArray } from "@weft/dsl";
import type { GraphValues } from "@weft/dsl/testing";
import type { Plan, PlanDtype } from "../plan/types.ts";
import { type CompileBlockOptions, compileBlock } from "./compile-block.ts";

/** What the kit asks of a device: the part of the runtime's `Device` that it needs. */
export interface PlanDevice {
  readonly name: string;
  load(plan: Plan, weights: (name: string) => PlanWeight | undefined): Promise<LoadedPlan>;
}

export interface LoadedPlan extends Disposable {
  run(
    program: string,
    options: {
      readonly symbols: Readonly<Record<string, number>>;
      readonly inputs: Readonly<Record<string, Int32Array | Float32Array>>;
    },
  ): Promise<{ readonly outputs: Readonly<Record<string, ArrayLike<number>>> }>;
}

/** A weight in memory. */
export interface PlanWeight {
  readonly kind: "data";
  readonly data: ArrayBufferView;
  readonly dtype: PlanDtype;
  readonly shape: readonly number[];
  /** Of nvfp4, whose data are codes: the scales of its blocks. */
  readonly scales?: Uint8Array;
}

export interface RunPlanOptions extends Pick<CompileBlockOptions, "fusion" | "passes"> {
  /** How a parameter is handed to the device. Default: as i32 or f32, which the device converts. */
  readonly weights?: (values: GraphValues) => (name: string) => PlanWeight | undefined;
}

/** Parameters as a device takes them; it converts f32 to what the plan stores. */
export function plainWeights({ parameters }: GraphValues): (name: string) => PlanWeight | undefined {
  return (name) => {
    const value = parameters(name);
    if (value === undefined) return undefined;
    const shape = value.axes.map(({ size }) => size);
    return value.dtype === "i32"
      ? { kind: "data", data: Int32Array.from(value.data), dtype: "i32", shape }
      : { kind: "data", data: Float32Array.from(value.data), dtype: "f32", shape };
  };
}

export async function runOnDevice(
  device: PlanDevice,
  graph: Graph,
  values: GraphValues,
  options: RunPlanOptions = {},
): Promise<Map<string, TensorArray>> {
  return (await runsOnDevice(device, graph, [values], options))[0]!;
}

/** Runs one after the other: states are carried over. Weights are those of the first. */
export async function runsOnDevice(
  device: PlanDevice,
  graph: Graph,
  runs: readonly GraphValues[],
  options: RunPlanOptions = {},
): Promise<Map<string, TensorArray>[]> {
  const { weights = plainWeights, ...compiling } = options;
  const { plan } = compileBlock(graph, compiling);
  using loaded = await device.load(plan, weights(runs[0]!));
  const results: Map<string, TensorArray>[] = [];
  for (const values of runs) results.push(await runOnce(plan, loaded, graph, values));
  return results;
}

async function runOnce(
  plan: Plan,
  loaded: LoadedPlan,
  graph: Graph,
  values: GraphValues,
): Promise<Map<string, TensorArray>> {
  const symbols = Object.fromEntries(
    plan.symbols
      .filter((one) => one.sum.length === 0)
      .map((one) => [one.name, values.symbols.get(one.name) ?? 0]),
  );
  const inputs = Object.fromEntries(
    plan.programs[0]!.inputs.map((port) => {
      const value = values.inputs.get(port.name)!;
      const integers = plan.buffers[port.buffer]!.dtype === "i32";
      return [port.name, integers ? Int32Array.from(value.data) : Float32Array.from(value.data)];
    }),
  );
  const { outputs } = await loaded.run("main", { symbols, inputs });
  return new Map(
    graph.outputs.map(({ name, node }) => {
      const { type } = graph.nodes[node]!;
      const axes = type.axes.map((one) => ({ name: one.name, size: sizeFor(one.size, values.symbols) }));
      return [name, { dtype: type.dtype, axes, data: Float64Array.from(outputs[name]!) }];
    }),
  );
}
