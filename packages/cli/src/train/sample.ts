/** `--sample-every`: what the model under training says, from the weights as they are. */
import { generate, type TrainingModel, type TrainingOptions, type TrainOptions } from "@weft/qwen3";
import type { TrainFlags } from "../commands/train.ts";
import { refuse } from "../terminal/refuse.ts";

/** The most tokens of a sample. */
const most = 64;

/** The programs that samples need; none where there are none. */
export function samplePrograms(
  flags: Pick<TrainFlags, "sampleEvery">,
  sequence: number,
): Pick<TrainingOptions, "generation"> {
  if (flags.sampleEvery === undefined) return {};
  return { generation: { capacity: sequence, chunk: Math.min(64, sequence), logits: "last" } };
}

/** The prompt is tokenised before the first step, so that what does not fit is said then. */
export async function sampleOptions(
  model: TrainingModel,
  directory: string,
  { sampleEvery, samplePrompt }: TrainFlags,
): Promise<Pick<TrainOptions, "samples">> {
  if (sampleEvery === undefined || samplePrompt === undefined) return {};
  const generator = model.generator(directory);
  const prompt = await generator.tokenizer().encode(samplePrompt);
  if (prompt.length === 0 || prompt.length >= generator.capacity) {
    refuse("--sample-prompt", `must have from 1 to ${generator.capacity - 1} tokens`, {
      given: `${prompt.length} tokens`,
      remedy: "give another text, or a longer --sequence",
    });
  }
  const take = async () => {
    const generation = generate(generator, prompt, { temperature: 0, maxTokens: most });
    for await (const _ of generation);
    return generation.summary!.text;
  };
  return { samples: { every: sampleEvery, take } };
}
