/** Opens models for tests: on the CPU, or on the interpreter in its place. */
import { join } from "node:path";
import { orThrow } from "@weft/dsl";
import { loadQwen3, type OpenOptions, openQwen3, prepareQwen3, type Qwen3 } from "@weft/qwen3";
import { type InterpreterDeviceOptions, interpreterDevice } from "./interpreter-device.ts";

export const fixtures = join(import.meta.dirname, "../fixtures");

export type DeviceName = "cpu" | "interpreter";

export const openOn = (
  device: DeviceName,
  directory: string,
  options: Omit<OpenOptions, "device"> = {},
): Promise<Qwen3> => (device === "cpu" ? openQwen3(directory, options) : openInterpreted(directory, options));

export async function openInterpreted(
  directory: string,
  options: Omit<OpenOptions, "device"> = {},
  device: InterpreterDeviceOptions = {},
): Promise<Qwen3> {
  const prepared = orThrow(prepareQwen3(directory, options));
  return loadQwen3(prepared, interpreterDevice(prepared.compiled, device), options);
}
