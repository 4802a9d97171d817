/** One training step of a model: forward, backward, and an update whose rates are 0, so that the weights stay. */
import { extname } from "node:path";
import { hyperparametersInput } from "@weft/compiler";
import { orThrow } from "@weft/dsl";
import {
  batchOf,
  compileTrainingModel,
  initialWeights,
  makeDevice,
  openTrainingModel,
  parseQwen3Config,
  type Qwen3Config,
  readCheckpointWeights,
  type TrainingOptions,
  trainingLength,
} from "@weft/qwen3";
import type { WeightSource } from "@weft/runtime";
import type { ProfileOptions } from "../commands/profile.ts";
import { configObject } from "../model/config-object.ts";
import { gpuLimitOf } from "../model/open.ts";
import { promptOf } from "../model/prompt.ts";
import { checkProgram } from "../target/check-program.ts";
import { refuseOption } from "../target/compile-target.ts";
import { trainingFlags } from "../target/training-target.ts";
import { refuse } from "../terminal/refuse.ts";
import { trainingOptions } from "../train/plan.ts";
import type { Subject } from "./subject.ts";

const program = "train";
const usualSequence = 256;

interface TrainedSource {
  readonly config: Qwen3Config;
  readonly toPredict: Parameters<typeof compileTrainingModel>[1];
  readonly load: () => Promise<WeightSource>;
}

export async function openTrainingSubject(path: string, options: ProfileOptions): Promise<Subject> {
  checkOptions(options);
  const { config, toPredict, load } = sourceOf(path);
  const sequence = sequenceOf(options, config);
  const memoryLimitBytes = gpuLimitOf(options);
  // The plan of `weft train`, all of its programs: `weft inspect --train` finds its times by the plan's hash.
  const training: TrainingOptions = {
    ...trainingOptions({ ...trainingFlags(options), seed: 0 }, { config, toPredict }, sequence),
    ...(memoryLimitBytes === undefined ? {} : { memoryLimitBytes }),
  };
  const compiled = compileTrainingModel(config, toPredict, training);
  const device = await makeDevice(options.device, options);
  try {
    const model = await openTrainingModel(config, await load(), device, training, compiled);
    const { plan } = compiled;
    const rates = plan.buffers.find(
      ({ name, class: kind }) => kind === "input" && name === hyperparametersInput,
    )!;
    const own = plan.symbols.filter(({ sum }) => sum.length === 0);
    return {
      executable: model.executable,
      programs: [
        {
          name: program,
          symbols: Object.fromEntries(own.map(({ name }) => [name, name === trainingLength ? sequence : 0])),
          inputs: {
            ...batchOf([{ tokens: promptOf(sequence, config.vocabSize) }]),
            [hyperparametersInput]: new Float32Array(rates.shape[0]!),
          },
        },
      ],
      [Symbol.dispose]: () => {
        model[Symbol.dispose]();
        device[Symbol.dispose]();
      },
    };
  } catch (error) {
    device[Symbol.dispose]();
    throw error;
  }
}

function checkOptions(options: ProfileOptions): void {
  const ofTexts = "a training step has neither prompt nor cache; its length is --sequence";
  refuseOption("--prompt-tokens", options.promptTokens, ofTexts);
  refuseOption("--position", options.position, ofTexts);
  refuseOption("--capacity", options.capacity, ofTexts);
  refuseOption("--chunk", options.chunk, ofTexts);
  refuseOption("--lead", options.lead, ofTexts);
  const asStored = "what is trained is as the checkpoint has it";
  refuseOption("--quantize", options.quantize, asStored);
  refuseOption("--activations", options.activations, asStored);
  refuseOption("--four-over-six", options.fourOverSix, asStored);
  refuseOption("--fp4", options.fp4, asStored);
  refuseOption("--adapter", options.adapter, asStored);
  refuseOption("--no-rescore", options.rescore === false ? "it" : undefined, "nothing is drawn in training");
  refuseOption("--export", options.export, "it names an export of a file");
  if (options.device !== "cpu") refuseOption("--threads", options.threads, "threads are the CPU's");
  checkProgram(options.program, [program]);
}

function sourceOf(path: string): TrainedSource {
  if (extname(path) === ".json") {
    const config = orThrow(parseQwen3Config(configObject(path), path));
    const weights = initialWeights(config, { seed: 0 });
    return { config, toPredict: weights, load: async () => weights };
  }
  return orThrow(readCheckpointWeights(path));
}

function sequenceOf({ sequence }: ProfileOptions, { maxPositions }: Qwen3Config): number {
  if (sequence === undefined) return Math.min(usualSequence, maxPositions);
  if (sequence <= maxPositions) return sequence;
  return refuse("--sequence", `must fit into the ${maxPositions} positions of the model`, {
    given: String(sequence),
    remedy: "give a shorter one",
  });
}
