/** The embedded default device. */
import type { Device } from "@weft/runtime";
import { cpuDevice } from "@weft/runtime-cpu";
import type { OpenOptions } from "./options.ts";

/** @throws WeftError for options that the processor does not fit, or where the native part is not built. */
export function makeCpuDevice({ threads }: Pick<OpenOptions, "threads">): Device {
  return cpuDevice(threads === undefined ? {} : { threads });
}
