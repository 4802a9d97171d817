/** GPU memory by process, as nvidia-smi tells it. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

const query = ["--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"];

/** A driver that hangs must not stop the watch. */
const patience = 10_000;

export type GpuMemory =
  | { readonly bytes: ReadonlyMap<number, number>; readonly problem?: undefined }
  | { readonly problem: string };

/** Bytes by process id, over all GPUs; or why they cannot be known. */
export async function gpuMemory(): Promise<GpuMemory> {
  let text: string;
  try {
    text = (await promisify(execFile)("nvidia-smi", query, { timeout: patience })).stdout;
  } catch (error) {
    const { code, stderr } = error as NodeJS.ErrnoException & { readonly stderr?: string };
    if (code === "ENOENT") return { problem: "no nvidia-smi on the PATH" };
    return { problem: `nvidia-smi failed: ${(stderr || (error as Error).message).trim().split("\n")[0]}` };
  }
  const bytes = new Map<number, number>();
  for (const line of text.split("\n")) {
    if (line.trim() === "") continue;
    const found = /^\s*(\d+)\s*,\s*(\d+)(?:\s*MiB)?\s*$/.exec(line);
    // Some drivers answer [N/A] where memory is shared with the processor.
    if (found === null)
      return { problem: `nvidia-smi does not tell the memory of a process: ${line.trim()}` };
    const id = Number(found[1]);
    bytes.set(id, (bytes.get(id) ?? 0) + Number(found[2]) * 2 ** 20);
  }
  return { bytes };
}
