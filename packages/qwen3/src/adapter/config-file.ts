/** `adapter_config.json` as PEFT writes and reads it. */
import { join } from "node:path";
import * as Either from "fp-ts/lib/Either.js";
import type { Qwen3Config } from "../config/index.ts";
import { readJsonObject } from "../config/json-file.ts";
import {
  type Checked,
  type Problem,
  refuse,
  showGiven,
  unlessProblems,
  unsupportedProblem,
} from "../config/problems.ts";
import { type Adapter, targetModules } from "./adapter.ts";

export const adapterConfigName = "adapter_config.json";

/** @param base the directory of the model that the adapters belong to, as it was given */
export function adapterConfigText(config: Qwen3Config, adapter: Adapter, base: string): string {
  const content = {
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    base_model_name_or_path: base,
    r: adapter.rank,
    lora_alpha: adapter.alpha,
    lora_dropout: 0,
    target_modules: targetModules(config, adapter),
    bias: "none",
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    modules_to_save: null,
    use_rslora: false,
    use_dora: false,
  };
  return `${JSON.stringify(content, undefined, 2)}\n`;
}

export interface AdapterScale {
  readonly rank: number;
  readonly alpha: number;
}

/** What must have one value, or be absent: everything else would be computed otherwise. */
const only: readonly (readonly [key: string, allowed: readonly unknown[], meaning: string])[] = [
  ["peft_type", ["LORA"], "LoRA"],
  ["bias", ["none"], "none"],
  ["use_dora", [false], "without DoRA"],
  ["lora_bias", [false], "without a bias of its own"],
  ["fan_in_fan_out", [false], "false"],
  ["use_qalora", [false], "false"],
  ["use_bdlora", [false], "false"],
  // The others (pissa, olora, loftq, ...) change the base's weights as well.
  ["init_lora_weights", [true, false, "gaussian", "orthogonal", "eva"], "one that leaves the base as it is"],
];

/** What must be empty. */
const empty = [
  "layer_replication",
  "alora_invocation_tokens",
  "arrow_config",
  "kasa_config",
  "modules_to_save",
  "rank_pattern",
  "alpha_pattern",
  "trainable_token_indices",
  "target_parameters",
];

/** Left: absent, no JSON, rank or alpha of nonsense, and every feature of PEFT that is not supported. */
export function readAdapterConfig(directory: string): Checked<AdapterScale> {
  const file = join(directory, adapterConfigName);
  const object = readJsonObject(
    file,
    "give a directory with adapter_config.json and adapter_model.safetensors",
  );
  if (Either.isLeft(object)) return object;
  const content = object.right;
  const problems: Problem[] = [];
  const complain = (requirement: string, given: unknown) =>
    problems.push(
      unsupportedProblem(file, requirement, {
        given: showGiven(given),
        remedy: "merge the adapter with the program that trained it",
      }),
    );
  for (const [key, allowed, meaning] of only) {
    const value = content[key];
    if (value !== undefined && value !== null && !allowed.includes(value))
      complain(`${key} must be ${meaning}`, value);
  }
  for (const key of empty) {
    const value = content[key] ?? [];
    if (typeof value !== "object" || Object.keys(value as object).length > 0)
      complain(`${key} must be empty`, value);
  }
  const unsupported = unlessProblems(problems, () => undefined);
  if (Either.isLeft(unsupported)) return unsupported;
  const { r: rank, lora_alpha: alpha, use_rslora: byRoot } = content;
  if (typeof rank !== "number" || typeof alpha !== "number") {
    return refuse(file, "r and lora_alpha must be numbers", {
      given: `${showGiven(rank)} and ${showGiven(alpha)}`,
      remedy: "fetch the adapter again",
    });
  }
  // Rank-stabilised: alpha / sqrt(r) in place of alpha / r.
  return Either.right({ rank, alpha: byRoot === true ? alpha * Math.sqrt(rank) : alpha });
}
