/** Random weights of a model that learns from nothing. */
import { type BlockLike, maxSize, type Parameter, philox, streamOf } from "@weft/dsl";
import type { DataWeight } from "@weft/runtime";
import type { Qwen3Config } from "../config/index.ts";
import { orRaise } from "../inference/checkpoint-text.ts";
import { modelParameters, ownModel } from "../inference/prepare.ts";

export interface InitialWeightsOptions {
  /** An integer from 0 to 2^53 - 1. */
  readonly seed: number;
  /** Standard deviation of matrices: `initializer_range` of a config.json. Default 0.02. */
  readonly initializerRange?: number;
  /** A model of the caller's own in the place of Qwen3's. */
  readonly model?: BlockLike;
}

/**
 * As Hugging Face initialises Qwen3: matrices and the embedding are normal around 0, norms are 1, biases 0. The numbers
 * of a parameter depend on the seed, its name and its size only, so that layers can be added or made in any order.
 */
export function initialWeights(
  config: Qwen3Config,
  { seed, initializerRange = 0.02, model }: InitialWeightsOptions,
): (name: string) => DataWeight | undefined {
  const parameters = parametersByName(config, model);
  return (name) => {
    const parameter = parameters.get(name);
    return parameter && initialWeight(parameter, seed, initializerRange);
  };
}

/**
 * The same weights before they have any numbers, to plan with: a plan asks for dtypes and shapes, many times, and the
 * numbers of a large model take minutes.
 */
export function unfilledWeights(
  config: Qwen3Config,
  { model }: Pick<InitialWeightsOptions, "model"> = {},
): (name: string) => DataWeight | undefined {
  const parameters = parametersByName(config, model);
  return (name) => {
    const parameter = parameters.get(name);
    if (parameter === undefined) return undefined;
    const shape = shapeOf(parameter);
    return {
      kind: "data",
      dtype: "f32",
      shape,
      get data() {
        return new Float32Array(elementsOf(shape));
      },
    };
  };
}

const parametersByName = (config: Qwen3Config, model: BlockLike | undefined) =>
  new Map(orRaise(modelParameters(config, orRaise(ownModel(model, config)))).map((one) => [one.name, one]));

const shapeOf = ({ axes }: Parameter) => axes.map(({ size }) => maxSize(size));
const elementsOf = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1);

function initialWeight(parameter: Parameter, seed: number, range: number): DataWeight {
  const { name } = parameter;
  const shape = shapeOf(parameter);
  const data = new Float32Array(elementsOf(shape));
  if (name.endsWith(".bias")) data.fill(0);
  else if (shape.length === 1) data.fill(1);
  else fillNormal(data, range, name, seed);
  return { kind: "data", data, dtype: "f32", shape };
}

/** Box and Muller 1958, over the counters 0, 1, 2, ... of the stream that the name is hashed to. */
function fillNormal(data: Float32Array, deviation: number, name: string, seed: number): void {
  const key = [seed >>> 0, Math.floor(seed / 2 ** 32)] as const;
  const stream = streamOf(name);
  for (let at = 0; at < data.length; at += 4) {
    const words = philox([at / 4, 0, stream, 0], key);
    for (let pair = 0; pair < 4; pair += 2) {
      // From (0, 1]: the logarithm of 0 is none.
      const radius = deviation * Math.sqrt(-2 * Math.log((words[pair]! + 1) / 2 ** 32));
      const angle = (2 * Math.PI * words[pair + 1]!) / 2 ** 32;
      data[at + pair] = radius * Math.cos(angle);
      data[at + pair + 1] = radius * Math.sin(angle);
    }
  }
}
