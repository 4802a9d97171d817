/** Which tensors of a checkpoint are quantised, and which are taken as they are. */
import { nvfp4Block } from "@weft/dsl";
import * as Either from "fp-ts/lib/Either.js";
import {
  type Checked,
  type Problem,
  unlessProblems,
  unsupportedProblem,
  userProblem,
} from "../config/problems.ts";
import { type ModuleTest, moduleTest } from "../config/quantization/index.ts";
import { embeddingTable } from "../config/qwen3-config.ts";
import type { Checkpoint, StoredWeights, TensorDtype, TensorEntry } from "../weights/index.ts";
import { applyRules, type FormatRule, type LinearFormat, nearestPattern, showRule } from "./format-rules.ts";
import type { FloatDtype } from "./rows.ts";

export interface Selection {
  /** Patterns for modules that stay as they are, as `moduleTest` reads them. */
  readonly exclude: readonly string[];
  /** Also the head; where it is the embedding and that stays plain, it gets weights of its own. */
  readonly head: boolean;
  /** Also the table of embeddings; a tied head reads its blocks. */
  readonly embedding: boolean;
  /** A head that is quantised and is no table stays beside its codes as it was, so that candidates can be scored again. */
  readonly plainHead: boolean;
}

interface Candidate {
  /** The parameter that it becomes, `M.weight`. */
  readonly name: string;
  /** Where its values are; those of a tied head are the embedding's. */
  readonly entry: TensorEntry;
}

/** A plain linear that will be quantised. */
export interface LinearToEncode extends Candidate {
  readonly dtype: FloatDtype;
}

/** The same while a checkpoint is loaded. */
export interface LinearToLoad extends LinearToEncode {
  readonly format: Exclude<LinearFormat, "plain">;
  /** Of NVFP4: tries for each block whether 4 or 6 as its largest code is nearer. */
  readonly fourOverSix: boolean;
}

export const tableName = embeddingTable;
export const headName = "lm_head.weight";
/** Of a quantised head that is no table: its plain rows beside its codes; a checkpoint may have a tensor of that name. */
export const plainHeadName = `${headName}.plain`;
const inBlocks = (name: string) => name.startsWith("model.layers.");
export const moduleOf = (parameter: string) => parameter.slice(0, -".weight".length);
const floats: Partial<Readonly<Record<TensorDtype, FloatDtype>>> = { F32: "f32", F16: "f16", BF16: "bf16" };

/** What of a checkpoint could be quantised: linears of blocks, the table, and a head; that of a tied model is the table. */
function plainCandidates({ plain, linears }: StoredWeights, tiedHead: boolean): Candidate[] {
  const blocks = [...plain.values()]
    .filter(({ name, shape }) => inBlocks(name) && name.endsWith(".weight") && shape.length === 2)
    .map((entry): Candidate => ({ name: entry.name, entry }));
  const table = plain.get(tableName);
  const head = linears.has(headName) ? undefined : (plain.get(headName) ?? (tiedHead ? table : undefined));
  return [
    ...blocks,
    ...(table === undefined ? [] : [{ name: tableName, entry: table }]),
    ...(head === undefined ? [] : [{ name: headName, entry: head }]),
  ];
}

/**
 * All linears of the blocks of a plain checkpoint without those that are excluded, head and embedding where they are asked
 * for. What an already quantised checkpoint keeps plain was meant to be, and stays so.
 *
 * Left: a pattern that fits no linear, one that fits a linear which is quantised already, rows that are no whole blocks,
 * a type that is no float; all together.
 */
export function linearsToEncode(
  checkpoint: Checkpoint,
  stored: StoredWeights,
  { exclude, head, embedding }: Selection,
): Checked<readonly LinearToEncode[]> {
  const { linears } = stored;
  const candidates = plainCandidates(stored, !embedding).filter(({ name }) =>
    name === tableName ? embedding : name === headName ? head : linears.size === 0,
  );
  const problems: Problem[] = [];
  const left = excluding(exclude, candidates, [...linears.keys()], problems);
  problems.push(...cannotBeEncoded(left, (module) => `exclude ${module}`));
  if (left.length === 0 && linears.size === 0 && problems.length === 0) {
    problems.push(
      userProblem(checkpoint.source, "must hold linears of blocks to quantise", {
        given: exclude.length === 0 ? "none named model.layers.N..." : "all of them are excluded",
        remedy: exclude.length === 0 ? "check that this is a Qwen3 checkpoint" : "exclude fewer",
      }),
    );
  }
  return unlessProblems(problems, () => left.map(toEncode));
}

/** Linears of a checkpoint by rules: what is to be encoded, and the rule that decided about each module that one fits. */
export interface LinearsByRules {
  readonly encode: readonly LinearToLoad[];
  readonly decided: ReadonlyMap<string, FormatRule>;
}

/**
 * What rules say of a checkpoint's linears, its table and its head (`lm_head`, which becomes weights of its own where it was
 * the table). What is quantised already stays so.
 *
 * Left: as `applyRules`; another format for what the checkpoint has quantised, or for the head of a table that is quantised;
 * rows that are no whole blocks of NVFP4, a type that is no float; all together.
 */
export function linearsByRules(
  stored: StoredWeights,
  tied: boolean,
  rules: readonly FormatRule[],
  fourOverSix = false,
): Checked<LinearsByRules> {
  const candidates = plainCandidates(stored, tied);
  const quantized = [...stored.linears.keys()];
  const modules = [...new Set([...candidates.map(({ name }) => name), ...quantized])].map(moduleOf);
  const applied = applyRules(rules, modules, "quantize", "linears of the model");
  if (Either.isLeft(applied)) return applied;
  const decided = applied.right;
  const meant = (name: string): LinearFormat | undefined => decided.get(moduleOf(name))?.format;
  const problems: Problem[] = quantized
    .filter((name) => (meant(name) ?? "nvfp4") !== "nvfp4")
    .map((name) => keptCodes("quantize", showRule(decided.get(moduleOf(name))!), name));
  // A tied head reads the table's codes.
  const ofTable = stored.linears.has(tableName) ? "nvfp4" : (meant(tableName) ?? "plain");
  const isShared = tied && ofTable !== "plain";
  if (isShared && (meant(headName) ?? ofTable) !== ofTable) {
    problems.push(
      userProblem("quantize", "a head that is the table of embeddings has the table's format", {
        given: showRule(decided.get(moduleOf(headName))!),
        path: headName,
        remedy: `leave ${moduleOf(tableName)} plain, or leave the rule out`,
      }),
    );
  }
  const isTable = ({ name, entry }: Candidate) => isShared && name === headName && entry.name === tableName;
  const wanted = (["nvfp4", "fp8"] as const).map((format) => ({
    format,
    linears: candidates.filter((one) => meant(one.name) === format && !isTable(one)),
  }));
  for (const { format, linears } of wanted)
    problems.push(...cannotBeEncoded(linears, (module) => `${module}=plain`, format));
  return unlessProblems(problems, () => ({
    encode: wanted.flatMap(({ format, linears }) =>
      linears.map((one) => ({ ...toEncode(one), format, fourOverSix })),
    ),
    decided,
  }));
}

const toEncode = (one: Candidate): LinearToEncode => ({ ...one, dtype: floats[one.entry.dtype]! });

/** @param leftPlain how it is said that a module stays as it is */
function cannotBeEncoded(
  candidates: readonly Candidate[],
  leftPlain: (module: string) => string,
  format: LinearToLoad["format"] = "nvfp4",
): Problem[] {
  const multiple = format === "nvfp4" ? nvfp4Block : 1;
  return candidates.flatMap(({ name, entry }) => {
    const columns = entry.shape[1]!;
    const isWhole = columns % multiple === 0 && columns !== 0 && entry.shape[0] !== 0;
    const remedy = leftPlain(moduleOf(name));
    return [
      ...(isWhole
        ? []
        : [
            userProblem(entry.file, `K, the last axis, must be a positive multiple of ${multiple}`, {
              given: `[${entry.shape.join(", ")}]`,
              path: name,
              remedy: `leave it plain: ${remedy}`,
            }),
          ]),
      ...(floats[entry.dtype] !== undefined
        ? []
        : [
            unsupportedProblem(entry.file, `only ${Object.keys(floats).join(", ")} can be quantised`, {
              given: entry.dtype,
              path: name,
              remedy: `leave it as it is: ${remedy}`,
            }),
          ]),
    ];
  });
}

const keptCodes = (source: string, given: string, path: string): Problem =>
  userProblem(source, "must be left out for a checkpoint that is quantised already: its codes are kept", {
    given,
    path,
    remedy: "leave it out, or begin with a plain checkpoint",
  });

function excluding(
  patterns: readonly string[],
  candidates: readonly Candidate[],
  quantized: readonly string[],
  problems: Problem[],
): readonly Candidate[] {
  const tests: ModuleTest[] = [];
  for (const pattern of patterns) {
    const test = moduleTest(pattern, "exclude");
    if (Either.isLeft(test)) {
      problems.push(...test.left);
      continue;
    }
    tests.push(test.right);
    const [taken] = quantized;
    if (taken !== undefined) {
      problems.push(keptCodes("exclude", pattern, taken));
    } else if (!candidates.some(({ name }) => test.right(moduleOf(name)))) {
      const near = nearestPattern(
        pattern,
        candidates.map(({ name }) => moduleOf(name)),
      );
      problems.push(
        userProblem("exclude", "must name a linear that would be quantised", {
          given: pattern,
          remedy: near === undefined ? "use wildcards: '*.down_proj'" : `did you mean ${near}?`,
        }),
      );
    }
  }
  return candidates.filter(({ name }) => !tests.some((test) => test(moduleOf(name))));
}
