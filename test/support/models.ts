/** Opens models for tests: on the CPU, on a GPU or a simulated one, or on the interpreter in their place. */
import { join } from "node:path";
import { orThrow } from "@weft/dsl";
import { loadQwen3, type OpenOptions, openQwen3, prepareQwen3, type Qwen3 } from "@weft/qwen3";
import { openGpu } from "@weft/runtime-cuda";
import { type InterpreterDeviceOptions, interpreterDevice } from "./interpreter-device.ts";

export const fixtures = join(import.meta.dirname, "../fixtures");

export type DeviceName = "cpu" | "cuda-sim" | "cuda" | "interpreter";

/** On every device the same, unless `dtype` says otherwise: f32. */
export const openOn = (
  device: DeviceName,
  directory: string,
  options: Omit<OpenOptions, "device"> = {},
): Promise<Qwen3> =>
  device === "interpreter"
    ? openInterpreted(directory, options)
    : openQwen3(directory, { dtype: "f32", ...options, device });

/** The devices that execute plans here: what is absent is left out, and said. */
export async function devicesHere(): Promise<Exclude<DeviceName, "interpreter">[]> {
  const missing = await openGpu().then(
    (device) => device[Symbol.dispose](),
    (error: Error) => error.message.split("\n")[0],
  );
  if (missing === undefined) return ["cpu", "cuda-sim", "cuda"];
  console.log(`SKIPPED on cuda: ${missing}`);
  return ["cpu", "cuda-sim"];
}

export async function openInterpreted(
  directory: string,
  options: Omit<OpenOptions, "device"> = {},
  device: InterpreterDeviceOptions = {},
): Promise<Qwen3> {
  const prepared = orThrow(prepareQwen3(directory, options));
  return loadQwen3(prepared, interpreterDevice(prepared.compiled, device), options);
}
