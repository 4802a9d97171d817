/** Opens a checkpoint directory: prepare, then load on a device. */

import type { Device } from "@weft/runtime";
import { checkScales } from "../weights/index.ts";
import { CheckpointText, orRaise } from "./checkpoint-text.ts";
import { encodedWeights } from "./encoded-weights.ts";
import { makeDevice } from "./make-device.ts";
import type { OpenOptions, OpenProgress } from "./options.ts";
import { type PreparedQwen3, prepareQwen3 } from "./prepare.ts";
import { Qwen3 } from "./qwen3.ts";

/**
 * Opens a Qwen3 checkpoint in Hugging Face form and loads it on a device.
 * @throws WeftError with every problem found, as `prepareQwen3` and the device have them: nothing stays open then.
 * @example
 * using model = await openQwen3("models/Qwen3-0.6B");
 * for await (const { text } of generate(model, "Once upon a time", { maxTokens: 64 })) process.stdout.write(text);
 */
export async function openQwen3(directory: string, options: OpenOptions = {}): Promise<Qwen3> {
  const report = reporter(options.onProgress);
  report("checkpoint");
  const prepared = orRaise(prepareQwen3(directory, { record: false, ...options }, () => report("compile")));
  const given = options.device;
  if (typeof given === "object") return load(prepared, given, options, false, report);
  const device = await makeDevice(given ?? "cpu", options);
  try {
    return await load(prepared, device, options, true, report);
  } catch (error) {
    device[Symbol.dispose]();
    throw error;
  }
}

export type LoadQwen3Options = Pick<
  OpenOptions,
  "memoryLimitBytes" | "checkWeights" | "withTokenizer" | "onProgress"
>;

/**
 * Loads what was prepared on a device that the caller keeps.
 * @throws WeftError for what the device refuses, and for the tokenizer where `withTokenizer` asks for it.
 */
export function loadQwen3(
  prepared: PreparedQwen3,
  device: Device,
  options: LoadQwen3Options = {},
): Promise<Qwen3> {
  return load(prepared, device, options, false, reporter(options.onProgress));
}

type Report = (stage: OpenProgress["stage"], fraction?: number) => void;

function reporter(onProgress: OpenOptions["onProgress"]): Report {
  const started = performance.now();
  return (stage, fraction) =>
    onProgress?.({
      stage,
      ...(fraction === undefined ? {} : { fraction }),
      milliseconds: performance.now() - started,
    });
}

async function load(
  prepared: PreparedQwen3,
  device: Device,
  { memoryLimitBytes, checkWeights, withTokenizer = false }: LoadQwen3Options,
  ownsDevice: boolean,
  report: Report,
): Promise<Qwen3> {
  const { compiled, parameters, bound } = prepared;
  const encoded = await encodedWeights(parameters, bound, (done, total) => report("quantize", done / total));
  report("load");
  // Devices look at numbers; that codes of scales are some is known here.
  if (checkWeights !== false) orRaise(await checkScales(bound.linears.values()));
  const loading = device.load(
    compiled.plan,
    { ...prepared.weights, ...encoded },
    {
      ...(memoryLimitBytes === undefined ? {} : { memoryLimitBytes }),
      ...(checkWeights === undefined ? {} : { checkWeights }),
      onProgress: (done, total) => report("load", done / total),
    },
  );
  const text = new CheckpointText(prepared.directory, prepared.config.vocabSize);
  let unusable: unknown;
  if (withTokenizer) {
    report("tokenizer");
    // Parsing the vocabulary blocks this thread; the device's threads map and check the weights meanwhile.
    try {
      text.tokenizer();
    } catch (error) {
      unusable = error;
    }
  }
  const executable = await loading;
  if (unusable !== undefined) {
    executable[Symbol.dispose]();
    throw unusable;
  }
  const model = new Qwen3(prepared, { device, executable, text, ownsDevice });
  report("ready");
  return model;
}
