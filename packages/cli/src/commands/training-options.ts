/** Options that decide which plan trains a model: of `weft train`, and of the commands that look at that plan. */
import { type Command, Option } from "commander";
import { bytes, integer, most, positive } from "./options.ts";

export interface TrainingPlanFlags {
  readonly sequence?: number;
  readonly batch: number;
  readonly accumulate: number;
  readonly optimizer: "adamw" | "sgd";
  readonly moments: "f32" | "int8" | "nvfp4";
  readonly weights: "f32" | "bf16";
  readonly quantize?: "nvfp4";
  readonly fourOverSix?: boolean;
  readonly lastLayers?: number;
  readonly lora?: number;
  readonly loraAlpha?: number;
  readonly loraTargets?: readonly string[];
  readonly recompute?: "nothing" | "rows" | "products" | "everything";
  readonly activationBudget?: number;
  readonly dtype: "f32" | "bf16";
}

/** What is taken where an option is left out; all others are undefined then. */
export const trainingDefaults = {
  batch: 1,
  accumulate: 1,
  optimizer: "adamw",
  moments: "f32",
  weights: "f32",
  dtype: "f32",
} as const satisfies Partial<TrainingPlanFlags>;

const count = integer(1, most);

/** Each without its default, so that who reads it knows whether it was given. */
export const trainingOption = {
  sequence: () =>
    new Option(
      "--sequence <N>",
      "most tokens that see each other (default: 1024, or what the model has)",
    ).argParser(integer(2, most)),
  batch: () => new Option("--batch <N>", "sequences of one pass").argParser(integer(1, 65_536)),
  accumulate: () => new Option("--accumulate <N>", "passes of one update").argParser(count),
  optimizer: () => new Option("--optimizer <RULE>", "how weights move").choices(["adamw", "sgd"]),
  moments: () =>
    new Option("--moments <TYPE>", "how adamw keeps its moments of large matrices between updates").choices([
      "f32",
      "int8",
      "nvfp4",
    ]),
  weights: () =>
    new Option("--weights <TYPE>", "how trained weights are stored; bf16 is rounded at random").choices([
      "f32",
      "bf16",
    ]),
  fourOverSix: () =>
    new Option("--four-over-six", "take 4 as the largest code of a block where that is nearer"),
  lastLayers: () => new Option("--last-layers <N>", "train the last layers only").argParser(count),
  lora: () =>
    new Option("--lora <RANK>", "train adapters of this rank beside the weights, which stay").argParser(
      count,
    ),
  loraAlpha: () =>
    new Option("--lora-alpha <A>", "adapters are scaled by A / RANK (default: RANK)").argParser(positive),
  loraTargets: () =>
    new Option(
      "--lora-targets <NAMES>",
      "linears with adapters, as in q_proj,v_proj (default: all of the layers)",
    ).argParser((text: string) => text.split(",").map((name) => name.trim())),
  recompute: () =>
    new Option(
      "--recompute <WHAT>",
      "what each layer computes again on the way back rather than keep it (default: rows)",
    ).choices(["nothing", "rows", "products", "everything"]),
  activationBudget: () =>
    new Option(
      "--activation-budget <SIZE>",
      "most memory for activations and gradients, as 2GB: layers compute more again until they fit",
    ).argParser(bytes),
} as const satisfies Readonly<Record<string, () => Option>>;

/** Of a command that looks at plans: `--train`, and what goes with it. */
export interface TrainingTargetOptions extends Omit<Partial<TrainingPlanFlags>, "dtype" | "quantize"> {
  readonly train?: boolean;
}

const heading = "Options of --train, with the defaults of weft train:";

/** `--train`, and in a group of their own the options that it takes. */
export const trainingTargetOptions = (): readonly Option[] => [
  new Option(
    "--train",
    "of a model: the plan of its training, with the options below, --dtype and --quantize",
  ),
  ...Object.values(trainingOption).map((make) => make().helpGroup(heading)),
];

/** Adds these below all others. */
export function addTrainingOptions(command: Command): Command {
  for (const option of trainingTargetOptions()) command.addOption(option);
  return command;
}

/** As they are written on the command line. */
export const trainingFlagNames: Readonly<Record<keyof typeof trainingOption, string>> = Object.fromEntries(
  Object.entries(trainingOption).map(([key, make]) => [key, make().long!]),
) as never;
