/** What one pass of a training program reads. */
import { type Problem, userProblem, WeftError } from "../config/problems.ts";
import { SequencePacker } from "./data/pack.ts";
import { targetsOf } from "./data/targets.ts";

/**
 * One sequence, in which several documents may stand one behind the other. All arrays have one element for each token.
 * A place that is padding has no target and is of a document of its own, so that nobody sees it.
 */
export interface TrainingBatch {
  readonly tokens: Int32Array;
  /** The token that each position shall predict, or `ignoredTarget`, -1. */
  readonly targets: Int32Array;
  /** Each token's place within its document, from 0: what RoPE turns by. */
  readonly positions: Int32Array;
  /** Index of the first token of each token's document: the first key that it sees. */
  readonly starts: Int32Array;
}

/** A document, and which of its tokens are learnt: left out, all of them. */
export interface TrainingDocument {
  readonly tokens: ArrayLike<number>;
  /** Not 0 for a token that the model shall learn to produce; a prompt's tokens are 0. */
  readonly learnt?: ArrayLike<number | boolean>;
}

/**
 * Documents one behind the other. The target of a position is the token behind it, unless that token is of another
 * document or is not learnt: there is nothing to predict at the end of a document, and a prompt is only read.
 * @throws WeftError for no tokens, and for a mask of another length than its document
 */
export function batchOf(documents: readonly TrainingDocument[]): TrainingBatch {
  const problems: Problem[] = [];
  const length = documents.reduce((sum, { tokens }) => sum + tokens.length, 0);
  if (length === 0) problems.push(userProblem("batch", "documents must have tokens", { given: "none" }));
  documents.forEach(({ tokens, learnt }, index) => {
    if (learnt === undefined || learnt.length === tokens.length) return;
    problems.push(
      userProblem("batch", `a mask must have one element for each of its ${tokens.length} tokens`, {
        given: String(learnt.length),
        path: `document ${index}`,
      }),
    );
  });
  const [first, ...rest] = problems;
  if (first !== undefined) throw new WeftError([first, ...rest]);
  const packer = new SequencePacker(length);
  for (const document of documents) {
    const tokens = Int32Array.from(document.tokens);
    const learn = Uint8Array.from(tokens, (_, at) => Number(Boolean(document.learnt?.[at] ?? 1)));
    packer.add(tokens, targetsOf(tokens, learn));
  }
  return packer.finish();
}
