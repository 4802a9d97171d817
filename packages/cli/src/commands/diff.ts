import { Command, InvalidArgumentError, Option } from "commander";
import { givenSideOptions, type SideOptions, sideOptions } from "./diff-side.ts";
import { integer, jsonOption } from "./options.ts";

/** The graphs that are compared: of A after one pass, of B after the other. */
export interface PassRange {
  readonly from: string;
  readonly to: string;
}

export interface DiffOptions {
  /** What was asked for of both sides, and of one of them in its place. */
  readonly both: SideOptions;
  readonly a?: readonly string[];
  readonly b?: readonly string[];
  readonly passes?: PassRange;
  readonly program?: string;
  readonly lines: number;
  readonly exitCode?: boolean;
  readonly json?: boolean;
}

/** `decompose..simplify`, or one pass for both sides. */
function passRange(text: string): PassRange {
  const [from, to = from, ...more] = text.split("..");
  if (!from || !to || more.length > 0)
    throw new InvalidArgumentError("It must be PASS or FROM..TO, like decompose..simplify.");
  return { from, to };
}

const words = (text: string, earlier: readonly string[] = []) => [
  ...earlier,
  ...text.split(/\s+/).filter((word) => word !== ""),
];

const examples = `
A and B are each a plan (weft dump TARGET --stage plan --format json), one or several graphs (--stage graph, as text or in
JSON), or a TARGET, which is compiled: to a plan, or to what the other side is. B is A where it is left out. Options
that compile a TARGET hold for both sides; --a and --b have those of one side, which take their place.

Of plans: totals and memory first, then for each program the kernels that are changed (~), gone (-) and added (+). Kernels are
paired by the blocks that they compute. Equal changes of several layers are one: model.layers.{0..35}.
Of graphs, and with --passes: nodes that are changed, gone and added, block by block. Beside the names of passes, "given" is
the graph before all of them and "fuse" the one that kernels are formed on.

Examples:
  $ weft diff models/Qwen3-0.6B --a "--dtype f32" --b "--dtype bf16"
  $ weft diff models/Qwen3-0.6B --b "--quantize nvfp4 --quantize lm_head=fp8"
  $ weft diff models/Qwen3-0.6B --train --a "--recompute nothing" --b "--recompute everything"
  $ weft diff models/Qwen3-0.6B --passes given..kvCache --program decode
  $ weft diff plan-before.json plan-after.json --exit-code
  $ weft diff graph.json my-block.ts --json`;

export function diffCommand(): Command {
  const command = new Command("diff")
    .description(
      "what differs between two plans or graphs: kernels, bytes, memory; passes, precisions, commits",
    )
    .argument("<A>", "plan or graph that weft dump wrote, or a TARGET")
    .argument("[B]", "the other one (default: A, compiled with other options)")
    .addOption(
      new Option("--a <OPTIONS>", 'how A is compiled, like "--dtype f32"; repeat for more').argParser(words),
    )
    .addOption(
      new Option("--b <OPTIONS>", 'how B is compiled, like "--dtype bf16"; repeat for more').argParser(words),
    )
    .addOption(
      new Option(
        "--passes <FROM[..TO]>",
        "compare graphs: of A after FROM and of B after TO; one name for both",
      ).argParser(passRange),
    )
    .option("--program <NAME>", "of a model: prefill or decode only");
  for (const option of sideOptions()) command.addOption(option);
  return command
    .addOption(
      new Option("--lines <N>", "lines of each kernel or block that are printed")
        .argParser(integer(0, 1_000_000))
        .default(8),
    )
    .option("--exit-code", "exit with 1 where there is a difference")
    .addOption(jsonOption("all that differs"))
    .addHelpText("after", examples)
    .action(async (a: string, b: string | undefined, options: Omit<DiffOptions, "both">) => {
      const { diff } = await import("../actions/diff.ts");
      await diff(a, b, { ...options, both: givenSideOptions(command) });
    });
}
