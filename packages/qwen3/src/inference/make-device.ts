/** Devices by name. What a GPU needs is loaded when one is asked for. */
import type { Device } from "@weft/runtime";
import { cpuDevice } from "@weft/runtime-cpu";
import type { DeviceName, OpenOptions } from "./options.ts";

/** @throws WeftError for options that the processor does not fit, for a device that is not there or not built. */
export async function makeDevice(
  name: DeviceName,
  { threads }: Pick<OpenOptions, "threads">,
): Promise<Device> {
  if (name === "cpu") return cpuDevice(threads === undefined ? {} : { threads });
  const { openGpu, openSimulator } = await import("@weft/runtime-cuda");
  return name === "cuda" ? openGpu() : openSimulator();
}
