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

/** Where every parameter is finite: the one from whose values the others are likeliest to overflow. */
export async function largestParameter(model: Trainable): Promise<string | undefined> {
  let largest: { readonly name: string; readonly index: number; readonly value: number } | undefined;
  for (const tensor of model.parameters()) {
    const values = valuesOf(tensor, await model.readState(tensor.name));
    for (let index = 0; index < values.length; index++) {
      const value = values[index]!;
      if (Math.abs(value) > Math.abs(largest?.value ?? 0)) largest = { name: tensor.name, index, value };
    }
  }
  return largest && `${largest.value.toPrecision(3)} in ${largest.name}, flat index ${largest.index}`;
}

function nonFiniteIndex(tensor: StateTensor, bytes: Uint8Array): number {
  return valuesOf(tensor, bytes).findIndex((value) => !Number.isFinite(value));
}

/** None of a dtype that cannot be infinite. */
function valuesOf({ dtype }: StateTensor, bytes: Uint8Array): Float32Array | Float64Array {
  const { buffer } = bytes.slice();
  switch (dtype) {
    case "F32":
      return new Float32Array(buffer);
    case "F64":
      return new Float64Array(buffer);
    case "BF16":
      return bfloat16ToFloat32(new Uint16Array(buffer));
    case "F16":
      return float16ToFloat32(new Uint16Array(buffer));
    default:
      return new Float32Array(0);
  }
}

/** @param saved the directory with the state before the step */
export function nonFiniteProblem(
  step: number,
  { loss, gradientNorm, nonFinite }: StepResult,
  {
    parameter,
    largest,
    inRow,
    saved,
  }: {
    readonly parameter: string | undefined;
    readonly largest: string | undefined;
    readonly inRow: number;
    readonly saved: string;
  },
): Problem {
  const tensor =
    parameter !== undefined
      ? `the weight ${parameter}`
      : nonFinite !== undefined
        ? `the gradient of ${nonFinite}`
        : `no weight: values overflow on their way${largest === undefined ? "" : `, and the largest weight is ${largest}`}`;
  return userProblem("train", "loss and gradients must be finite", {
    given: `loss ${loss} and gradient norm ${gradientNorm} in step ${step}, number ${inRow} in a row; first not finite is ${tensor}`,
    location: `step ${step}`,
    remedy: `lower the learning rate or look at the data; the state before the step is in ${saved}`,
  });
}
