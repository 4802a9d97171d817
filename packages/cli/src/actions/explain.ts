/** `weft explain`: what became of one block, and why. */
import {
  type Compiled,
  costOf,
  type Explanation,
  exampleSymbols,
  explain as explainPath,
  formatBytes,
  knownPaths,
  nearestPath,
  printExplanation,
  type StepCost,
} from "@weft/compiler";
import type { ExplainOptions } from "../commands/explain.ts";
import { compileTarget } from "../target/compile-target.ts";
import { openTarget } from "../target/target.ts";
import { print, printJson } from "../terminal/output.ts";
import { refuse } from "../terminal/refuse.ts";

export async function explain(target: string, path: string, options: ExplainOptions): Promise<void> {
  const { compiled } = compileTarget(await openTarget(target, options.export), options);
  const names = compiled.plan.programs.map((one) => one.name);
  if (options.program !== undefined && !names.includes(options.program)) {
    refuse("--program", `must be one of ${names.join(", ")}`, { given: options.program });
  }
  const found = explainPath(compiled, path);
  if (found === undefined) refusePath(compiled, path);
  const explanation: Explanation = {
    ...found,
    programs: found.programs.filter(
      (one) => options.program === undefined || one.program === options.program,
    ),
  };
  const work = stepsOf(compiled, explanation);
  if (options.json === true) {
    await printJson({ ...explanation, buffers: work });
    return;
  }
  const lines = [printExplanation(explanation)];
  for (const one of work) {
    lines.push(`  buffers in ${one.program}, step ${one.step}:`);
    for (const buffer of one.buffers) {
      lines.push(
        `    ${buffer.access} ${buffer.dtype}[${buffer.shape.join(", ")}] ${buffer.name}: ${buffer.class}, ${formatBytes(buffer.bytes)} at ${buffer.offset}`,
      );
    }
    lines.push(
      `    ${formatBytes(one.cost.readBytes)} read, ${formatBytes(one.cost.writtenBytes)} written at ${one.at}`,
    );
  }
  await print(lines.join("\n"));
}

function refusePath(compiled: Compiled, path: string): never {
  const near = nearestPath(compiled, path);
  const known = knownPaths(compiled);
  refuse("explain", "PATH must be the path of a block", {
    given: path,
    remedy:
      near === undefined
        ? `paths here: ${known.slice(0, 8).join(", ")}${known.length > 8 ? ", ..." : ""}`
        : `did you mean ${near}?`,
  });
}

interface StepBuffers {
  readonly program: string;
  readonly step: number;
  /** The symbol values that the cost was taken at. */
  readonly at: string;
  readonly cost: StepCost;
  readonly buffers: readonly {
    readonly name: string;
    readonly access: string;
    readonly class: string;
    readonly dtype: string;
    readonly shape: readonly number[];
    readonly bytes: number;
    readonly offset: number;
  }[];
}

/** The buffers that the steps of an explanation touch, and what that costs. */
function stepsOf({ plan }: Compiled, explanation: Explanation): readonly StepBuffers[] {
  return explanation.programs.flatMap(({ program: name, steps }) => {
    const program = plan.programs.find((one) => one.name === name)!;
    const symbols = exampleSymbols(plan, program);
    const at = Object.entries(symbols)
      .map(([symbol, value]) => `${symbol}=${value}`)
      .join(", ");
    const costs = costOf(plan, program, symbols);
    return steps.map(({ step }) => {
      const { kernel, bindings } = program.steps[step]!;
      const buffers = bindings.map((buffer, slot) => {
        const { access } = plan.kernels[kernel]!.slots[slot]!;
        return { access, ...plan.buffers[buffer]! };
      });
      return { program: name, step, at, cost: costs[step]!, buffers };
    });
  });
}
