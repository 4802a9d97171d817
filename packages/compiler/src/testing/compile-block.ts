/** A block compiled for a test, in one call. */
import { type AnyBlock, type Axis, type BlockLike, type Graph, orThrow } from "@weft/dsl";
import { type Compiled, compile, type LoweringOptions } from "../compile.ts";
import { expandBlock } from "../passes/expand.ts";
import type { Pass } from "../passes/pass.ts";

export interface CompileBlockOptions extends LoweringOptions {
  /** Axes that lead every input and pass through: `[axis("seq", { symbol: "seq", max: 32 })]`. Default: none. */
  readonly lead?: readonly Axis[];
  readonly passes?: readonly Pass[];
}

/**
 * A plan of one program, `main`, of a block or a graph, with the records that `assertKernels` reads.
 * @throws WeftError with every problem of compiling it.
 * @example assertPeakBytes(compileBlock(mlp, { lead: [seq] }), { atMost: 16384 });
 */
export function compileBlock(
  given: AnyBlock | BlockLike | Graph,
  options: CompileBlockOptions = {},
): Compiled {
  const { lead = [], passes = [], fusion = true, lossChunk } = options;
  const graph = isGraph(given) ? given : expandBlock(given, { name: "main", lead });
  return orThrow(
    compile([{ name: "main", graph, passes }], {
      name: graph.name,
      fusion,
      ...(lossChunk === undefined ? {} : { lossChunk }),
    }),
  );
}

/** Whether it is a graph, and no block. */
export function isGraph(given: AnyBlock | BlockLike | Graph): given is Graph {
  return "nodes" in given;
}
