/** A run of the small model on a small text; the same in a test and in a process that is killed. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import * as Either from "fp-ts/lib/Either.js";
import { openTokenizer } from "../../../packages/qwen3/src/text/tokenizer.ts";
import { type BatchOptions, batchStream } from "../../../packages/qwen3/src/training/data/batches.ts";
import { type PreparedData, prepareData } from "../../../packages/qwen3/src/training/data/prepare.ts";
import { splitDocuments } from "../../../packages/qwen3/src/training/data/split.ts";
import { train } from "../../../packages/qwen3/src/training/trainer.ts";
import type { TrainOptions } from "../../../packages/qwen3/src/training/trainer-options.ts";
import { Bigram } from "./bigram.ts";

const fixtures = join(import.meta.dirname, "../../fixtures");

function right<A>(checked: Either.Either<unknown, A>): A {
  if (Either.isLeft(checked)) throw new Error(JSON.stringify(checked.left));
  return checked.right;
}

export async function smallData(folder: string): Promise<PreparedData> {
  const file = join(folder, "data.tsv");
  const lines = Array.from({ length: 60 }, (_, n) => `${n % 10} plus ${n % 7} is\t${(n % 10) + (n % 7)}`);
  writeFileSync(file, lines.join("\n"));
  const tokenizer = right(openTokenizer(join(fixtures, "tiny")));
  return right(await prepareData({ files: [file], tokenizer, vocabSize: 320, cache: join(folder, "cache") }));
}

export async function runOptions(
  folder: string,
  changes: Partial<TrainOptions> & { readonly batches?: Partial<BatchOptions> } = {},
): Promise<TrainOptions & { readonly model: Bigram }> {
  const { tokens } = await smallData(folder);
  const { training, heldOut } = right(splitDocuments(tokens, { share: 0.2, by: "last" }));
  const { batches, ...rest } = changes;
  return {
    folder: join(folder, "run"),
    model: new Bigram(),
    data: right(batchStream(tokens, training, { length: 32, shuffleSeed: 3, ...batches })),
    steps: 12,
    accumulate: 2,
    learningRate: (step) => 0.3 / Math.sqrt(step),
    schedule: { kind: "inverse square root", peak: 0.3 },
    seed: 3,
    evaluation: { data: right(batchStream(tokens, heldOut, { length: 32 })), every: 5 },
    checkpoints: { everySteps: 3 },
    ...rest,
  } as TrainOptions & { readonly model: Bigram };
}

// As a process: run.ts FOLDER STEPS; resumes what is there and says each step.
if (process.argv[1] === import.meta.filename) {
  const [folder, steps] = process.argv.slice(2);
  const options = await runOptions(folder!, {
    steps: Number(steps),
    resume: true,
    checkpoints: { everySteps: 1, keep: 2 },
    onEvent: (event) => event.kind !== "damaged" && process.stdout.write(`${event.kind}\n`),
  });
  process.stdout.write("ready\n");
  right(await train(options));
  process.stdout.write("finished\n");
}
