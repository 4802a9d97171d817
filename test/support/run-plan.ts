/** The kit's runs on a device, with weights in NVFP4 and E4M3 as well. */
import {
  type GraphValues,
  type PlanDevice,
  type PlanWeight,
  plainWeights,
  type RunPlanOptions,
  runOnDevice as runOnce,
  runsOnDevice as runSeveral,
} from "@weft/compiler/testing";
import { encodeE4m3, type Graph, type TensorArray } from "@weft/dsl";
import { exactNvfp4 } from "./nvfp4-values.ts";

export function weightsOf(values: GraphValues): (name: string) => PlanWeight | undefined {
  const plain = plainWeights(values);
  return (name) => {
    const value = values.parameters(name);
    if (value?.dtype === "f8e4m3") {
      const shape = value.axes.map(({ size }) => size);
      return { kind: "data", data: Uint8Array.from(value.data, encodeE4m3), dtype: "f8e4m3", shape };
    }
    if (value?.dtype !== "nvfp4") return plain(name);
    const { codes, scales } = exactNvfp4(value.data);
    return { kind: "data", data: codes, scales, dtype: "nvfp4", shape: value.axes.map(({ size }) => size) };
  };
}

export function runOnDevice(
  device: PlanDevice,
  graph: Graph,
  values: GraphValues,
  options: RunPlanOptions = {},
): Promise<Map<string, TensorArray>> {
  return runOnce(device, graph, values, { weights: weightsOf, ...options });
}

export function runsOnDevice(
  device: PlanDevice,
  graph: Graph,
  runs: readonly GraphValues[],
  options: RunPlanOptions = {},
): Promise<Map<string, TensorArray>[]> {
  return runSeveral(device, graph, runs, { weights: weightsOf, ...options });
}
