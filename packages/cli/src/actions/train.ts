/** `weft train`: from options to a run, and from its end to a Hugging Face directory. */
import { join } from "node:path";
import { describeRung } from "@weft/compiler";
import { orThrow } from "@weft/dsl";
import {
  type BatchStream,
  batchStream,
  chatTemplateOf,
  compileTrainingModel,
  dataStart,
  type ExportedModel,
  exportHuggingFace,
  filesBeside,
  makeDevice,
  openTokenizer,
  openTrainingModel,
  prepareData,
  type Qwen3Config,
  schedule,
  splitDocuments,
  TrainableModel,
  trainingMemory,
  trainingWeights,
  train as trainModel,
  writeAdapter,
} from "@weft/qwen3";
import type { TrainFlags } from "../commands/train.ts";
import { interruption, stopsInOrder } from "../terminal/interrupt.ts";
import { print, printJson, remark } from "../terminal/output.ts";
import { refuse } from "../terminal/refuse.ts";
import { checkWritableFolder } from "../terminal/writable.ts";
import { checkFlags } from "../train/check.ts";
import { TrainDisplay } from "../train/display.ts";
import { checkFormats, exportFormat } from "../train/formats.ts";
import { printTrainingMemory } from "../train/memory-table.ts";
import { lengthOf, trainingOptions } from "../train/plan.ts";
import { sampleOptions } from "../train/sample.ts";
import { formatOf, isText, openSource, type TrainSource } from "../train/source.ts";

export async function train(model: string | undefined, flags: TrainFlags): Promise<void> {
  checkFlags(model, flags);
  if (flags.dryRun !== true) checkWritableFolder(flags.out!);
  using _order = stopsInOrder();
  const source = await openSource(model, flags);
  const { config, toPredict } = source;
  checkFormats(flags, source);
  const sequence = lengthOf(flags, config);
  const options = trainingOptions(flags, source, sequence);
  const compiled = compileTrainingModel(config, toPredict, options);
  using device = await makeDevice(flags.device, { threads: flags.threads });
  const planned = trainingMemory(
    compiled.plan,
    device.predictMemory(compiled.plan, { weights: trainingWeights(toPredict) }),
  );
  if (flags.activationBudget !== undefined) remark(describeRung(compiled.recomputation));
  if (flags.dryRun === true) return printTrainingMemory(planned, flags);
  const { training, heldOut } = await openData(source, flags, sequence);
  const steps = flags.steps ?? stepsOf(training, flags);
  const { lr, schedule: shape, warmup, seed, accumulate, keep } = flags;
  const learningRate = schedule({ shape, learningRate: lr, steps, warmup });
  const weights = await source.load();
  using opened = await openTrainingModel(config, weights, device, options, compiled);
  const { weightDecay, maxNorm, momentum } = flags;
  const constants = { weightDecay, maxNorm, ...(momentum === undefined ? {} : { momentum }) };
  const trainable = new TrainableModel(opened, weights, constants, source.directory);
  const tenth = Math.max(1, Math.ceil(steps / 10));
  const copy = filesBeside(source.directory);
  const samples = await sampleOptions(opened, source.directory, flags);
  const display = new TrainDisplay(planned.total!);
  const result = await trainModel({
    folder: flags.out!,
    model: trainable,
    data: training,
    steps,
    accumulate,
    learningRate,
    // A constant rate does not depend on the end, so such a run can be made longer.
    schedule: { shape, peak: lr, warmup, ...(shape === "constant" ? {} : { steps }) },
    seed,
    ...(heldOut === undefined ? {} : { evaluation: { data: heldOut, every: flags.evalEvery ?? tenth } }),
    ...samples,
    checkpoints: { everySteps: flags.saveEvery ?? tenth, keep, copy },
    resume: flags.resume ?? false,
    signal: interruption,
    onEvent: (event) => display.show(event),
  }).finally(() => display.clear());
  const done = orThrow(result);
  if (done.stopped === "interrupted") {
    remark(`stopped behind step ${done.step} of ${steps}; the same command with --resume goes on`);
    return;
  }
  const kind = flags.adapterOnly === true ? "adapter" : "model";
  const format = exportFormat(flags, source);
  const directory = join(flags.out!, kind);
  orThrow(
    kind === "adapter"
      ? await writeAdapter({ directory, model: trainable })
      : await exportHuggingFace({
          directory,
          model: exportedModel(trainable, format, flags),
          copy,
          ...storedAs(flags, config),
        }),
  );
  if (flags.json === true) await printJson({ ...done, [kind]: directory });
  else {
    const what = format === "plain" || kind === "adapter" ? kind : `${kind} in NVFP4 (${format})`;
    await print(summaryOf(done, `${what}: ${directory}`));
  }
}

/** What was trained is stored as config.json has it; merged weights as they were. */
function storedAs({ lora }: TrainFlags, { dtype }: Qwen3Config): { readonly dtype?: "f32" | "bf16" } {
  return lora === undefined && (dtype === "bf16" || dtype === "f32") ? { dtype } : {};
}

/** In NVFP4 the very blocks that were trained, or of adapters the merged weights. */
function exportedModel(
  trainable: TrainableModel,
  format: ReturnType<typeof exportFormat>,
  { fourOverSix = false }: TrainFlags,
): ExportedModel {
  return format === "plain" ? trainable.merged() : trainable.quantized(format, { fourOverSix });
}

function summaryOf(
  done: { step: number; loss: number | undefined; evaluationLoss: number | undefined; skippedSteps: number },
  written: string,
): string {
  const parts = [
    `${done.step} steps`,
    done.loss === undefined ? undefined : `loss ${done.loss.toFixed(4)}`,
    done.evaluationLoss === undefined ? undefined : `held out ${done.evaluationLoss.toFixed(4)}`,
    done.skippedSteps === 0 ? undefined : `${done.skippedSteps} steps skipped`,
  ];
  return `${parts.filter((part) => part !== undefined).join(", ")}\n${written}`;
}

async function openData(
  source: TrainSource,
  flags: TrainFlags,
  sequence: number,
): Promise<{ readonly training: BatchStream; readonly heldOut: BatchStream | undefined }> {
  const { data, skipBad = false, textUnit, packing, evalShare, batch, seed, out } = flags;
  const tokenizer = orThrow(openTokenizer(source.directory));
  const { tokens, skipped } = orThrow(
    await prepareData({
      files: data!,
      ...formatOf(flags),
      ...(textUnit === undefined ? {} : { textUnit }),
      tokenizer,
      vocabSize: source.config.vocabSize,
      template: () => chatTemplateOf(tokenizer.config),
      skipBad,
      cache: join(out!, "tokens"),
    }),
  );
  if (skipped > 0) remark(`documents left out because they cannot be read: ${skipped}`);
  const split = orThrow(splitDocuments(tokens, { share: evalShare }));
  const longDocuments =
    flags.longDocuments ?? (data!.every((file) => isText(file, flags)) ? "split" : "error");
  const common = {
    length: sequence * batch,
    context: sequence,
    packing,
    ...(packing === "documents" ? { longDocuments } : {}),
  } as const;
  return {
    training: orThrow(batchStream(tokens, split.training, { ...common, shuffleSeed: seed })),
    heldOut: evalShare > 0 ? orThrow(batchStream(tokens, split.heldOut, common)) : undefined,
  };
}

/**
 * Updates that so many passes over the data take. A batch goes on with the next pass where documents end, so that few of them
 * may be passed over many times in one.
 */
function stepsOf(data: BatchStream, { epochs = 1, accumulate }: TrainFlags): number {
  let batches = 0;
  for (; data.epochs < 1; batches++) data.next();
  const passes = data.epochs;
  orThrow(data.seek(dataStart));
  const steps = Math.ceil((batches * epochs) / passes / accumulate);
  if (Number.isSafeInteger(steps)) return steps;
  return refuse("--epochs", "must be fewer", { given: String(epochs), remedy: "give --steps" });
}
