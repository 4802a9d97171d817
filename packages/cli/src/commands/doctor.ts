import { Command } from "commander";
import { jsonOption } from "./options.ts";

export interface DoctorOptions {
  readonly json?: boolean;
}

const examples = `
Examples:
  $ weft doctor
  $ weft doctor --json`;

export function doctorCommand(): Command {
  return new Command("doctor")
    .description("what this machine has, and what will be used of it")
    .addOption(jsonOption("the findings"))
    .addHelpText("after", examples)
    .action(async (options: DoctorOptions) => {
      const { doctor } = await import("../actions/doctor.ts");
      await doctor(options);
    });
}
