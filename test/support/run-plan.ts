/** Runs a compiled graph on a device with the values of a test, and gives its outputs as the interpreter would. */
import { compile, type Pass } from "@weft/compiler";
import { encodeE4m3, type Graph, orThrow, sizeFor, type TensorArray } from "@weft/dsl";
import type { Device, Executable, WeightSource } from "@weft/runtime";
import { exactNvfp4 } from "./nvfp4-values.ts";
import type { GraphValues } from "./random-values.ts";

export interface RunPlanOptions {
  readonly fusion?: boolean;
  readonly passes?: readonly Pass[];
}

export function weightsOf(values: GraphValues): WeightSource {
  return (name) => {
    const value = values.parameters(name);
    if (value === undefined) return undefined;
    const shape = value.axes.map((one) => one.size);
    if (value.dtype === "nvfp4") {
      const { codes, scales } = exactNvfp4(value.data);
      return { kind: "data", data: codes, scales, dtype: "nvfp4", shape };
    }
    if (value.dtype === "f8e4m3")
      return { kind: "data", data: Uint8Array.from(value.data, encodeE4m3), dtype: "f8e4m3", shape };
    return value.dtype === "i32"
      ? { kind: "data", data: Int32Array.from(value.data), dtype: "i32", shape }
      : { kind: "data", data: Float32Array.from(value.data), dtype: "f32", shape };
  };
}

export async function runOnDevice(
  device: Device,
  graph: Graph,
  values: GraphValues,
  options: RunPlanOptions = {},
): Promise<Map<string, TensorArray>> {
  return (await runsOnDevice(device, graph, [values], options))[0]!;
}

/** Runs one after the other: states are carried over. Weights are those of the first. */
export async function runsOnDevice(
  device: Device,
  graph: Graph,
  runs: readonly GraphValues[],
  options: RunPlanOptions = {},
): Promise<Map<string, TensorArray>[]> {
  const program = { name: "main", graph, passes: options.passes ?? [] };
  const { plan } = orThrow(compile([program], { name: graph.name, fusion: options.fusion ?? true }));
  using executable = await device.load(plan, weightsOf(runs[0]!));
  const results: Map<string, TensorArray>[] = [];
  for (const values of runs) results.push(await runOnce(executable, graph, values));
  return results;
}

async function runOnce(
  executable: Executable,
  graph: Graph,
  values: GraphValues,
): Promise<Map<string, TensorArray>> {
  const { plan } = executable;
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
  const { outputs } = await executable.run("main", { symbols, inputs });
  return new Map(
    graph.outputs.map(({ name, node }) => {
      const { type } = graph.nodes[node]!;
      const axes = type.axes.map((one) => ({ name: one.name, size: sizeFor(one.size, values.symbols) }));
      return [name, { dtype: type.dtype, axes, data: Float64Array.from(outputs[name]!) }];
    }),
  );
}
