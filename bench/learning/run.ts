/**
 * What weights in NVFP4 and moments in fewer bits cost in what is learnt: the quickstart's task with each way to keep
 * them, side by side. Writes
 * losses and scores to bench/results, and a picture of the losses beside them.
 *
 *     npm run bench:learning -- [--steps 600]
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { openQwen3, TrainableModel, type TrainingOptions } from "@weft/qwen3";
import { score } from "../../examples/quickstart/ask.ts";
import { learn } from "../../examples/quickstart/learn.ts";
import { makeQuestions } from "../../examples/quickstart/questions.ts";
import { writeResults } from "../support/results.ts";
import { table } from "../support/table.ts";
import { type Learnt, writePicture } from "./picture.ts";

const { values } = parseArgs({ options: { steps: { type: "string", default: "600" } } });
const steps = Number(values.steps);
/** Updates whose mean is the final loss. */
const last = 50;
/** NVFP4 must come so near to the loss of f32. */
const most = 1.05;

type Weights = Pick<TrainingOptions, "quantize" | "trainedDtype" | "moments">;

const ways: Readonly<Record<string, Weights>> = {
  f32: {},
  "f32, read in NVFP4": { quantize: {} },
  "f32, read in NVFP4, four over six": { quantize: { fourOverSix: true } },
  bf16: { trainedDtype: "bf16" },
  "bf16, read in NVFP4": { trainedDtype: "bf16", quantize: {} },
  "f32, read in NVFP4, moments in int8": { quantize: {}, moments: "int8" },
  "f32, read in NVFP4, moments in NVFP4": { quantize: {}, moments: "nvfp4" },
};

const mean = (numbers: readonly number[]) => numbers.reduce((sum, one) => sum + one, 0) / numbers.length;

async function learntBy(way: string, weights: Weights): Promise<Learnt> {
  const folder = mkdtempSync(join(tmpdir(), "weft-learning-"));
  try {
    const { learnt, heldOut } = makeQuestions({ seed: 1 });
    const losses: number[] = [];
    let bytes = 0;
    const directory = await learn({
      folder,
      questions: learnt,
      steps,
      weights,
      onReady: (model) => {
        const { parameters, blocks = 0, optimizer } = new TrainableModel(model, () => undefined).memory();
        bytes = parameters! + blocks + optimizer!;
      },
      onStep: ({ loss }) => losses.push(loss ?? Number.NaN),
    });
    using model = await openQwen3(directory, { capacity: 128, chunk: 64, planCache: false });
    const scores = await score(model, heldOut);
    return { way, losses, finalLoss: mean(losses.slice(-last)), scores, bytes };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const runs: Learnt[] = [];
for (const [way, weights] of Object.entries(ways)) {
  process.stderr.write(`${way}: ${steps} updates\n`);
  runs.push(await learntBy(way, weights));
  // What is known is kept: a run takes minutes.
  const file = writeResults("learning", { steps, last, runs });
  await writePicture(file.replace(/json$/, "svg"), runs);
  process.stderr.write(`${file}\n`);
}
const base = runs[0]!.finalLoss;
const shown = runs.map(({ way, finalLoss, scores, bytes }) => [
  way,
  finalLoss.toFixed(4),
  (finalLoss / base).toFixed(3),
  ...["fact", "sum", "new sum"].map((kind) => {
    const own = scores.find((one) => one.kind === kind);
    return own === undefined ? "" : `${own.right} of ${own.asked}`;
  }),
  (bytes / 1e6).toFixed(2),
]);
const titles = ["weights", `loss of the last ${last}`, "to f32", "facts", "sums", "new sums", "MB"];
process.stdout.write(`${table([titles, ...shown])}\n`);
const quantized = runs.find(({ way }) => way === "f32, read in NVFP4")!;
if (!(quantized.finalLoss <= most * base)) process.exitCode = 1;
