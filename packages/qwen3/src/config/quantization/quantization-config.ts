/** What config.json and hf_quant_config.json say about quantised weights. The tensors themselves have the last word. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import * as Either from "fp-ts/lib/Either.js";
import { asJsonObject, type JsonObject, readJsonObject } from "../json-file.ts";
import {
  type Checked,
  type Problem,
  type Problems,
  refuse,
  showGiven,
  unlessProblems,
  unsupportedProblem,
  userProblem,
} from "../problems.ts";
import { compressedTensorsConfig } from "./compressed-tensors.ts";
import { modelOptConfig } from "./modelopt.ts";

export interface QuantizationConfig {
  /** Where it stands, for messages. */
  readonly file: string;
  readonly method: "compressed-tensors" | "modelopt";
  /** Whether activations were calibrated for NVFP4 as well (W4A4). */
  readonly activations: boolean;
  /** Patterns for modules, or `Linear` for all linears. */
  readonly targets: readonly string[];
  /** Patterns for modules that stay plain. */
  readonly ignore: readonly string[];
  /** How the cache of keys and values was meant to be stored; Weft does as its own options say. */
  readonly kvCache: "fp8" | undefined;
}

export const configKey = "quantization_config";
const refetch = "fetch the file again, or use a float32, float16 or bfloat16 checkpoint of the model";

/** Reads `quantization_config` of a parsed config.json. Left: another form than NVFP4, or one that makes no sense. */
export function parseQuantizationConfig(value: unknown, file: string): Checked<QuantizationConfig> {
  const object = asJsonObject(value, `${file}: ${configKey}`, refetch);
  if (Either.isLeft(object)) return object;
  const given = object.right;
  const method = given.quant_method;
  const place = `${file}: ${configKey}`;
  if (method === "compressed-tensors") return compressedTensorsConfig(given, place);
  if (method === "modelopt" || method === "modelopt_fp4") {
    // Some write the fields of hf_quant_config.json here, one level down.
    const inner = Object.hasOwn(given, "quantization")
      ? asJsonObject(given.quantization, place, refetch)
      : object;
    return Either.isLeft(inner) ? inner : modelOptConfig(inner.right, place);
  }
  return Either.left([
    unsupportedProblem(place, "quant_method must be compressed-tensors or modelopt", {
      given: showGiven(method),
      remedy: "use an NVFP4, float32, float16 or bfloat16 checkpoint of the model",
    }),
  ]);
}

const sidecar = "hf_quant_config.json";

/**
 * What a directory says, in up to two places; none where nothing is said. Left: as `parseQuantizationConfig`, and two
 * places that contradict each other.
 */
export function readQuantizationConfigs(
  directory: string,
): Either.Either<Problems, readonly QuantizationConfig[]> {
  const problems: Problem[] = [];
  const found: QuantizationConfig[] = [];
  const add = (config: Checked<QuantizationConfig>) => {
    if (Either.isLeft(config)) problems.push(...config.left);
    else found.push(config.right);
  };
  const file = join(directory, "config.json");
  if (existsSync(file)) {
    const json = readJsonObject(file, refetch);
    if (Either.isLeft(json)) return json;
    const value = json.right[configKey];
    if (value !== undefined && value !== null) add(parseQuantizationConfig(value, file));
  }
  const beside = join(directory, sidecar);
  if (existsSync(beside))
    add(Either.chain((json: JsonObject) => sidecarConfig(json, beside))(readJsonObject(beside, refetch)));
  const [one, other] = found;
  if (other !== undefined && (one!.method !== other.method || one!.activations !== other.activations)) {
    problems.push(
      userProblem(beside, `must agree with ${configKey} of config.json`, {
        given: `${sayConfig(other)}, there ${sayConfig(one!)}`,
        remedy: "remove the one that does not belong to these weights",
      }),
    );
  }
  return unlessProblems(problems, () => found);
}

const sayConfig = ({ method, activations }: QuantizationConfig) =>
  `${method} ${activations ? "with" : "without"} activations`;

function sidecarConfig(json: JsonObject, file: string): Checked<QuantizationConfig> {
  const { producer, quantization } = json;
  const inner = asJsonObject(quantization, file, refetch);
  if (Either.isLeft(inner)) {
    return refuse(file, "must hold an object named quantization", {
      given: showGiven(quantization ?? producer),
      remedy: refetch,
    });
  }
  return modelOptConfig(inner.right, `${file}: quantization`);
}
