/** Parts of quantised linears in a `.dat` stream: `M.weight.qdata` and `M.weight.scale`, or `M.qdata` and `M.scale`. */
import type { Problem } from "../../config/problems.ts";
import type { Checkpoint } from "../checkpoint.ts";
import type { TensorEntry } from "../header.ts";
import { type FoundParts, missingPart, type Parts, twoForms } from "./parts.ts";

interface Pair {
  codes?: TensorEntry;
  scales?: TensorEntry;
}

const suffixes = { codes: ".qdata", scales: ".scale" } as const;

/** The parameter that a key without its suffix stands for: one form has `.weight` in its keys, the other not. */
const parameterOf = (stem: string) => (stem.endsWith(".weight") ? stem : `${stem}.weight`);

export function datParts(checkpoint: Checkpoint): FoundParts {
  const pairs = new Map<string, Pair>();
  for (const [key, entry] of checkpoint.tensors) {
    for (const part of ["codes", "scales"] as const) {
      if (!key.endsWith(suffixes[part])) continue;
      const stem = key.slice(0, -suffixes[part].length);
      pairs.set(stem, { ...pairs.get(stem), [part]: entry });
    }
  }
  const problems: Problem[] = [];
  const linears = new Map<string, Parts>();
  for (const [stem, { codes, scales }] of pairs) {
    const name = parameterOf(stem);
    const any = (codes ?? scales)!;
    if (codes === undefined || scales === undefined) {
      const missing = codes === undefined ? suffixes.codes : suffixes.scales;
      problems.push(missingPart(any.file, name, `${stem}${missing}`, any.name));
      continue;
    }
    const other = linears.get(name);
    if (other !== undefined) {
      problems.push(twoForms(codes.file, name, [other.codes.name, codes.name]));
      continue;
    }
    linears.set(name, { name, format: "dat", codes, scales, tensorScale: undefined, inputScale: undefined });
  }
  return { linears: [...linears.values()], problems };
}
