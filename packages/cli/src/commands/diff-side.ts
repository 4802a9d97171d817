/** Options that compile one side of a comparison: of the command for both sides, of `--a` and `--b` for one of them. */
import { Command, CommanderError, type Option } from "commander";
import { refuse } from "../terminal/refuse.ts";
import {
  activationsOption,
  capacityOption,
  chunkOption,
  deviceOption,
  dtypeOption,
  exportOption,
  leadOption,
  quantizeOption,
  rescoreOption,
  type TargetOptions,
} from "./options.ts";
import { trainingTargetOptions } from "./training-options.ts";

export interface SideOptions extends TargetOptions {
  readonly device?: "cpu" | "cuda" | "cuda-sim";
}

export const sideOptions = (): readonly Option[] => [
  deviceOption(),
  exportOption(),
  leadOption(),
  dtypeOption(),
  quantizeOption(),
  activationsOption(),
  rescoreOption(),
  capacityOption(),
  chunkOption(),
  ...trainingTargetOptions(),
];

/** Of these options those that the user gave. */
export function givenSideOptions(command: Command): SideOptions {
  const names = sideOptions().map((one) => one.attributeName());
  return Object.fromEntries(
    names
      .filter((name) => command.getOptionValueSource(name) === "cli")
      .map((name) => [name, command.getOptionValue(name)]),
  );
}

/** The flags of options that were given. */
export const flagsOf = (options: SideOptions): string[] =>
  sideOptions()
    .filter((one) => one.attributeName() in options)
    .map((one) => one.long ?? one.name());

/**
 * Reads what `--a` or `--b` holds.
 * @throws WeftError for whatever is no option of a side.
 */
export function readSideOptions(flag: "--a" | "--b", words: readonly string[]): SideOptions {
  const command = new Command("diff").helpOption(false).allowExcessArguments(false).exitOverride();
  command.configureOutput({ writeErr: () => {} });
  for (const option of sideOptions()) command.addOption(option);
  try {
    command.parse([...words], { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    refuse(flag, "must be options that compile a TARGET", {
      given: JSON.stringify(words.join(" ")),
      remedy: error.message.replace(/^error: /, "").replaceAll("\n", " "),
    });
  }
  return givenSideOptions(command);
}
