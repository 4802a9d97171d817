/** Checks of token ids before they reach a model: an id outside the table would be read from foreign memory. */
import * as Either from "fp-ts/lib/Either.js";
import {
  type Problem,
  type Problems,
  refuse,
  showGiven,
  unlessProblems,
  userProblem,
} from "../config/problems.ts";

/** Wrong ids that are named one by one. */
const mostReported = 5;

/**
 * The ids, when there is at least one and each is an integer in `[0, vocabSize)`.
 *
 * @param source what to name in the message: `--tokens`, `prompt`
 */
export function checkTokenIds(
  ids: readonly number[],
  vocabSize: number,
  source: string,
): Either.Either<Problems, readonly number[]> {
  if (ids.length === 0) {
    return refuse(source, "must hold at least one token", {
      given: "none",
      remedy: "give a prompt that is not empty",
    });
  }
  const wrong = ids
    .map((id, position) => ({ id, position }))
    .filter(({ id }) => !Number.isInteger(id) || id < 0 || id >= vocabSize);
  const problems: Problem[] = wrong.slice(0, mostReported).map(({ id, position }) =>
    userProblem(source, `a token id must be an integer from 0 to ${vocabSize - 1}`, {
      given: `${showGiven(id)} at position ${position}`,
      remedy: "use the ids of this model's tokenizer",
    }),
  );
  if (wrong.length > mostReported) {
    problems.push(
      userProblem(source, "all token ids must be in range", {
        given: `${wrong.length - mostReported} more that are not`,
        remedy: "use the ids of this model's tokenizer",
      }),
    );
  }
  return unlessProblems(problems, () => ids);
}

/** A tokenizer whose ids go beyond the model's table belongs to another model. */
export function checkTokenizerFits(
  tokenizer: { readonly file: string; readonly idLimit: number },
  vocabSize: number,
): Either.Either<Problems, void> {
  return tokenizer.idLimit <= vocabSize
    ? Either.right(undefined)
    : refuse(tokenizer.file, `ids must be below vocab_size of config.json, ${vocabSize}`, {
        given: `ids up to ${tokenizer.idLimit - 1}`,
        remedy: "use the tokenizer.json that belongs to this checkpoint",
      });
}
