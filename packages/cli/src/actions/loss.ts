/** `weft loss`: what training would make of a token sequence, for comparison with other implementations. */
import { namePattern, orThrow } from "@weft/dsl";
import {
  batchOf,
  checkTokenIds,
  makeDevice,
  openTrainingModel,
  readCheckpointWeights,
  requiredTensors,
  type TrainingModel,
} from "@weft/qwen3";
import type { LossOptions } from "../commands/loss.ts";
import { spellNumber } from "../terminal/numbers.ts";
import { print, write } from "../terminal/output.ts";
import { refuse } from "../terminal/refuse.ts";
import { formatTable } from "../terminal/table.ts";

export async function loss(directory: string, options: LossOptions): Promise<void> {
  const { tokens, grad, device: name, dtype = "f32", threads, gpuLimitGb, quantize } = options;
  if (tokens === undefined)
    refuse("loss", "needs token ids", { remedy: "give --tokens, like --tokens 1,2,3" });
  if (gpuLimitGb !== undefined && name === "cpu") {
    refuse("--gpu-limit-gb", "must go with a GPU", {
      given: "--device cpu",
      remedy: "add --device cuda, or leave it out",
    });
  }
  const { config, load } = orThrow(readCheckpointWeights(directory, { quantize }));
  orThrow(checkTokenIds(tokens, config.vocabSize, "--tokens"));
  if (tokens.length < 2) {
    refuse("--tokens", "must have a token to predict", {
      given: `${tokens.length} token`,
      remedy: "give at least two",
    });
  }
  if (tokens.length > config.maxPositions) {
    refuse("--tokens", `must fit into the ${config.maxPositions} positions of the model`, {
      given: `${tokens.length} tokens`,
      remedy: "give fewer tokens",
    });
  }
  const names = requiredTensors(config).map((one) => one.name);
  const matches = grad === undefined ? () => false : namePattern(grad);
  if (grad !== undefined && !names.some(matches)) {
    refuse("--grad", "must match a parameter", {
      given: grad,
      remedy: `parameters are called like ${names[0]}; * stands for any characters`,
    });
  }
  using device = await makeDevice(name, { threads });
  using model = await openTrainingModel(config, await load(), device, {
    sequence: tokens.length,
    policy: dtype,
    trainable: matches,
    programs: [grad === undefined ? "loss" : "gradients"],
    ...(gpuLimitGb === undefined ? {} : { memoryLimitBytes: Math.floor(gpuLimitGb * 1e9) }),
  });
  const result = await measured(model, tokens, grad !== undefined);
  if (options.json === true) await writeJson(result);
  else await print(shown(result));
}

interface Measured {
  readonly loss: number;
  readonly gradients: ReadonlyMap<string, Float32Array>;
}

async function measured(
  model: TrainingModel,
  tokens: readonly number[],
  withGradients: boolean,
): Promise<Measured> {
  const batch = batchOf([{ tokens }]);
  if (withGradients) return model.gradients(batch);
  const { loss } = await model.loss(batch);
  return { loss, gradients: new Map() };
}

/** Piece by piece: the gradient of a large table would not fit into one string. */
async function writeJson({ loss, gradients }: Measured): Promise<void> {
  await write(`{"loss":${spellNumber(loss)},"gradients":{`);
  let before = "";
  for (const [name, values] of gradients) {
    await write(`${before}${JSON.stringify(name)}:[`);
    for (let at = 0; at < values.length; at += piece) {
      await write(
        `${at === 0 ? "" : ","}${Array.from(values.subarray(at, at + piece), spellNumber).join(",")}`,
      );
    }
    await write("]");
    before = ",\n";
  }
  await write("}}\n");
}

const piece = 65_536;

function shown({ loss, gradients }: Measured): string {
  const line = `loss ${loss.toFixed(6)}, perplexity ${Math.exp(loss).toFixed(3)}`;
  if (gradients.size === 0) return line;
  const rows = [...gradients].map(([name, values]) => {
    const norm = Math.sqrt(values.reduce((sum, one) => sum + one * one, 0));
    return [name, String(values.length), norm.toExponential(4)];
  });
  const titles = [
    { title: "gradient of" },
    { title: "elements", align: "right" },
    { title: "norm", align: "right" },
  ] as const;
  return `${line}\n\n${formatTable(titles, rows)}`;
}
