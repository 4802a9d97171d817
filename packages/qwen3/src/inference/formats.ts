/**
 * Which linears of a model are in NVFP4 or FP8, which of those in NVFP4 quantise what they are multiplied with, and who has
 * decided it: the checkpoint, or rules of the caller. The plan, the weights that are loaded and `weft explain` follow what is said here.
 */
import type { FormatReasons, WeightFormat } from "@weft/compiler";
import * as Either from "fp-ts/lib/Either.js";
import type { Qwen3Config } from "../config/index.ts";
import { type Checked, showGiven, unlessProblems, userProblem } from "../config/problems.ts";
import {
  activationFormats,
  applyRules,
  type FormatRule,
  formatsText,
  showRule,
} from "../quantize/format-rules.ts";
import {
  headName,
  type LinearToLoad,
  linearsByRules,
  moduleOf,
  plainHeadName,
  tableName,
} from "../quantize/items.ts";
import {
  type Checkpoint,
  type QuantizedLinear,
  type StoredWeights,
  storedWeights,
  type TensorEntry,
} from "../weights/index.ts";
import type { Activations, OpenOptions } from "./options.ts";

export interface Formats {
  /** A quantised head beside a plain table is a head of its own, though the model was tied when it was trained. */
  readonly config: Qwen3Config;
  readonly stored: StoredWeights;
  /** Plain linears that are encoded while they are loaded, by parameter. */
  readonly encode: ReadonlyMap<string, LinearToLoad>;
  /** How the plan reads a parameter that is quantised. */
  readonly quantizedAs: (parameter: string) => WeightFormat | undefined;
  readonly reasons: (parameter: string) => FormatReasons;
  /** Of what is quantised, by parameter: all that decides the numbers of its products, in words. */
  readonly encodings: ReadonlyMap<string, string>;
  /** Plain rows of a quantised head, by which its candidates are scored again; undefined where they are not. */
  readonly plainHead: PlainHead | undefined;
}

export interface PlainHead {
  /** The parameter: the table, or one beside the head. */
  readonly name: string;
  readonly entry: TensorEntry;
}

export type FormatOptions = Pick<
  OpenOptions,
  "quantize" | "fourOverSix" | "activations" | "rescore" | "logits"
>;

/**
 * Left: linears that the checkpoint has broken; rules that are none, fit nothing or contradict the checkpoint; activations
 * in NVFP4 where no weight is.
 */
export function decideFormats(
  checkpoint: Checkpoint,
  given: Qwen3Config,
  {
    quantize = [],
    fourOverSix = false,
    activations = "plain",
    rescore = true,
    logits = "last",
  }: FormatOptions = {},
): Checked<Formats> {
  const stored = storedWeights(checkpoint);
  if (Either.isLeft(stored)) return stored;
  const { linears, plain } = stored.right;
  const byRules = linearsByRules(stored.right, given.tiedEmbeddings, quantize, fourOverSix);
  if (Either.isLeft(byRules)) return byRules;
  const { decided } = byRules.right;
  const encode = new Map(byRules.right.encode.map((one) => [one.name, one]));
  const isFp8 = (parameter: string) => encode.get(parameter)?.format === "fp8";
  const inBlocks = [...linears.keys(), ...[...encode.keys()].filter((name) => !isFp8(name))];
  const multiplied = activationsOf(activations, inBlocks.map(moduleOf));
  if (Either.isLeft(multiplied)) return multiplied;
  const ruleOf = (parameter: string) => multiplied.right.get(moduleOf(parameter));
  const hasOwnHead = linears.has(headName) || encode.has(headName);
  const found = hasOwnHead ? plainRows(given, stored.right, encode) : undefined;
  const plainHead = rescore && logits === "last" ? found : undefined;
  const areQuantised = (parameter: string) => ruleOf(parameter)?.format === "nvfp4";
  const encodingOf = (parameter: string): [string, string] => {
    const made = encode.get(parameter);
    const stored = made === undefined ? "stored" : made.format;
    const search = made?.fourOverSix === true && made.format === "nvfp4" ? ", four over six" : "";
    return [parameter, `${stored}${search}${areQuantised(parameter) ? ", activations in nvfp4" : ""}`];
  };
  return Either.right({
    encodings: new Map([...linears.keys(), ...encode.keys()].map(encodingOf)),
    config: hasOwnHead ? { ...given, tiedEmbeddings: false } : given,
    stored: stored.right,
    encode,
    plainHead,
    quantizedAs: (parameter) => {
      const linear = linears.get(parameter);
      if (linear === undefined && !encode.has(parameter)) return undefined;
      if (isFp8(parameter)) return { rowScales: true };
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
        activations: isFp8(parameter)
          ? "fp8 is of weights alone"
          : aboutActivations(ruleOf(parameter), linear),
      };
    },
  });
}

/**
 * Where a head's plain rows are: in the table of a model that is tied, or was when its checkpoint was quantised; in what is
 * encoded now; or in a tensor that the checkpoint keeps for it.
 */
function plainRows(
  { tiedEmbeddings, plainHead }: Qwen3Config,
  { linears, plain }: StoredWeights,
  encode: Formats["encode"],
): PlainHead | undefined {
  const isTable = tiedEmbeddings || (linears.has(headName) && plainHead === tableName);
  const table = isTable && !encode.has(tableName) ? plain.get(tableName) : undefined;
  if (table !== undefined) return { name: tableName, entry: table };
  const own = encode.get(headName)?.entry ?? plain.get(plainHeadName);
  return own === undefined ? undefined : { name: plainHeadName, entry: own };
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
  const isKnown = Array.isArray(given) || activationFormats.includes(given as Activations);
  const isNone = modules.length === 0 && given.length > 0;
  const problems = [
    ...(isKnown
      ? []
      : [
          userProblem("activations", `must be ${formatsText(activationFormats)}, or rules`, {
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
    unlessProblems(problems, () =>
      applyRules(rules, modules, "activations", "linears in nvfp4", activationFormats),
    ),
  );
}
