/** Devices by name. What a GPU needs is loaded when one is asked for. */
import type { Device } from "@weft/runtime";
import { cpuDevice } from "@weft/runtime-cpu";
import type { DeviceName, OpenOptions } from "./options.ts";

/** @throws WeftError for options that the processor does not fit, for a device that is not there or not built. */
export async function makeDevice(
  name: DeviceName,
  { threads, fp4 }: Pick<OpenOptions, "threads" | "fp4">,
): Promise<Device> {
  if (name === "cpu") return cpuDevice(threads === undefined ? {} : { threads });
  const { openGpu, openSimulator } = await import("@weft/runtime-cuda");
  if (fp4 !== "hardware") return name === "cuda" ? openGpu() : openSimulator();
  // The simulated GPU is one that has such units, and multiplies what they would read on the host.
  return name === "cuda"
    ? openGpu({ fp4 })
    : openSimulator({ fp4, matmulLibrary: "auto", computeCapability: 100 });
}
