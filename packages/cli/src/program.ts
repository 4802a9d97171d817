/** The command line: names, options and help. What a command does is loaded only when it runs. */
import { Command } from "commander";
import { benchCommand } from "./commands/bench.ts";
import { cacheCommand } from "./commands/cache.ts";
import { chatCommand } from "./commands/chat.ts";
import { compileCommand } from "./commands/compile.ts";
import { diffCommand } from "./commands/diff.ts";
import { doctorCommand } from "./commands/doctor.ts";
import { dumpCommand } from "./commands/dump.ts";
import { explainCommand } from "./commands/explain.ts";
import { exportCommand } from "./commands/export.ts";
import { generateCommand } from "./commands/generate.ts";
import { guardCommand } from "./commands/guard.ts";
import { inspectCommand } from "./commands/inspect.ts";
import { logitsCommand } from "./commands/logits.ts";
import { lossCommand } from "./commands/loss.ts";
import { memoryCommand } from "./commands/memory.ts";
import { mergeCommand } from "./commands/merge.ts";
import { newCommand } from "./commands/new.ts";
import { profileCommand } from "./commands/profile.ts";
import { quantizeCommand } from "./commands/quantize.ts";
import { summaryCommand } from "./commands/summary.ts";
import { trainCommand } from "./commands/train.ts";
import { packageVersion } from "./version.ts";

const overview = `
MODEL is a directory with a Qwen3 checkpoint as Hugging Face writes it. TARGET is such a directory or its config.json, or
a TypeScript or JavaScript file that exports a block or a graph.

Examples:
  $ weft doctor
  $ weft generate models/Qwen3-0.6B --prompt "The capital of France is" --stream
  $ weft chat models/Qwen3-0.6B
  $ weft summary my-block.ts
  $ weft dump models/Qwen3-0.6B --stage kernels

Exit codes: 0 success, 1 failure, 2 wrong usage or bad input. WEFT_DEBUG=1 shows stack traces.`;

export function createProgram(): Command {
  const program = new Command("weft")
    .description("One typed block graph, compiled to fused plans")
    .version(packageVersion(), "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand(false)
    .usage("COMMAND [options]")
    .addHelpText("after", overview);
  const commands = [
    generateCommand(),
    chatCommand(),
    logitsCommand(),
    lossCommand(),
    trainCommand(),
    mergeCommand(),
    quantizeCommand(),
    exportCommand(),
    newCommand(),
    summaryCommand(),
    dumpCommand(),
    explainCommand(),
    diffCommand(),
    inspectCommand(),
    memoryCommand(),
    profileCommand(),
    benchCommand(),
    compileCommand(),
    cacheCommand(),
    guardCommand(),
    doctorCommand(),
  ];
  for (const command of commands) {
    command.helpOption("-h, --help", "print this help").allowExcessArguments(false);
    command.showHelpAfterError(`(weft ${command.name()} --help lists the options)`);
    program.addCommand(command);
  }
  program.showHelpAfterError("(weft --help lists the commands)");
  for (const command of [program, ...commands]) {
    // Errors become exceptions, so that one place decides the exit code.
    command.exitOverride();
    // Help is the same in every window: tests and documents quote it.
    command.configureHelp({ helpWidth: 110 });
    command.configureOutput({ getOutHasColors: () => false, getErrHasColors: () => false });
  }
  return program;
}
