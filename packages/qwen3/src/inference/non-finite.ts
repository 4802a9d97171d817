/** Logits that are no numbers have a cause far from where they are met; nearly always it is a weight. */
import * as Either from "fp-ts/lib/Either.js";
import { type Problems, WeftError } from "../config/problems.ts";
import type { LanguageModel } from "./language-model.ts";

/** The error to throw for logits that a sampler refused: with the names of broken weights, where there are any. */
export async function explainNonFinite(model: LanguageModel, problems: Problems): Promise<WeftError> {
  const weights = await model.checkWeights();
  return new WeftError(
    Either.isLeft(weights) ? ([...weights.left, ...problems] as unknown as Problems) : problems,
  );
}
