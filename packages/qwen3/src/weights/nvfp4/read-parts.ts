/** Looks at the parts of one linear: shapes, types, and the numbers that scale the whole tensor. */
import { nvfp4Block } from "@weft/dsl";
import * as Either from "fp-ts/lib/Either.js";
import { type Checked, type Problem, unlessProblems, userProblem } from "../../config/problems.ts";
import type { TensorDtype } from "../dtype.ts";
import type { TensorEntry } from "../header.ts";
import { readTensorBytes } from "../read.ts";
import type { Parts } from "./parts.ts";
import type { FilePart, Nvfp4Format, QuantizedLinear, StoredScale } from "./quantized-linear.ts";

const refetch = "fetch the checkpoint again, or quantise the model anew";

type ScaleDtype = QuantizedLinear["scales"]["dtype"];

/** How block scales may be stored. A byte of a `.dat` file that says no more is a code as well. */
const scaleDtypes: Readonly<Record<Nvfp4Format, Partial<Record<TensorDtype, ScaleDtype>>>> = {
  "compressed-tensors": { F8_E4M3: "e4m3" },
  modelopt: { F8_E4M3: "e4m3" },
  dat: { F8_E4M3: "e4m3", U8: "e4m3", F16: "f16", F32: "f32" },
};

const partOf = ({ name, file, begin, end }: TensorEntry): FilePart => ({
  name,
  path: file,
  offset: begin,
  bytes: end - begin,
});

export function quantizedLinear(parts: Parts): Checked<QuantizedLinear> {
  const { name, format, codes, scales } = parts;
  const problems: Problem[] = [];
  const refuse = (entry: TensorEntry, requirement: string, given: string, remedy = refetch) => {
    problems.push(userProblem(entry.file, requirement, { given, path: entry.name, remedy }));
  };
  const shown = ({ dtype, shape }: TensorEntry) => `${dtype} [${shape.join(", ")}]`;
  const [rows = 0, pairs = 0] = codes.shape;
  const columns = pairs * 2;
  if (codes.shape.length !== 2 || codes.dtype !== "U8") {
    refuse(codes, "codes must be U8 [N, K/2]", shown(codes));
  } else if (columns % nvfp4Block !== 0 || columns === 0 || rows === 0) {
    refuse(
      codes,
      `K, the last axis, must be a positive multiple of ${nvfp4Block}`,
      `${shown(codes)}, K = ${columns}`,
      "keep this linear in a plain type",
    );
  } else if (
    scales.shape.length !== 2 ||
    scales.shape[0] !== rows ||
    scales.shape[1] !== columns / nvfp4Block
  ) {
    refuse(scales, `block scales must have the shape [${rows}, ${columns / nvfp4Block}]`, shown(scales));
  }
  const dtype = scaleDtypes[format][scales.dtype];
  if (dtype === undefined) {
    refuse(
      scales,
      `block scales must be stored as ${Object.keys(scaleDtypes[format]).join(" or ")}`,
      scales.dtype,
    );
  }
  const form = format === "modelopt" ? "multiply" : "divide";
  const stored = storedScale(parts.tensorScale, form);
  const input = storedScale(parts.inputScale, form);
  for (const one of [stored, input]) if (Either.isLeft(one)) problems.push(...one.left);
  return unlessProblems(problems, () => {
    const own = (stored as Either.Right<StoredScale | undefined>).right;
    return {
      name,
      format,
      shape: [rows, columns],
      codes: partOf(codes),
      scales: { ...partOf(scales), dtype: dtype! },
      tensorScale: own === undefined ? 1 : factorOf(own),
      stored: own,
      input: (input as Either.Right<StoredScale | undefined>).right,
    };
  });
}

/** f32, to multiply by. */
const factorOf = ({ value, form }: Pick<StoredScale, "value" | "form">): number =>
  form === "multiply" ? value : Math.fround(1 / value);

function storedScale(
  entry: TensorEntry | undefined,
  form: StoredScale["form"],
): Checked<StoredScale | undefined> {
  if (entry === undefined) return Either.right(undefined);
  const refuse = (requirement: string, given: string) =>
    Either.left([
      userProblem(entry.file, requirement, { given, path: entry.name, remedy: refetch }),
    ] as const);
  if (entry.dtype !== "F32" || entry.shape.some((size) => size !== 1)) {
    return refuse("the scale of a tensor must be one F32", `${entry.dtype} [${entry.shape.join(", ")}]`);
  }
  const value = new Float32Array(readTensorBytes(entry).buffer)[0]!;
  // A tensor of zeros has nothing to divide by; what is multiplied may well be zero.
  const factor = factorOf({ value, form });
  const isUsable = Number.isFinite(value) && (form === "multiply" ? value >= 0 : value > 0);
  if (!isUsable || !Number.isFinite(factor)) {
    return refuse(
      form === "multiply"
        ? "the scale of a tensor must be finite and not negative"
        : "what a tensor is divided by must be finite and above 0, and so must its inverse",
      `${Object.is(value, -0) ? "-0" : value}`,
    );
  }
  return Either.right({ name: entry.name, value, form, shape: entry.shape });
}
