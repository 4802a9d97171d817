/** A TARGET that is a model: a directory as Hugging Face writes it, or a configuration alone. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { extname, join } from "node:path";
import { type AnyBlock, asBlock, orThrow } from "@weft/dsl";
import { parseQwen3Config, type Qwen3Config, qwen3Model, readQwen3Config } from "@weft/qwen3";
import { configObject } from "../model/config-object.ts";
import { remark } from "../terminal/output.ts";
import { refuse } from "../terminal/refuse.ts";

export interface ModelTarget {
  readonly kind: "model";
  /** As the user named it. */
  readonly path: string;
  /** Undefined where only a configuration was given. */
  readonly directory: string | undefined;
  readonly config: Qwen3Config;
  readonly block: AnyBlock;
}

export function directoryTarget(directory: string): ModelTarget {
  return targetOf(directory, directory, orThrow(readQwen3Config(directory)));
}

/** A config.json by itself: the plan of a model needs no more, and none of the files that may lie beside it are read. */
export function configTarget(file: string): ModelTarget {
  const json = configObject(file);
  const given = looksLikePlan(json) ? "a plan" : "format" in json ? "a graph" : undefined;
  if (given !== undefined) {
    refuse(file, "must be the configuration of a model, as a TARGET in JSON", {
      given,
      remedy: `give its config.json${given === "a plan" ? "; weft inspect looks at plans" : ""}`,
    });
  }
  return targetOf(file, undefined, orThrow(parseQwen3Config(json, file)));
}

/** Configurations take a few kilobytes; plans, which are asked about as well, a hundred megabytes. */
const largestConfiguration = 1 << 20;

/** A config.json is a TARGET as a model directory is; all other JSON is something that was written by a command. */
export function isConfiguration(file: string): boolean {
  if (extname(file) !== ".json") return false;
  const found = statSync(file, { throwIfNoEntry: false });
  if (found?.isFile() !== true || found.size > largestConfiguration) return false;
  try {
    const json: unknown = JSON.parse(readFileSync(file, "utf8"));
    return typeof json === "object" && json !== null && "hidden_size" in json;
  } catch {
    return false;
  }
}

/** Whether a JSON object is a plan, of whatever version. */
export function looksLikePlan(json: Readonly<Record<string, unknown>>): boolean {
  return "programs" in json && "buffers" in json;
}

const targetOf = (path: string, directory: string | undefined, config: Qwen3Config): ModelTarget => ({
  kind: "model",
  path,
  directory,
  config,
  block: asBlock(qwen3Model(config), "model"),
});

const weightFiles = ["model.safetensors", "model.safetensors.index.json"];

export function hasWeights(target: ModelTarget): target is ModelTarget & { readonly directory: string } {
  const { directory } = target;
  return directory !== undefined && weightFiles.some((name) => existsSync(join(directory, name)));
}

/** The plan of a model that is not fetched yet is worth seeing: its configuration is all that it takes. */
export function remarkNoWeights({ path, directory }: ModelTarget, stored: string): void {
  const from = directory === undefined ? path : "config.json";
  remark(`${path} holds no weights; planned from ${from} with ${stored} weights`);
}
