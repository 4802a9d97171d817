/** A small Qwen3's loss and gradients as a plan: every kernel that training brings is in it. */
import { compile, expandBlock, grad, type Plan } from "@weft/compiler";
import { axis, chain, first, meanCrossEntropy, orThrow } from "@weft/dsl";
import { axesOf, qwen3Model } from "@weft/qwen3";
import { configOf, type Shape } from "../support/qwen3-config.ts";

const tiny: Shape = {
  hidden: 16,
  layers: 1,
  heads: 4,
  kvHeads: 2,
  headDim: 8,
  intermediate: 24,
  vocab: 20,
};

export interface TrainingPlanOptions {
  readonly lossChunk?: number;
  readonly fusion?: boolean;
  readonly layers?: number;
}

export function trainingPlan({ layers = 1, ...options }: TrainingPlanOptions = {}): Plan {
  const config = configOf({ ...tiny, layers });
  const { vocab } = axesOf(config);
  const seq = axis("seq", { symbol: "seq", max: 12 });
  const graph = expandBlock(chain(first(qwen3Model(config)), meanCrossEntropy(vocab, seq)), {
    name: "training",
    lead: [],
    inputNames: ["tokens", "targets"],
    outputName: "loss",
  });
  const programs = [{ name: "step", graph, passes: [grad({ loss: "loss" })] }];
  return orThrow(compile(programs, { name: "training", record: false, ...options })).plan;
}
