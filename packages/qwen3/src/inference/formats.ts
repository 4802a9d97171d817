/**
 * Which linears of a model are in NVFP4, which of those quantise what they are multiplied with, and who has decided it: the
 * checkpoint, or rules of the caller. The plan, the weights that are loaded and `weft explain` follow what is said here.
 */
import type { FormatReasons, QuantizedWeight } from "@weft/compiler";
import * as Either from "fp-ts/lib/Either.js";
import type { Qwen3Config } from "../config/index.ts";
import { type Checked, showGiven, unlessProblems, userProblem } from "../config/problems.ts";
import { applyRules, type FormatRule, linearFormats, showRule } from "../quantize/format-rules.ts";
import { headName, type LinearToEncode, linearsByRules, moduleOf, tableName } from "../quantize/items.ts";
import {
  type Checkpoint,
  type QuantizedLinear,
  type StoredWeights,
  storedWeights,
  type TensorEntry,
} from "../weights/index.ts";
import type { Activations, OpenOptions } from "./options.ts";

export interface Formats {
  /** A head in NVFP4 beside a plain table is a head of its own, though the model was tied when it was trained. */
  readonly config: Qwen3Config;
  readonly stored: StoredWeights;
  /** Plain linears that are encoded while they are loaded, by parameter. */
  readonly encode: ReadonlyMap<string, LinearToEncode>;
  /** How the plan reads a parameter that is in NVFP4. */
  readonly quantizedAs: (parameter: string) => QuantizedWeight | undefined;
  readonly reasons: (parameter: string) => FormatReasons;
  /** Plain rows of a head in NVFP4, by which its candidates are scored again; undefined where they are not. */
  readonly plainHead: PlainHead | undefined;
}

export interface PlainHead {
  /** The parameter: the table, or one beside the head. */
  readonly name: string;
  readonly entry: TensorEntry;
}

/** Of a head that is no table: its plain rows, beside its blocks. */
export const plainHeadName = `${headName}.plain`;

export type FormatOptions = Pick<OpenOptions, "quantize" | "activations" | "rescore" | "logits">;

/**
 * Left: linears that the checkpoint has broken; rules that are none, fit nothing or contradict the checkpoint; activations
 * in NVFP4 where no weight is.
 */
export function decideFormats(
  checkpoint: Checkpoint,
  given: Qwen3Config,
  { quantize = [], activations = "plain", rescore = true, logits = "last" }: FormatOptions = {},
): Checked<Formats> {
  const stored = storedWeights(checkpoint);
  if (Either.isLeft(stored)) return stored;
  const { linears, plain } = stored.right;
  const byRules = linearsByRules(stored.right, given.tiedEmbeddings, quantize);
  if (Either.isLeft(byRules)) return byRules;
  const { decided } = byRules.right;
  const encode = new Map(byRules.right.encode.map((one) => [one.name, one]));
  const inBlocks = [...linears.keys(), ...encode.keys()];
  const multiplied = activationsOf(activations, inBlocks.map(moduleOf));
  if (Either.isLeft(multiplied)) return multiplied;
  const ruleOf = (parameter: string) => multiplied.right.get(moduleOf(parameter));
  const hasOwnHead = inBlocks.includes(headName);
  const found = hasOwnHead ? plainRows(given.tiedEmbeddings, plain, encode) : undefined;
  const plainHead = rescore && logits === "last" ? found : undefined;
  const areQuantised = (parameter: string) => ruleOf(parameter)?.format === "nvfp4";
  return Either.right({
    config: hasOwnHead ? { ...given, tiedEmbeddings: false } : given,
    stored: stored.right,
    encode,
    plainHead,
    quantizedAs: (parameter) => {
      const linear = linears.get(parameter);
      if (linear === undefined && !encode.has(parameter)) return undefined;
      const scaled = linear?.input === undefined ? "nvfp4" : "nvfp4-scaled";
      return {
        hasTensorScale: linear === undefined || linear.stored !== undefined,
        activations: areQuantised(parameter) ? scaled : "none",
      };
    },
    reasons: (parameter) => {
      const linear = linears.get(parameter);
      const rule = decided.get(moduleOf(parameter));
      if (linear === undefined && !encode.has(parameter)) {
        const { dtype } = plain.get(parameter) ?? { dtype: "nothing" };
        const why = rule === undefined ? "no pattern asks for it" : `asked for by ${showRule(rule)}`;
        return { weight: `the checkpoint has it in ${dtype}, and ${why}` };
      }
      const weight =
        linear === undefined
          ? `asked for by ${showRule(rule!)}, encoded at load`
          : `the checkpoint has it so (${linear.format})`;
      const isHead = parameter === headName || (parameter === tableName && given.tiedEmbeddings);
      return {
        weight: isHead ? `${weight}; ${aboutRescoring(plainHead, found, logits)}` : weight,
        activations: aboutActivations(ruleOf(parameter), linear),
      };
    },
  });
}

/** Where a head's plain rows are, which is in the table of a tied model. */
function plainRows(
  tied: boolean,
  plain: StoredWeights["plain"],
  encode: Formats["encode"],
): PlainHead | undefined {
  const table = tied ? plain.get(tableName) : undefined;
  if (table !== undefined && !encode.has(tableName)) return { name: tableName, entry: table };
  const own = encode.get(headName);
  return own === undefined ? undefined : { name: plainHeadName, entry: own.entry };
}

function aboutRescoring(
  used: PlainHead | undefined,
  found: PlainHead | undefined,
  logits: "last" | "all",
): string {
  if (used !== undefined) return `candidates are scored again by ${used.name}`;
  const why =
    found === undefined
      ? "there are no plain rows"
      : logits === "all"
        ? "logits of all positions are wanted"
        : "it is switched off";
  return `candidates are not scored again: ${why}`;
}

function aboutActivations(rule: FormatRule | undefined, linear: QuantizedLinear | undefined): string {
  if (rule === undefined) return "nothing asks for activations in nvfp4";
  if (rule.format === "plain") return `asked for by ${showRule(rule)}`;
  const scale = linear?.input === undefined ? "scales of blocks alone" : "the checkpoint's input scale";
  return `asked for by ${showRule(rule)}, with ${scale}`;
}

/** The rule about the activations of each module in NVFP4, where there is one. */
function activationsOf(
  given: Activations | readonly FormatRule[],
  modules: readonly string[],
): Checked<ReadonlyMap<string, FormatRule>> {
  if (given === "plain") return Either.right(new Map());
  const isKnown = Array.isArray(given) || linearFormats.includes(given as Activations);
  const isNone = modules.length === 0 && given.length > 0;
  const problems = [
    ...(isKnown
      ? []
      : [
          userProblem("activations", `must be ${linearFormats.join(" or ")}, or rules`, {
            given: showGiven(given),
            remedy: "leave it out for plain",
          }),
        ]),
    ...(isKnown && isNone
      ? [
          userProblem("activations", "only what weights in nvfp4 are multiplied with can be quantised", {
            given: "no weight in nvfp4",
            remedy: "quantise the weights as well, or leave activations plain",
          }),
        ]
      : []),
  ];
  const rules = typeof given === "string" ? [{ pattern: "*", format: given }] : given;
  return Either.flatten(
    unlessProblems(problems, () => applyRules(rules, modules, "activations", "linears in nvfp4")),
  );
}
