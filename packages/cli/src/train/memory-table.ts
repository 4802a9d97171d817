/** What training takes of memory, as a table. */
import { formatBytes } from "@weft/compiler";
import type { TrainingPlanFlags } from "../commands/training-options.ts";
import { print, printJson } from "../terminal/output.ts";
import { formatTable } from "../terminal/table.ts";

type Flags = Pick<TrainingPlanFlags, "optimizer" | "moments"> & { readonly json?: boolean | undefined };

/** @param memory bytes by purpose, as `trainingMemory` gives them */
export function printTrainingMemory(
  memory: Readonly<Record<string, number>>,
  { optimizer, moments, json }: Flags,
): Promise<void> {
  if (json === true) return printJson(memory);
  const notes: Readonly<Record<string, string>> = {
    gradients: "where the arena of activations is fullest, and the sums over the passes of an update",
    blocks: "linears of the layers in NVFP4",
    optimizer: optimizer === "sgd" ? "momentum" : momentsNote(moments),
  };
  const rows = Object.entries(memory).map(([name, bytes]) => [name, formatBytes(bytes), notes[name] ?? ""]);
  return print(formatTable([{ title: "" }, { title: "", align: "right" }, { title: "" }], rows));
}

const momentsNote = (moments: TrainingPlanFlags["moments"]) =>
  `first and second moments${moments === "f32" ? "" : `, of large matrices in ${moments === "nvfp4" ? "NVFP4" : moments}`}`;
