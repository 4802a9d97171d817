/** A linear in NVFP4 whose file has its block scales as floats, which some `.dat` writers do: read whole, in E4M3. */
import { closeSync, openSync } from "node:fs";
import { decodeE4m3, encodeE4m3 } from "@weft/dsl";
import type { DataWeight } from "@weft/runtime";
import { messageOf, userProblem, WeftError } from "../config/problems.ts";
import type { FilePart, QuantizedLinear } from "../weights/index.ts";
import { float16ToFloat32 } from "../weights/index.ts";
import { readFully } from "../weights/safetensors.ts";

/** @throws WeftError where the file cannot be read any more, or a scale is no value that E4M3 has. */
export function withConvertedScales(
  { codes, scales }: QuantizedLinear,
  shape: readonly number[],
): DataWeight {
  const bytes = read(scales);
  const values =
    scales.dtype === "f16" ? float16ToFloat32(new Uint16Array(bytes.buffer)) : new Float32Array(bytes.buffer);
  const converted = Uint8Array.from(values, encodeE4m3);
  const block = converted.findIndex((code, index) => decodeE4m3(code) !== values[index]);
  if (block >= 0)
    throw new WeftError([
      userProblem(scales.path, "block scales must be values that E4M3 has", {
        given: `${values[block]} in block ${block}`,
        path: scales.name,
        remedy: "quantise the model anew; another scale would change the weights",
      }),
    ]);
  return { kind: "data", data: read(codes), scales: converted, dtype: "nvfp4", shape };
}

function read({ path, offset, bytes, name }: FilePart): Uint8Array<ArrayBuffer> {
  const values = new Uint8Array(bytes);
  try {
    const descriptor = openSync(path, "r");
    try {
      readFully(descriptor, values, offset);
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    throw new WeftError([
      userProblem(path, "must stay as it was when it was opened", {
        given: messageOf(error),
        path: name,
        remedy: "do not change a checkpoint while it is used",
      }),
    ]);
  }
  return values;
}
