/** A block or a graph of a file, with weights and inputs drawn at random from a seed. */
import { type Compiled, exampleSymbols, type PlanPort, symbolValues } from "@weft/compiler";
import { encodeFp8, encodeNvfp4, type Graph, seededTensor, type TensorArray } from "@weft/dsl";
import { makeDevice } from "@weft/qwen3";
import type { InputArray, Weight } from "@weft/runtime";
import type { ProfileOptions } from "../commands/profile.ts";
import { gpuLimitOf } from "../model/open.ts";
import { checkProgram } from "../target/check-program.ts";
import { compileTarget, graphOf, refuseOption } from "../target/compile-target.ts";
import type { Target } from "../target/target.ts";
import type { Subject } from "./subject.ts";

const seed = 0;

export async function openBlockSubject(
  target: Exclude<Target, { kind: "model" }>,
  options: ProfileOptions,
): Promise<Subject> {
  const sizes = target.kind === "block" ? "sizes of a block are given by --lead" : "a graph has all its axes";
  refuseOption("--prompt-tokens", options.promptTokens, sizes);
  refuseOption("--sequence", options.sequence, sizes);
  refuseOption("--position", options.position, "only models have a KV cache");
  refuseOption("--adapter", options.adapter, "only checkpoints have adapters");
  refuseOption("--four-over-six", options.fourOverSix, "only checkpoints are quantised");
  refuseOption("--no-rescore", options.rescore === false ? "it" : undefined, "only models have a head");
  if (options.device !== "cpu") refuseOption("--threads", options.threads, "threads are the CPU's");
  checkProgram(options.program, ["main"]);
  const memoryLimitBytes = gpuLimitOf(options);
  const { compiled } = compileTarget(target, options, options.device);
  const { plan } = compiled;
  const symbols = exampleSymbols(plan, plan.programs[0]!);
  const graph = graphOf(target, options.lead);
  const draw = drawing(graph, compiled, symbols);
  const inputs = plan.programs[0]!.inputs.map((port) => [
    port.name,
    inputOf(compiled, port, draw(port.name)),
  ]);
  const device = await makeDevice(options.device, options);
  try {
    const executable = await device.load(
      plan,
      (name) => weightOf(draw(name), compiled, name),
      memoryLimitBytes === undefined ? {} : { memoryLimitBytes },
    );
    return {
      executable,
      programs: [{ name: "main", symbols, inputs: Object.fromEntries(inputs) }],
      [Symbol.dispose]: () => {
        executable[Symbol.dispose]();
        device[Symbol.dispose]();
      },
    };
  } catch (error) {
    device[Symbol.dispose]();
    throw error;
  }
}

/** Values of an input or a parameter of the graph, by its name; drawn when they are asked for. */
function drawing(
  graph: Graph,
  { plan }: Compiled,
  given: Readonly<Record<string, number>>,
): (name: string) => TensorArray {
  const values = symbolValues(plan, given);
  const symbols = new Map(plan.symbols.map(({ name }, index) => [name, values[index]!]));
  const nodes = new Map(
    graph.nodes.flatMap(({ id, op, attributes }) =>
      op === "input" || op === "parameter" ? [[attributes.name as string, id] as const] : [],
    ),
  );
  return (name) => seededTensor(graph, nodes.get(name)!, seed, symbols);
}

function inputOf({ plan }: Compiled, { buffer }: PlanPort, { data }: TensorArray): InputArray {
  return plan.buffers[buffer]!.dtype === "i32" ? Int32Array.from(data) : Float32Array.from(data);
}

/** The device converts f32 to what the plan stores, but for formats of blocks and codes. */
function weightOf({ dtype, axes, data }: TensorArray, { plan }: Compiled, name: string): Weight {
  const shape = axes.map(({ size }) => size);
  const stored = plan.buffers.find((one) => one.class === "weights" && one.name === name)?.dtype;
  if (dtype === "i32") return { kind: "data", data: Int32Array.from(data), dtype, shape };
  if (stored === "nvfp4") {
    const { codes, scales } = encodeNvfp4(data);
    return { kind: "data", data: codes, scales, dtype: stored, shape };
  }
  if (stored === "f8e4m3")
    return { kind: "data", data: encodeFp8(data, shape.at(-1) ?? 1).codes, dtype: stored, shape };
  return { kind: "data", data: Float32Array.from(data), dtype: "f32", shape };
}
