/**
 * Plain linears of a checkpoint as the NVFP4 or FP8 that a plan wants, encoded at load: NVFP4 with the bytes that `weft
 * quantize` writes.
 */
import { encodeScaleName, rowScalesName, tensorScaleName } from "@weft/compiler";
import { maxSize, nvfp4Block, nvfp4EncodeScale, type Parameter } from "@weft/dsl";
import type { DataWeight } from "@weft/runtime";
import type { Problem } from "../config/problems.ts";
import { unlessProblems } from "../config/problems.ts";
import { encodeLinear, encodeLinearFp8, tensorScaleOf } from "../quantize/encode.ts";
import type { LinearToLoad } from "../quantize/items.ts";
import { largestMagnitudes, nonFinite } from "../quantize/measure.ts";
import { orRaise } from "./checkpoint-text.ts";
import { matrixShape, type StoredModel, scalar } from "./stored-model.ts";

/** By the names of the plan's weights. */
export type EncodedWeights = Readonly<Record<string, DataWeight>>;

interface Nvfp4Room {
  readonly format: "nvfp4";
  readonly linear: LinearToLoad;
  readonly codes: Uint8Array<ArrayBuffer>;
  readonly scales: Uint8Array<ArrayBuffer>;
  readonly shape: readonly number[];
}

interface Fp8Room {
  readonly format: "fp8";
  readonly linear: LinearToLoad;
  readonly codes: Uint8Array<ArrayBuffer>;
  readonly scales: Float32Array<ArrayBuffer>;
  readonly shape: readonly number[];
}

type Room = Nvfp4Room | Fp8Room;

/** Memory for a linear, which the system gives only where it is written. */
function roomFor({ axes }: Parameter, linear: LinearToLoad): Room {
  const [rows, columns] = linear.entry.shape as [number, number];
  const shape = axes.map(({ size }) => maxSize(size));
  if (linear.format === "fp8") {
    const codes = new Uint8Array(rows * columns);
    return { format: "fp8", linear, codes, scales: new Float32Array(rows), shape };
  }
  return {
    format: "nvfp4",
    linear,
    codes: new Uint8Array((rows * columns) / 2),
    scales: new Uint8Array((rows * columns) / nvfp4Block),
    shape: matrixShape(shape, columns),
  };
}

const roomsFor = (parameters: readonly Parameter[], { encode }: StoredModel): Room[] =>
  parameters.flatMap((parameter) => {
    const linear = encode.get(parameter.name);
    return linear === undefined ? [] : [roomFor(parameter, linear)];
  });

/** The weights of a plan that a linear becomes: its codes, and what they are multiplied by. */
function weightsIn(room: Room, encodeScale: number): [string, DataWeight][] {
  const { linear, codes, shape } = room;
  if (room.format === "nvfp4") {
    const weight: DataWeight = { kind: "data", data: codes, scales: room.scales, dtype: "nvfp4", shape };
    return [
      [linear.name, weight],
      [tensorScaleName(linear.name), scalar(tensorScaleOf(encodeScale))],
      [encodeScaleName(linear.name), scalar(encodeScale)],
    ];
  }
  const outer = matrixShape(shape, linear.entry.shape[1]!).slice(0, -1);
  return [
    [linear.name, { kind: "data", data: codes, dtype: "f8e4m3", shape }],
    [rowScalesName(linear.name), { kind: "data", data: room.scales, dtype: "f32", shape: outer }],
  ];
}

/**
 * Reads each linear that becomes NVFP4 twice, its largest magnitude and then its values, a piece at a time, and one that
 * becomes FP8 once. What is given takes 4.5 or 8 bits for each weight, and is not needed once a device has loaded it.
 *
 * @param onBytes told of bytes that were read or made
 * @throws WeftError for each linear with NaN or infinity, by its name
 */
export async function encodedWeights(
  parameters: readonly Parameter[],
  stored: StoredModel,
  onBytes: (done: number, total: number) => void = () => {},
): Promise<EncodedWeights> {
  const rooms = roomsFor(parameters, stored);
  const total = rooms.reduce((sum, { linear, codes }) => sum + bytesOf(linear) + codes.length, 0);
  let done = 0;
  const count = (bytes: number) => {
    done += bytes;
    onBytes(done, total);
  };
  const inBlocks = rooms.filter((room) => room.format === "nvfp4");
  const linears = inBlocks.map(({ linear }) => linear);
  const largest = orRaise(await largestMagnitudes(linears, count));
  const weights: [string, DataWeight][] = [];
  for (const room of inBlocks) {
    const { linear, codes, scales } = room;
    const encodeScale = nvfp4EncodeScale(largest.get(linear.name)!);
    const put = {
      codes: (bytes: Uint8Array, at: number) => {
        codes.set(bytes, at);
        count(bytes.length);
      },
      scales: (bytes: Uint8Array, at: number) => scales.set(bytes, at),
    };
    await encodeLinear(linear, { encodeScale, fourOverSix: linear.fourOverSix }, put, false);
    weights.push(...weightsIn(room, encodeScale));
  }
  const problems: Problem[] = [];
  for (const room of rooms) {
    if (room.format !== "fp8") continue;
    await encodeLinearFp8(room.linear, room, count);
    if (room.scales.some(Number.isNaN)) problems.push(...(await nonFinite(room.linear)));
    weights.push(...weightsIn(room, 1));
  }
  orRaise(unlessProblems(problems, () => undefined));
  return Object.fromEntries(weights);
}

/** Weights of the same names and sizes, without values: to predict what a device will need of memory. */
export function unfilledWeight(
  parameters: readonly Parameter[],
  { encode }: StoredModel,
  name: string,
): DataWeight | undefined {
  const isOf = (own: string) =>
    [own, tensorScaleName(own), encodeScaleName(own), rowScalesName(own)].includes(name);
  const parameter = parameters.find((one) => isOf(one.name));
  const linear = encode.get(parameter?.name ?? "");
  if (parameter === undefined || linear === undefined) return undefined;
  return weightsIn(roomFor(parameter, linear), 1).find(([own]) => own === name)?.[1];
}

const bytesOf = ({ entry }: LinearToLoad): number => entry.end - entry.begin;
