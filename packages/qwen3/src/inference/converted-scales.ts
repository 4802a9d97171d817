/** A linear in NVFP4 whose file has its block scales as floats, which some `.dat` writers do: read whole, in E4M3. */
import { closeSync, openSync } from "node:fs";
import type { DataWeight } from "@weft/runtime";
import { messageOf, userProblem, WeftError } from "../config/problems.ts";
import { type FilePart, type QuantizedLinear, scaleCodesIn } from "../weights/index.ts";
import { readFully } from "../weights/safetensors.ts";
import { orRaise } from "./checkpoint-text.ts";

/** @throws WeftError where the file cannot be read any more, or a scale is none that E4M3 has */
export function withConvertedScales(linear: QuantizedLinear, shape: readonly number[]): DataWeight {
  const scales = orRaise(scaleCodesIn(linear, read(linear.scales)));
  return { kind: "data", data: read(linear.codes), scales, dtype: "nvfp4", shape };
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
