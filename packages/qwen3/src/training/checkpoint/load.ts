/** Puts a checkpoint's tensors back into a model. */
import { join } from "node:path";
import * as Either from "fp-ts/lib/Either.js";
import { type Checked, type Problem, unlessProblems, userProblem } from "../../config/problems.ts";
import { bindWeights } from "../../weights/bind.ts";
import { openCheckpoint } from "../../weights/checkpoint.ts";
import type { TensorEntry } from "../../weights/header.ts";
import { readTensorBytes } from "../../weights/read.ts";
import type { StateTensor, Trainable } from "../trainable.ts";
import type { FoundCheckpoint } from "./find.ts";
import { checkIdentity } from "./identity.ts";
import type { RunIdentity, TrainerState } from "./manifest.ts";
import { optimizerFile, weightsFileOf } from "./save.ts";

/**
 * Restores every parameter and every optimizer state.
 *
 * Left: everything in which the run differs from the checkpoint's, and every tensor that is absent, new, or of another
 * shape or dtype; the model is untouched then.
 */
export async function restoreCheckpoint(
  { directory, manifest }: FoundCheckpoint,
  model: Trainable,
  identity: RunIdentity,
): Promise<Checked<TrainerState>> {
  const problems: Problem[] = [];
  const same = checkIdentity(directory, manifest.identity, identity);
  if (Either.isLeft(same)) problems.push(...same.left);
  const entries: TensorEntry[] = [];
  const collect = (file: string, tensors: readonly StateTensor[]) => {
    const bound = entriesOf(join(directory, file), tensors);
    if (Either.isLeft(bound)) problems.push(...bound.left);
    else entries.push(...bound.right);
  };
  collect(weightsFileOf(model), model.parameters());
  collect(optimizerFile, model.optimizerStates());
  const checked = unlessProblems(problems, () => manifest.state);
  if (Either.isLeft(checked)) return checked;
  for (const entry of entries) await model.writeState(entry.name, readTensorBytes(entry));
  return checked;
}

function entriesOf(file: string, tensors: readonly StateTensor[]): Checked<readonly TensorEntry[]> {
  const checkpoint = openCheckpoint(file);
  if (Either.isLeft(checkpoint)) return checkpoint;
  const required = tensors.map(({ name, shape, dtype }) => ({ name, shape, dtypes: [dtype] }));
  const bound = bindWeights(required, checkpoint.right);
  if (Either.isLeft(bound)) return bound;
  const unused = bound.right.unused.map((name) =>
    userProblem(file, "a saved tensor must belong to the model", {
      given: "one that the model does not have",
      path: name,
      remedy: "resume with the same model and optimizer",
    }),
  );
  return unlessProblems(unused, () => [...bound.right.tensors.values()]);
}
