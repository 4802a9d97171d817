/** Parts of quantised linears as compressed-tensors and ModelOpt name them. */
import { type Problem, unsupportedProblem, userProblem } from "../../config/problems.ts";
import type { Checkpoint } from "../checkpoint.ts";
import type { TensorEntry } from "../header.ts";
import { type FoundParts, missingPart, type Parts, twoForms } from "./parts.ts";

/** The last words of tensor names that quantisation adds; `weight` itself is one where ModelOpt has packed it. */
const words = [
  "weight",
  "weight_packed",
  "weight_scale",
  "weight_global_scale",
  "weight_scale_2",
  "input_global_scale",
  "input_scale",
] as const;

type Word = (typeof words)[number];
type Module = Readonly<Partial<Record<Word, TensorEntry>>>;

/** Words of other quantised forms, each with a name for it. */
const foreign: Readonly<Record<string, string>> = {
  weight_shape: "integers packed by compressed-tensors",
  weight_zero_point: "an asymmetric form",
  weight_g_idx: "groups in another order",
  weight_scale_inv: "FP8 in blocks",
  pre_quant_scale: "AWQ",
};

function modulesOf(checkpoint: Checkpoint): Map<string, Partial<Record<Word, TensorEntry>>> {
  const modules = new Map<string, Partial<Record<Word, TensorEntry>>>();
  for (const [name, entry] of checkpoint.tensors) {
    const dot = name.lastIndexOf(".");
    const word = words.find((one) => one === name.slice(dot + 1));
    if (word === undefined || dot <= 0) continue;
    const module = name.slice(0, dot);
    if (!modules.has(module)) modules.set(module, {});
    modules.get(module)![word] = entry;
  }
  return modules;
}

/** A weight whose bytes are two codes each, not numbers. */
const isPacked = (weight: TensorEntry | undefined) => weight?.dtype === "U8";

export function safetensorsParts(checkpoint: Checkpoint): FoundParts {
  const linears: Parts[] = [];
  const problems: Problem[] = foreignProblems(checkpoint);
  for (const [module, parts] of modulesOf(checkpoint)) {
    const found = partsOf(module, parts);
    if (found === undefined) continue;
    if (Array.isArray(found)) problems.push(...found);
    else linears.push(found as Parts);
  }
  return { linears, problems };
}

function foreignProblems(checkpoint: Checkpoint): Problem[] {
  const problems: Problem[] = [];
  for (const [name, { file }] of checkpoint.tensors) {
    const word = name.slice(name.lastIndexOf(".") + 1);
    if (!Object.hasOwn(foreign, word)) continue;
    problems.push(
      unsupportedProblem(file, "of quantised forms only NVFP4 can be read", {
        given: foreign[word]!,
        path: name,
        remedy: "use an NVFP4, float32, float16 or bfloat16 checkpoint of the model",
      }),
    );
  }
  return problems;
}

/** Undefined where the module is plain. */
function partsOf(module: string, parts: Module): Parts | Problem[] | undefined {
  const name = `${module}.weight`;
  const { weight, weight_packed: packed, weight_scale: scales } = parts;
  const [divides, multiplies] = [parts.weight_global_scale, parts.weight_scale_2];
  const any = packed ?? scales ?? divides ?? multiplies ?? (isPacked(weight) ? weight : undefined);
  if (any === undefined) {
    // A scale of activations says that a weight is quantised; alone it says nothing that could be used.
    const input = parts.input_global_scale ?? parts.input_scale;
    return input === undefined ? undefined : [missingPart(input.file, name, "quantised weights", input.name)];
  }
  if (packed !== undefined && weight !== undefined) {
    return [twoForms(packed.file, name, [packed.name, weight.name])];
  }
  if (divides !== undefined && multiplies !== undefined) {
    return [
      userProblem(divides.file, "a linear must have one scale of its tensor", {
        given: `${divides.name} and ${multiplies.name}`,
        path: name,
        remedy: "remove the one that is not meant",
      }),
    ];
  }
  const codes = packed ?? weight;
  if (codes === undefined)
    return [missingPart(any.file, name, "the codes, weight_packed or weight,", any.name)];
  if (packed === undefined && !isPacked(codes)) return [notNvfp4(codes, any)];
  const format = packed === undefined ? "modelopt" : "compressed-tensors";
  const [own, other] = format === "modelopt" ? [multiplies, divides] : [divides, multiplies];
  const wanted = format === "modelopt" ? "weight_scale_2" : "weight_global_scale";
  const problems: Problem[] = [];
  const missing = [scales === undefined ? ["weight_scale"] : [], own === undefined ? [wanted] : []].flat();
  if (missing.length > 0) {
    const beside = other === undefined ? codes.name : `${codes.name} with ${other.name}`;
    problems.push(missingPart(codes.file, name, missing.join(" and "), beside));
  }
  const [input, foreignInput] =
    format === "modelopt"
      ? [parts.input_scale, parts.input_global_scale]
      : [parts.input_global_scale, parts.input_scale];
  if (foreignInput !== undefined) {
    problems.push(
      userProblem(foreignInput.file, `a linear of ${format} must have its own kind of input scale`, {
        given: foreignInput.name,
        path: name,
        remedy: "remove it, or fetch the checkpoint again",
      }),
    );
  }
  if (problems.length > 0) return problems;
  return { name, format, codes, scales: scales!, tensorScale: own, inputScale: input };
}

/** Numbers beside a scale: FP8, or something that nobody has heard of. */
const notNvfp4 = (weight: TensorEntry, scale: TensorEntry): Problem =>
  unsupportedProblem(weight.file, "a weight with scales must be NVFP4, two codes in each byte of a U8", {
    given: `${weight.dtype} beside ${scale.name}`,
    path: weight.name,
    remedy: "use an NVFP4, float32, float16 or bfloat16 checkpoint of the model",
  });
