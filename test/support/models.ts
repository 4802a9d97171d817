/** Opens models for tests: on the CPU, on a GPU or a simulated one, or on the interpreter in their place. */
import { join } from "node:path";
import { orThrow } from "@weft/dsl";
import { loadQwen3, type OpenOptions, openQwen3, prepareQwen3, type Qwen3 } from "@weft/qwen3";
import type { Device } from "@weft/runtime";
import { cpuDevice } from "@weft/runtime-cpu";
import { openGpu, openSimulator } from "@weft/runtime-cuda";
import { type InterpreterDeviceOptions, interpreterDevice } from "./interpreter-device.ts";

export const fixtures = join(import.meta.dirname, "../fixtures");

/** What executes plans. */
export type DeviceHere = "cpu" | "cuda-sim" | "cuda";
export type DeviceName = DeviceHere | "interpreter";

/** On every device the same, unless `dtype` says otherwise: f32. */
export const openOn = (
  device: DeviceName,
  directory: string,
  options: Omit<OpenOptions, "device"> = {},
): Promise<Qwen3> =>
  device === "interpreter"
    ? openInterpreted(directory, options)
    : openQwen3(directory, { dtype: "f32", ...options, device });

/** A device that executes plans, opened for one test. */
export async function openDevice(device: DeviceHere): Promise<Device> {
  if (device === "cpu") return cpuDevice({ threads: 2 });
  return device === "cuda" ? openGpu() : openSimulator();
}

/** The devices that execute plans here: what is absent is left out, and said. */
export async function devicesHere(): Promise<DeviceHere[]> {
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
