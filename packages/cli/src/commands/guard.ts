import { Command, InvalidArgumentError } from "commander";
import { positive, real } from "./options.ts";

export interface GuardOptions {
  readonly gpuLimitGb?: number;
  readonly gpuOverSecs: number;
  readonly gpuPollSecs: number;
  readonly memoryLimitGb?: number;
  readonly memoryOverSecs: number;
  readonly memoryPollSecs: number;
  readonly killSecs: number;
}

function seconds(text: string): number {
  const value = real(text);
  if (value >= 0) return value;
  throw new InvalidArgumentError("It must be a number of at least 0.");
}

const examples = `
Watches CMD and every process that it starts. Over a limit, all of them are asked to end (TERM), and what is left is
killed (KILL); the exit code is 124 then. Otherwise it is CMD's own, 128 and its number where a signal ended it. One GB
is 10^9 bytes. GPU memory is what nvidia-smi counts for these processes, on all GPUs together; memory is what /proc calls
resident, in which pages that processes share count for each of them.

Examples:
  $ weft guard --gpu-limit-gb 108 --gpu-over-secs 0 --gpu-poll-secs 0.5 -- weft generate models/Qwen3-4B --prompt Hello
  $ weft guard --memory-limit-gb 16 -- node my-program.js`;

export function guardCommand(): Command {
  return new Command("guard")
    .description("run a command and end it, with all it started, over a memory limit")
    .argument("<CMD...>", "the command with its arguments, behind --")
    .option("--gpu-limit-gb <N>", "the most GPU memory, in GB", positive)
    .option("--gpu-over-secs <N>", "how long it may be over the limit", seconds, 0)
    .option("--gpu-poll-secs <N>", "time between two looks", positive, 0.5)
    .option("--memory-limit-gb <N>", "the most resident memory, in GB", positive)
    .option("--memory-over-secs <N>", "how long it may be over the limit", seconds, 0)
    .option("--memory-poll-secs <N>", "time between two looks", positive, 0.5)
    .option("--kill-secs <N>", "time between TERM and KILL", seconds, 5)
    .addHelpText("after", examples)
    .action(async (command: readonly string[], options: GuardOptions) => {
      const { guard } = await import("../actions/guard.ts");
      await guard(command, options);
    });
}
