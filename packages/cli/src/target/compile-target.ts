/** A TARGET as a compiled plan, without a device: what `dump`, `explain` and `memory` look at. */
import { type Compiled, compile, expandBlock, type Pass, type ProgramInput, precision } from "@weft/compiler";
import { type Axis, axis, type Dtype, type Graph, orThrow } from "@weft/dsl";
import { compileQwen3, type DeviceName, prepareQwen3, usualOn, weightsToPredict } from "@weft/qwen3";
import type { WeightSource } from "@weft/runtime";
import type { Lead, ModelOptions, TargetOptions } from "../commands/options.ts";
import type { TrainingPlanFlags } from "../commands/training-options.ts";
import { endsAtOnce } from "../terminal/interrupt.ts";
import { refuse } from "../terminal/refuse.ts";
import { hasWeights, type ModelTarget, remarkNoWeights } from "./model-target.ts";
import type { Target } from "./target.ts";
import { compileTrainingTarget, refuseTrainingOptions } from "./training-target.ts";

/** What most people run; a plan of one size is easier to compare than one per model. */
const defaultLead: readonly Lead[] = [{ name: "seq", size: 512 }];

export interface CompiledTarget {
  readonly compiled: Compiled;
  /** Where a device would find the weights; undefined where there are none yet. */
  readonly weights: WeightSource | undefined;
  /** Of a plan that trains: the options that it was made with. */
  readonly training?: TrainingPlanFlags;
}

/**
 * @param device whose plan of a model is wanted; its dtype and outputs differ. That of training is one for all devices.
 * @param record whether the graphs of a training plan's passes are kept; they take more memory than the plan.
 */
export function compileTarget(
  target: Target,
  options: TargetOptions,
  device: DeviceName = "cpu",
  record = true,
): CompiledTarget {
  using _ = endsAtOnce();
  if (options.train === true) {
    if (target.kind === "model") return compileTraining(target, options, record);
    refuse("--train", "must go with a model", {
      given: `the ${target.kind} of ${target.file}`,
      remedy: "give a model directory or its config.json",
    });
  }
  refuseTrainingOptions(options);
  if (target.kind === "model") {
    refuseOption("--lead", options.lead, "a model leads with seq; its size is --chunk");
    return compileModel(target, options, device);
  }
  refuseOption(
    "--capacity",
    options.capacity,
    "only models have a KV cache; sizes of a block are given by --lead",
  );
  refuseOption("--chunk", options.chunk, "sizes of a block are given by --lead");
  refuseOption("--quantize", options.quantize, "only checkpoints are quantised");
  refuseOption("--activations", options.activations, "only checkpoints are quantised");
  if (target.kind === "graph") refuseOption("--lead", options.lead, "a graph has all its axes");
  const dtype = options.dtype;
  const stored: Dtype = dtype ?? "f32";
  const passes: Pass[] = dtype === undefined ? [] : [precision({ policy: dtype, storage: () => stored })];
  const program: ProgramInput = { name: "main", graph: graphOf(target, options.lead), passes };
  const name = target.kind === "graph" ? target.graph.name : graphName(target.name);
  return { compiled: orThrow(compile([program], { name })), weights: undefined };
}

/** The graph that a block or graph target starts from. */
export function graphOf(
  target: Exclude<Target, { kind: "model" }>,
  lead: readonly Lead[] = defaultLead,
): Graph {
  if (target.kind === "graph") return target.graph;
  return expandBlock(target.block, { name: graphName(target.name), lead: leadingAxes(lead) });
}

const graphName = (exportName: string) => (exportName === "default" ? "block" : exportName);

/** Leading axes are symbolic: their size is known when a program runs, up to the one that memory is planned for. */
function leadingAxes(lead: readonly Lead[]): readonly Axis[] {
  const names = lead.map((one) => one.name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) {
    refuse("--lead", "each axis must be given once", { given: `${twice} twice`, remedy: "leave one out" });
  }
  return lead.map(({ name, size }) => axis(name, { symbol: name, max: size }));
}

function compileModel(target: ModelTarget, options: TargetOptions, device: DeviceName): CompiledTarget {
  const { capacity, chunk, dtype, quantize, activations, rescore } = options;
  if (hasWeights(target)) {
    const prepared = orThrow(
      prepareQwen3(target.directory, { capacity, chunk, dtype, device, quantize, activations, rescore }),
    );
    return { compiled: prepared.compiled, weights: weightsToPredict(prepared) };
  }
  refuseOption("--quantize", quantize, "it needs the files of weights, which are not here");
  refuseOption("--activations", activations, "it needs the files of weights, which are not here");
  const usual = usualOn(device);
  const policy = dtype ?? usual.dtype;
  const stored: Dtype = policy === "bf16" ? "bf16" : (target.config.dtype ?? "f32");
  remarkNoWeights(target, stored);
  const room = capacity ?? Math.min(target.config.maxPositions, 4096);
  const compiled = orThrow(
    compileQwen3(target.config, {
      capacity: room,
      chunk: Math.min(chunk ?? 512, room),
      policy,
      storage: () => stored,
      logits: "last",
      candidates: usual.candidates,
    }),
  );
  return { compiled, weights: undefined };
}

/** Units for FP4 are a GPU's: a plan for the CPU has nothing to choose. */
export function refuseFp4OnCpu({ device, fp4 }: Pick<ModelOptions, "device" | "fp4">): void {
  if (device !== "cpu" || fp4 === undefined) return;
  refuse("--fp4", "must go with a GPU", {
    given: "--device cpu",
    remedy: "add --device cuda, or leave it out",
  });
}

function compileTraining(target: ModelTarget, options: TargetOptions, record: boolean): CompiledTarget {
  refuseOption("--lead", options.lead, "training has documents; their length is --sequence");
  refuseOption("--capacity", options.capacity, "training has no KV cache; its length is --sequence");
  refuseOption("--chunk", options.chunk, "a step of training takes --sequence times --batch tokens");
  refuseOption("--activations", options.activations, "training computes with plain activations");
  return compileTrainingTarget(target, options, record);
}

/** @param remedy why the option has no meaning for this TARGET, or what has */
export function refuseOption(option: string, value: unknown, remedy: string): void {
  if (value !== undefined)
    refuse(option, "must be left out for this TARGET", { given: shown(value), remedy });
}

const shown = (value: unknown) => (typeof value === "object" ? JSON.stringify(value) : String(value));
