/** A step that was not finite: which tensor, and whether skipping it can help. */
import { type Problem, userProblem } from "../config/problems.ts";
import { bfloat16ToFloat32, float16ToFloat32 } from "../weights/dtype.ts";
import type { StateTensor, StepResult, Trainable } from "./trainable.ts";

/** The first parameter that holds NaN or infinity: no later step can be finite then. */
export async function nonFiniteParameter(model: Trainable): Promise<string | undefined> {
  for (const tensor of model.parameters()) {
    const index = nonFiniteIndex(tensor, await model.readState(tensor.name));
    if (index >= 0) return `${tensor.name}, flat index ${index}`;
  }
  return undefined;
}

function nonFiniteIndex({ dtype }: StateTensor, bytes: Uint8Array): number {
  const { buffer } = bytes.slice();
  const values =
    dtype === "F32"
      ? new Float32Array(buffer)
      : dtype === "F64"
        ? new Float64Array(buffer)
        : dtype === "BF16"
          ? bfloat16ToFloat32(new Uint16Array(buffer))
          : dtype === "F16"
            ? float16ToFloat32(new Uint16Array(buffer))
            : [];
  return (values as Float32Array).findIndex((value) => !Number.isFinite(value));
}

/** @param saved the directory with the state before the step */
export function nonFiniteProblem(
  step: number,
  { loss, gradientNorm, nonFinite }: StepResult,
  {
    parameter,
    inRow,
    saved,
  }: { readonly parameter: string | undefined; readonly inRow: number; readonly saved: string },
): Problem {
  const tensor =
    parameter !== undefined
      ? `the weight ${parameter}`
      : nonFinite !== undefined
        ? `the gradient of ${nonFinite}`
        : "no weight: the values overflow on their way";
  return userProblem("train", "loss and gradients must be finite", {
    given: `loss ${loss} and gradient norm ${gradientNorm} in step ${step}, number ${inRow} in a row; first not finite is ${tensor}`,
    location: `step ${step}`,
    remedy: `lower the learning rate or look at the data; the state before the step is in ${saved}`,
  });
}
