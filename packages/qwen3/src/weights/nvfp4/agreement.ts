/** Holds what a checkpoint says of itself against its tensors. */
import * as Either from "fp-ts/lib/Either.js";
import { type Problem, type Problems, unlessProblems, userProblem } from "../../config/problems.ts";
import {
  type ModuleTest,
  moduleTest,
  type QuantizationConfig,
  readQuantizationConfigs,
} from "../../config/quantization/index.ts";
import type { Checkpoint } from "../checkpoint.ts";
import type { TensorEntry } from "../header.ts";
import { type StoredWeights, storedWeights } from "./find.ts";

const remedy = "fetch config and weights again; they are not of one checkpoint";
/** Of the tensors that contradict in one way so many are named. */
const mostNamed = 3;

/**
 * Left: the weights are in another format than `config` says, a module that it leaves out is quantised, or one that it
 * quantises is plain; each with the names of tensors.
 */
export function checkAgreement(
  config: QuantizationConfig,
  { linears, plain }: StoredWeights,
): Either.Either<Problems, void> {
  const { file, method } = config;
  const tests = patternsOf(config);
  if (Either.isLeft(tests)) return tests;
  const { isTarget, isIgnored } = tests.right;
  const problems: Problem[] = [];
  const report = (requirement: string, names: readonly string[]) => {
    if (names.length === 0) return;
    const rest = names.length - mostNamed;
    problems.push(
      userProblem(file, requirement, {
        path: names.slice(0, mostNamed).join(", ") + (rest > 0 ? ` and ${rest} more` : ""),
        remedy,
      }),
    );
  };
  const all = [...linears.values()];
  report(
    `the weights must be stored as ${method} has it`,
    all.filter(({ format }) => format !== method).map(({ codes }) => codes.name),
  );
  report(
    "what it leaves out must be plain",
    all.filter(({ name }) => isIgnored(moduleOf(name))).map(({ codes }) => codes.name),
  );
  report(
    "what it quantises must be quantised",
    [...plain.values()]
      .filter(isLinear)
      .filter(({ name }) => isTarget(moduleOf(name)) && !isIgnored(moduleOf(name)))
      .map(({ name }) => name),
  );
  return unlessProblems(problems, () => undefined);
}

/**
 * Holds the configurations of a directory against its checkpoint.
 *
 * Left: linears that are broken, as `storedWeights` has it, configurations as `readQuantizationConfigs`, and what does not
 * agree; all together.
 */
export function checkQuantization(directory: string, checkpoint: Checkpoint): Either.Either<Problems, void> {
  const problems: Problem[] = [];
  const stored = storedWeights(checkpoint);
  const configs = readQuantizationConfigs(directory);
  for (const one of [stored, configs]) if (Either.isLeft(one)) problems.push(...one.left);
  if (Either.isRight(stored) && Either.isRight(configs)) {
    for (const config of configs.right) {
      const agreed = checkAgreement(config, stored.right);
      if (Either.isLeft(agreed)) problems.push(...agreed.left);
    }
  }
  return unlessProblems(problems, () => undefined);
}

const moduleOf = (parameter: string) => parameter.slice(0, -".weight".length);

/** A matrix that is no table of embeddings. */
export const isLinear = ({ name, shape }: Pick<TensorEntry, "name" | "shape">) =>
  name.endsWith(".weight") && shape.length === 2 && !name.endsWith("embed_tokens.weight");

function patternsOf({
  file,
  method,
  targets,
  ignore,
}: QuantizationConfig): Either.Either<
  Problems,
  { readonly isTarget: ModuleTest; readonly isIgnored: ModuleTest }
> {
  const problems: Problem[] = [];
  const anyOf = (patterns: readonly string[]): ModuleTest => {
    const tests = patterns.flatMap((pattern): ModuleTest[] => {
      // A class of modules; what it is asked about are linears.
      if (pattern === "Linear") return [() => true];
      const test = moduleTest(pattern, file);
      if (Either.isRight(test)) {
        // ModelOpt leaves out whole subtrees by the name of their root.
        return method === "modelopt"
          ? [test.right, (module) => module.startsWith(`${pattern}.`)]
          : [test.right];
      }
      problems.push(...test.left);
      return [];
    });
    return (module) => tests.some((test) => test(module));
  };
  const isTarget = anyOf(targets);
  const isIgnored = anyOf(ignore);
  return unlessProblems(problems, () => ({ isTarget, isIgnored }));
}
