/** The tensors of the file to be written, in order, and where the bytes of each come from. */
import {
  bytesOf,
  type Checkpoint,
  type DatElementType,
  type DatEntry,
  datElementTypeOf,
  type FilePart,
  type Nvfp4Format,
  type QuantizedLinear,
  type StoredScale,
  type StoredWeights,
  type TensorDtype,
  type TensorEntry,
} from "../weights/index.ts";
import { headName, type LinearToEncode, plainHeadName } from "./items.ts";
import { codesShape, namesOf, scalesShape, tensorScaleShape } from "./part-names.ts";
import { convertScale, formOf, originalsOf } from "./tensor-scale.ts";

export type Fill =
  /** Bytes of the source. */
  | { readonly from: "copy"; readonly part: FilePart }
  | { readonly from: "number"; readonly value: number }
  /** Codes of E4M3, each times `factor`. */
  | { readonly from: "scales"; readonly linear: QuantizedLinear; readonly factor: number }
  /** What the encoder makes. */
  | {
      readonly from: "encoder";
      readonly linear: LinearToEncode;
      readonly part: "codes" | "scales" | "tensorScale";
    };

export interface Output {
  readonly name: string;
  readonly dtype: TensorDtype;
  /** In a `.dat` stream; undefined where the stream has no such elements. */
  readonly elementType: DatElementType | undefined;
  readonly shape: readonly number[];
  readonly fill: Fill;
}

export interface Outputs {
  readonly tensors: readonly Output[];
  /** Scales that come back only if the file remembers them, by their names in the other format. */
  readonly originals: ReadonlyMap<string, number>;
  /** Linears of which a scale changes by a rounding. */
  readonly inexact: readonly string[];
}

interface Options {
  readonly format: Nvfp4Format;
  /** Scales of activations are written. */
  readonly activations: boolean;
  /** A head that has a tensor of its own stays beside its codes. */
  readonly plainHead: boolean;
}

/** Order is that of the source; a linear's parts stand together, unless they are copied in their own format. */
export function outputsOf(
  checkpoint: Checkpoint,
  stored: StoredWeights,
  encode: readonly LinearToEncode[],
  { format, activations, plainHead }: Options,
): Outputs {
  const originals = new Map<string, number>();
  const inexact: string[] = [];
  const known = originalsOf(checkpoint.metadata);
  const encoded = new Map(encode.map((linear) => [linear.name, linear]));
  const byPart = new Map([...stored.linears.values()].map((linear) => [linear.codes.name, linear]));
  const isSame = [...stored.linears.values()].every((linear) => linear.format === format);
  const inputs = new Set([...stored.linears.values()].map(({ input }) => input?.name));
  const tensors: Output[] = [];
  for (const entry of checkpoint.tensors.values()) {
    const linear = byPart.get(entry.name);
    if (stored.plain.has(entry.name)) {
      const own = encoded.get(entry.name);
      if (own === undefined) tensors.push(copied(entry));
      else {
        tensors.push(...encodedParts(own, format));
        if (plainHead && own.name === headName) tensors.push({ ...copied(entry), name: plainHeadName });
        encoded.delete(entry.name);
      }
    } else if (isSame) {
      if (activations || !inputs.has(entry.name)) tensors.push(copied(entry));
    } else if (linear !== undefined) tensors.push(...takenParts(linear));
  }
  // A head that was the embedding has no place of its own in the source.
  for (const linear of encoded.values()) tensors.push(...encodedParts(linear, format));
  return { tensors, originals, inexact };

  function takenParts(linear: QuantizedLinear): Output[] {
    if (format === "dat") return datParts(linear);
    const names = namesOf(linear.name, format);
    const form = formOf(format);
    const number = (stored: StoredScale, name: string, used: StoredScale["form"]): Output => {
      const { value, isExact, isLost } = convertScale(stored, form, known.get(name), used);
      if (isLost) originals.set(stored.name, stored.value);
      if (!isExact && !inexact.includes(linear.name)) inexact.push(linear.name);
      return numberOutput(name, format, { from: "number", value });
    };
    return [
      output(names.codes, "U8", codesShape(linear.shape), { from: "copy", part: linear.codes }),
      output(names.scales, "F8_E4M3", scalesShape(linear.shape), { from: "scales", linear, factor: 1 }),
      // Without a scale of its tensor a linear has 1, in either form.
      number(
        linear.stored ?? { name: names.tensorScale, value: 1, form, shape: [] },
        names.tensorScale,
        "multiply",
      ),
      ...(activations && linear.input !== undefined
        ? [number(linear.input, names.inputScale, "divide")]
        : []),
    ];
  }
}

const output = (name: string, dtype: TensorDtype, shape: readonly number[], fill: Fill): Output => ({
  name,
  dtype,
  elementType: datElementTypeOf(dtype),
  shape,
  fill,
});

function copied(entry: TensorEntry): Output {
  const { name, dtype, shape, file, begin, end } = entry;
  const part: FilePart = { name, path: file, offset: begin, bytes: end - begin };
  const elementType = (entry as Partial<DatEntry>).elementType ?? datElementTypeOf(dtype);
  return { name, dtype, elementType, shape, fill: { from: "copy", part } };
}

const numberOutput = (name: string, format: Nvfp4Format, fill: Fill): Output =>
  output(name, "F32", tensorScaleShape(format), fill);

/** The stream has no scale of a tensor: it must go into the block scales, exactly or not at all. */
function datParts(linear: QuantizedLinear): Output[] {
  const fill: Fill = { from: "scales", linear, factor: linear.tensorScale };
  return [
    output(`${linear.name}.qdata`, "U8", codesShape(linear.shape), { from: "copy", part: linear.codes }),
    output(`${linear.name}.scale`, "F8_E4M3", scalesShape(linear.shape), fill),
  ];
}

function encodedParts(linear: LinearToEncode, format: Nvfp4Format): Output[] {
  const { name, entry } = linear;
  const fill = (part: "codes" | "scales" | "tensorScale"): Fill => ({ from: "encoder", linear, part });
  const pair = (codes: string, scales: string) => [
    output(codes, "U8", codesShape(entry.shape), fill("codes")),
    output(scales, "F8_E4M3", scalesShape(entry.shape), fill("scales")),
  ];
  if (format === "dat") return pair(`${name}.qdata`, `${name}.scale`);
  const names = namesOf(name, format);
  return [...pair(names.codes, names.scales), numberOutput(names.tensorScale, format, fill("tensorScale"))];
}

/** Bytes of a tensor as it will be stored. */
export function outputBytes({ dtype, shape }: Output): number {
  return bytesOf(
    dtype,
    shape.reduce((product, size) => product * size, 1),
  )!;
}
