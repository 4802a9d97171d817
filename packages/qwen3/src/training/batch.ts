/** What one pass of a training program reads, and where the label shift and the masks are made. */
import { type Problem, userProblem, WeftError } from "../config/problems.ts";

/** Stands for a target that is not counted. */
export const ignoredTarget = -1;

/**
 * One sequence, in which several documents may stand one behind the other. All arrays have one element for each token.
 */
export interface TrainingBatch {
  readonly tokens: Int32Array;
  /** The token that each position shall predict, or `ignoredTarget`. */
  readonly targets: Int32Array;
  /** Each token's place within its document. */
  readonly positions: Int32Array;
  /** Index of the first token of each token's document. */
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
  const batch = {
    tokens: new Int32Array(length),
    targets: new Int32Array(length).fill(ignoredTarget),
    positions: new Int32Array(length),
    starts: new Int32Array(length),
  };
  let start = 0;
  for (const { tokens, learnt } of documents) {
    for (let at = 0; at < tokens.length; at++) {
      batch.tokens[start + at] = tokens[at]!;
      batch.positions[start + at] = at;
      batch.starts[start + at] = start;
      const isLearnt = at + 1 < tokens.length && (learnt === undefined || Boolean(learnt[at + 1]));
      if (isLearnt) batch.targets[start + at] = tokens[at + 1]!;
    }
    start += tokens.length;
  }
  return batch;
}
