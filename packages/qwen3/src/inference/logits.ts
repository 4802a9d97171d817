/** Logits of every position, and the residual stream: for comparison with other implementations. */
import { type Problem, showGiven, userProblem, WeftError } from "../config/problems.ts";
import { checkTokenIds } from "../text/token-ids.ts";
import { orRaise } from "./checkpoint-text.ts";
import type { OpenOptions } from "./options.ts";
import type { Qwen3 } from "./qwen3.ts";

/** All tokens in one step, one step for each, or steps of so many on what is cached: the values agree. */
export type LogitsMode = "whole" | "step" | { readonly chunk: number };

export interface LogitsOptions {
  /** Default `whole`. */
  readonly mode?: LogitsMode | undefined;
  /** Also give what the model was opened to observe. Default false. */
  readonly hidden?: boolean | undefined;
}

export interface LogitsResult {
  readonly tokens: readonly number[];
  /** For each position `[vocab]`. */
  readonly logits: readonly Float32Array[];
  /** By block path (`model.layers.0`: the residual stream behind layer 0), for each position. */
  readonly hidden: Readonly<Record<string, readonly Float32Array[]>>;
}

/**
 * The options with which a model has to be opened for `logitsOf`.
 * @param layers number of layers to observe, where the residual stream is wanted
 */
export function logitsOpenOptions(
  tokenCount: number,
  mode: LogitsMode = "whole",
  layers = 0,
): Required<Pick<OpenOptions, "chunk" | "logits" | "observe">> & Pick<OpenOptions, "capacity"> {
  const chunk = stepSize(mode, tokenCount);
  return {
    capacity: tokenCount,
    chunk,
    logits: "all",
    observe:
      layers === 0
        ? []
        : [...Array.from({ length: layers }, (_, layer) => `model.layers.${layer}`), "model.norm"],
  };
}

/**
 * Runs tokens from an empty context and keeps what the model says at every position.
 * @throws WeftError for no or foreign tokens, and for a mode that the model was not opened for, with what to open it with.
 * @example
 * using model = await openQwen3(directory, logitsOpenOptions(tokens.length, "whole", layers));
 * const { logits, hidden } = await logitsOf(model, tokens, { hidden: true });
 */
export async function logitsOf(
  model: Qwen3,
  tokens: readonly number[],
  { mode = "whole", hidden = false }: LogitsOptions = {},
): Promise<LogitsResult> {
  orRaise(checkTokenIds(tokens, model.config.vocabSize, "tokens"));
  const step = stepSize(mode, tokens.length);
  checkMode(model, step, hidden);
  const observed = hidden ? model.observed.map(({ name }) => name) : [];
  const rows = new Map<string, Float32Array[]>(["logits", ...observed].map((name) => [name, []]));
  using context = model.createContext();
  await context.run(tokens, step, [...rows.keys()], {}, ({ count, outputs }) => {
    for (const [name, kept] of rows) {
      const values = outputs[name]!;
      const width = values.length / count;
      for (let row = 0; row < count; row++) kept.push(values.slice(row * width, (row + 1) * width));
    }
  });
  return {
    tokens: [...tokens],
    logits: rows.get("logits")!,
    hidden: Object.fromEntries(observed.map((name) => [name, rows.get(name)!])),
  };
}

function stepSize(mode: LogitsMode, tokenCount: number): number {
  if (mode === "whole") return tokenCount;
  if (mode === "step") return 1;
  if (Number.isSafeInteger(mode.chunk) && mode.chunk >= 1) return Math.min(mode.chunk, tokenCount);
  throw new WeftError([
    userProblem("logits", "the chunk must be an integer of at least 1", {
      given: showGiven(mode.chunk),
      remedy: 'use the mode "step" for one token at a time',
    }),
  ]);
}

function checkMode(model: Qwen3, step: number, hidden: boolean): void {
  const problems: Problem[] = [];
  const { chunk, logits } = model.options;
  if (step > chunk) {
    problems.push(
      userProblem("logits", `steps of ${step} tokens need a model opened with a chunk of that size`, {
        given: `a chunk of ${chunk}`,
        remedy: "open it with logitsOpenOptions, or give a smaller chunk",
      }),
    );
  }
  if (step > 1 && logits !== "all") {
    problems.push(
      userProblem("logits", 'logits of every position need a model opened with logits "all"', {
        given: `"${logits}"`,
        remedy: 'open it with logitsOpenOptions, or use the mode "step"',
      }),
    );
  }
  if (hidden && model.observed.length === 0) {
    problems.push(
      userProblem("logits", "the residual stream needs a model opened to observe it", {
        given: "no observed paths",
        remedy: "open it with logitsOpenOptions and the number of layers",
      }),
    );
  }
  const [first, ...rest] = problems;
  if (first !== undefined) throw new WeftError([first, ...rest]);
}
