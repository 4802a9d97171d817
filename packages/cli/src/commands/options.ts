/** Options that several commands share, and how their values are read. */
import type { FormatRule } from "@weft/qwen3";
import { InvalidArgumentError, Option } from "commander";
import type { TrainingTargetOptions } from "./training-options.ts";

/** Reads an integer in a range. */
export function integer(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^[+-]?\d+$/.test(text.trim()) ? Number(text) : Number.NaN;
    if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It must be an integer from ${least} to ${most}.`);
  };
}

/** Reads a finite number; whether it makes sense for the sampler is the sampler's to say. */
export function real(text: string): number {
  const value = text.trim() === "" ? Number.NaN : Number(text);
  if (Number.isFinite(value)) return value;
  throw new InvalidArgumentError("It must be a finite number.");
}

/** Reads a number above 0. */
export function positive(text: string): number {
  const value = real(text);
  if (value > 0) return value;
  throw new InvalidArgumentError("It must be a number above 0.");
}

const units: Readonly<Record<string, number>> = {
  "": 1,
  k: 1e3,
  m: 1e6,
  g: 1e9,
  ki: 2 ** 10,
  mi: 2 ** 20,
  gi: 2 ** 30,
};

/** Reads an amount of memory: `800MB`, `1.5 GiB`, or a plain number of bytes. */
export function bytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kmg]i?)?b?$/i.exec(text.trim());
  const value = Math.floor(Number(match?.[1]) * units[match?.[2]?.toLowerCase() ?? ""]!);
  if (match !== null && Number.isSafeInteger(value) && value > 0) return value;
  throw new InvalidArgumentError("It must be an amount of memory, like 800MB or 1.5GiB.");
}

/** `1,2,3`, strictly: the error names the position of what is wrong. Whether the model knows an id is asked later. */
export function tokenIds(text: string): readonly number[] {
  if (text.trim() === "") throw new InvalidArgumentError("It must hold at least one token id.");
  return text.split(",").map((part, position) => {
    const value = /^\d+$/.test(part.trim()) ? Number(part) : Number.NaN;
    if (Number.isSafeInteger(value)) return value;
    throw new InvalidArgumentError(
      `A token id must be an integer of at least 0; given '${part}' at position ${position}.`,
    );
  });
}

/** How a prompt is fed: all at once, token by token, or in chunks of a size. */
export type Mode = { readonly kind: "whole" | "step" } | { readonly kind: "chunk"; readonly size: number };

export function mode(text: string): Mode {
  if (text === "whole" || text === "step") return { kind: text };
  const chunk = /^chunk:(\d+)$/.exec(text);
  const size = Number(chunk?.[1]);
  if (chunk !== null && Number.isSafeInteger(size) && size >= 1) return { kind: "chunk", size };
  throw new InvalidArgumentError("It must be whole, step or chunk:N with N of at least 1.");
}

export interface Lead {
  readonly name: string;
  readonly size: number;
}

/** `seq=512`, repeatable. */
export function lead(text: string, earlier: readonly Lead[] | undefined): readonly Lead[] {
  const match = /^([A-Za-z_]\w*)=(\d+)$/.exec(text);
  const size = Number(match?.[2]);
  if (match === null || !Number.isSafeInteger(size) || size < 1) {
    throw new InvalidArgumentError("It must be AXIS=SIZE, like seq=512.");
  }
  return [...(earlier ?? []), { name: match[1]!, size }];
}

export const most = 2 ** 31 - 1;

export const deviceOption = () =>
  new Option("--device <NAME>", "what executes the plan").choices(["cpu", "cuda", "cuda-sim"]).default("cpu");
export const gpuLimitOption = () =>
  new Option("--gpu-limit-gb <N>", "refuse what needs more memory of the GPU, in GB of 10^9 bytes").argParser(
    positive,
  );
export const dtypeOption = () =>
  new Option("--dtype <TYPE>", "precision of matrix products and of the cache").choices(["f32", "bf16"]);
// More threads than any machine has cores is a slip of the keyboard.
export const threadsOption = () =>
  new Option("--threads <N>", "threads of the CPU runtime (default: one per physical core)").argParser(
    integer(1, 1024),
  );
export const adapterOption = () =>
  new Option("--adapter <DIR>", "LoRA adapters as PEFT has them, beside the weights");
/** `nvfp4`, or `PATTERN=nvfp4`; repeatable. */
function formatRule(everything: string, formats: readonly FormatRule["format"][]) {
  return (text: string, earlier: readonly FormatRule[] | undefined): readonly FormatRule[] => {
    const at = text.lastIndexOf("=");
    const format = text.slice(at + 1);
    const pattern = at < 0 ? everything : text.slice(0, at);
    const known = formats.find((one) => one === format);
    if (known === undefined || pattern === "") {
      const listed = `${formats.slice(0, -1).join(", ")} or ${formats.at(-1)}`;
      throw new InvalidArgumentError(`It must be FORMAT or PATTERN=FORMAT, FORMAT ${listed}.`);
    }
    return [...(earlier ?? []), { pattern, format: known }];
  };
}

export const quantizeOption = () =>
  new Option(
    "--quantize <[PATTERN=]FORMAT>",
    "quantise linears at load: nvfp4, fp8 or plain; of all blocks, or of the names that fit; repeat for several, the last one decides",
  ).argParser(formatRule("model.layers.*", ["plain", "nvfp4", "fp8"]));
export const fourOverSixOption = () =>
  new Option(
    "--four-over-six",
    "with --quantize nvfp4: take 4 as the largest code of a block where that is nearer",
  );
export const activationsOption = () =>
  new Option(
    "--activations <[PATTERN=]FORMAT>",
    "where weights are in NVFP4: what they are multiplied with stays plain, or is quantised too (nvfp4); repeat for several",
  ).argParser(formatRule("*", ["plain", "nvfp4"]));
export const rescoreOption = () =>
  new Option("--no-rescore", "a quantised head alone decides: its candidates are not scored by plain rows");
export const fp4Option = () =>
  new Option(
    "--fp4 <WAY>",
    "with --activations nvfp4: products of 128 rows or more by the values of codes, or in a GPU's units for FP4",
  ).choices(["emulated", "hardware"]);
export const capacityOption = (text = "tokens that the KV cache has room for") =>
  new Option("--capacity <N>", text).argParser(integer(1, most));
export const chunkOption = () =>
  new Option("--chunk <N>", "most tokens of one prefill step").argParser(integer(1, most));
export const jsonOption = (what: string) => new Option("--json", `print ${what} as JSON`);
export const exportOption = () =>
  new Option("--export <NAME>", "of a file: which export to take (default: the default or only one)");
export const leadOption = () =>
  new Option(
    "--lead <AXIS=SIZE>",
    "of a block: a leading axis and its largest size; repeat for several (default: seq=512)",
  ).argParser(lead);

/** Options of everything that compiles a TARGET. */
export interface TargetOptions extends TrainingTargetOptions {
  readonly export?: string;
  readonly lead?: readonly Lead[];
  readonly capacity?: number;
  readonly chunk?: number;
  readonly dtype?: "f32" | "bf16";
  readonly quantize?: readonly FormatRule[];
  readonly activations?: readonly FormatRule[];
  readonly rescore?: boolean;
  readonly fp4?: "emulated" | "hardware";
}

/** Options of everything that runs a MODEL. */
export interface ModelOptions {
  readonly quantize?: readonly FormatRule[];
  readonly fourOverSix?: boolean;
  readonly activations?: readonly FormatRule[];
  readonly rescore?: boolean;
  readonly fp4?: "emulated" | "hardware";
  readonly adapter?: string;
  readonly device: "cpu" | "cuda" | "cuda-sim";
  readonly gpuLimitGb?: number;
  readonly dtype?: "f32" | "bf16";
  readonly threads?: number;
  readonly capacity?: number;
  readonly chunk?: number;
}
