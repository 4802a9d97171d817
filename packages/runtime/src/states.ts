/** States by name: which one is meant, and whether values fit it. */
import type { Plan, PlanBuffer, PlanDtype } from "@weft/compiler";
import { nearestName, userProblem, WeftError } from "@weft/dsl";
import type { StateArray, WriteStateOptions } from "./device.ts";

/** The states that hold positions of a context, and the byte of a saved copy at which each begins. */
export function savedLayout(plan: Plan): { readonly state: PlanBuffer; readonly begin: number }[] {
  let end = 0;
  return plan.buffers.flatMap((state) => {
    if (state.positions < 0) return [];
    const begin = end;
    end += Math.ceil(state.bytes / 256) * 256;
    return [{ state, begin }];
  });
}

/** @throws WeftError when the plan has no state of this name */
export function stateNamed(plan: Plan, name: string): PlanBuffer {
  const states = plan.buffers.filter((one) => one.class === "state");
  const found = states.find((one) => one.name === name);
  if (found !== undefined) return found;
  const near = nearestName(
    name,
    states.map((one) => one.name),
  );
  throw new WeftError([
    userProblem("state", `the plan "${plan.name}" must have a state of this name`, {
      given: JSON.stringify(name),
      ...(near === undefined ? {} : { remedy: `did you mean "${near}"?` }),
    }),
  ]);
}

/** Bytes of a state as the array of its dtype. */
export function stateArray(dtype: PlanDtype, { buffer, byteOffset, byteLength }: Uint8Array): StateArray {
  if (dtype === "f32") return new Float32Array(buffer, byteOffset, byteLength / 4);
  if (dtype === "i32") return new Int32Array(buffer, byteOffset, byteLength / 4);
  if (dtype === "i8") return new Int8Array(buffer, byteOffset, byteLength);
  if (dtype === "nvfp4" || dtype === "f8e4m3") return new Uint8Array(buffer, byteOffset, byteLength);
  return new Uint16Array(buffer, byteOffset, byteLength / 2);
}

/** The bytes of an array and their dtype. @throws WeftError when it does not fit the state, or does not lie in it */
export function checkedState(
  plan: Plan,
  name: string,
  values: StateArray,
  { dtype: given, at }: WriteStateOptions,
): { readonly bytes: Uint8Array; readonly dtype: PlanDtype } {
  const state = stateNamed(plan, name);
  const refuse = (requirement: string, what: string): never => {
    throw new WeftError([userProblem("state", requirement, { given: what, path: name })]);
  };
  const dtype = given ?? dtypeOf(values, state.dtype);
  if (!isArrayOf(dtype, values)) refuse(`values of ${dtype} must be a ${arrayNames[dtype]}`, nameOf(values));
  const isOwn = [dtype, state.dtype].some(isKeptAsIs);
  if (isOwn && dtype !== state.dtype) refuse(`the state holds ${state.dtype}`, dtype);
  const elements = state.shape.reduce((product, size) => product * size, 1);
  // Codes and scales of all, one behind the other.
  const count = dtype === "nvfp4" ? (elements * 9) / 16 : elements;
  if (dtype === "nvfp4" && at !== undefined)
    refuse("a state of nvfp4 must be written whole", `a part from ${at}`);
  if (at !== undefined && !(Number.isInteger(at) && at >= 0 && at + values.length <= count))
    refuse(`a part must lie within the ${count} elements`, `${values.length} from ${at}`);
  if (at === undefined && values.length !== count)
    refuse(`the state has ${count} elements`, String(values.length));
  return { bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength), dtype };
}

/** Values of these dtypes are no floats that could be converted: they go in and out as they are. */
export const isKeptAsIs = (dtype: PlanDtype): boolean =>
  dtype === "i32" || dtype === "i8" || dtype === "f8e4m3" || dtype === "nvfp4";

const arrayNames: Readonly<Record<PlanDtype, string>> = {
  f32: "Float32Array",
  i32: "Int32Array",
  bf16: "Uint16Array",
  f16: "Uint16Array",
  f8e4m3: "Uint8Array",
  nvfp4: "Uint8Array",
  i8: "Int8Array",
};

const nameOf = (values: unknown) =>
  ArrayBuffer.isView(values) ? values.constructor.name : values === null ? "null" : typeof values;

const isArrayOf = (dtype: PlanDtype, values: unknown) => nameOf(values) === arrayNames[dtype];

function dtypeOf(values: StateArray, own: PlanDtype): PlanDtype {
  if (values instanceof Uint16Array) return own === "f16" ? "f16" : "bf16";
  if (values instanceof Uint8Array) return "nvfp4";
  if (values instanceof Int8Array) return "i8";
  return values instanceof Int32Array ? "i32" : "f32";
}
