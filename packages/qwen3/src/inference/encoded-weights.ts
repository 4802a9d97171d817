/** Plain linears of a checkpoint as the NVFP4 that a plan wants: encoded at load, with the bytes that `weft quantize` writes. */
import { encodeScaleName, tensorScaleName } from "@weft/compiler";
import { maxSize, nvfp4Block, nvfp4EncodeScale, type Parameter } from "@weft/dsl";
import type { DataWeight } from "@weft/runtime";
import { encodeLinear, tensorScaleOf } from "../quantize/encode.ts";
import type { LinearToEncode } from "../quantize/items.ts";
import { largestMagnitudes } from "../quantize/measure.ts";
import { orRaise } from "./checkpoint-text.ts";
import { matrixShape, type StoredModel, scalar } from "./stored-model.ts";

/** By the names of the plan's weights. */
export type EncodedWeights = Readonly<Record<string, DataWeight>>;

interface Room {
  readonly linear: LinearToEncode;
  readonly codes: Uint8Array<ArrayBuffer>;
  readonly scales: Uint8Array<ArrayBuffer>;
  readonly shape: readonly number[];
}

/** Memory for a linear, which the system gives only where it is written. */
function roomFor({ axes }: Parameter, linear: LinearToEncode): Room {
  const [rows, columns] = linear.entry.shape as [number, number];
  const sizes = axes.map(({ size }) => maxSize(size));
  return {
    linear,
    codes: new Uint8Array((rows * columns) / 2),
    scales: new Uint8Array((rows * columns) / nvfp4Block),
    shape: matrixShape(sizes, columns),
  };
}

const roomsFor = (parameters: readonly Parameter[], { encode }: StoredModel): Room[] =>
  parameters.flatMap((parameter) => {
    const linear = encode.get(parameter.name);
    return linear === undefined ? [] : [roomFor(parameter, linear)];
  });

const weightIn = ({ codes, scales, shape }: Room): DataWeight => ({
  kind: "data",
  data: codes,
  scales,
  dtype: "nvfp4",
  shape,
});

/**
 * Reads each linear twice, its largest magnitude and then its values, a piece at a time. What is given takes 4.5 bits for each
 * weight, and is not needed once a device has loaded it.
 *
 * @param onBytes told of bytes that were read or made
 * @param fourOverSix two scales are tried for each block
 * @throws WeftError for each linear with NaN or infinity, by its name
 */
export async function encodedWeights(
  parameters: readonly Parameter[],
  stored: StoredModel,
  onBytes: (done: number, total: number) => void = () => {},
  fourOverSix = false,
): Promise<EncodedWeights> {
  const rooms = roomsFor(parameters, stored);
  const total = rooms.reduce((sum, { linear, codes }) => sum + bytesOf(linear) + codes.length, 0);
  let done = 0;
  const count = (bytes: number) => {
    done += bytes;
    onBytes(done, total);
  };
  const linears = rooms.map(({ linear }) => linear);
  const largest = orRaise(await largestMagnitudes(linears, count));
  const weights: [string, DataWeight][] = [];
  for (const room of rooms) {
    const { linear, codes, scales } = room;
    const encodeScale = nvfp4EncodeScale(largest.get(linear.name)!);
    const put = {
      codes: (bytes: Uint8Array, at: number) => {
        codes.set(bytes, at);
        count(bytes.length);
      },
      scales: (bytes: Uint8Array, at: number) => scales.set(bytes, at),
    };
    await encodeLinear(linear, { encodeScale, fourOverSix }, put, false);
    weights.push([linear.name, weightIn(room)]);
    weights.push([tensorScaleName(linear.name), scalar(tensorScaleOf(encodeScale))]);
    weights.push([encodeScaleName(linear.name), scalar(encodeScale)]);
  }
  return Object.fromEntries(weights);
}

/** Weights of the same names and sizes, without values: to predict what a device will need of memory. */
export function unfilledWeight(
  parameters: readonly Parameter[],
  { encode }: StoredModel,
  name: string,
): DataWeight | undefined {
  const parameter = parameters.find((one) => [one.name, tensorScaleName(one.name)].includes(name));
  const linear = encode.get(parameter?.name ?? "");
  if (parameter === undefined || linear === undefined) return undefined;
  return name === parameter.name ? weightIn(roomFor(parameter, linear)) : scalar(1);
}

const bytesOf = ({ entry }: LinearToEncode): number => entry.end - entry.begin;
