/**
 * Random well-typed graphs for property tests. A graph is grown from a list of instructions with integer choices, so a
 * failing case shrinks to few instructions and small numbers. Values stay finite by interval arithmetic.
 */
import type { Graph, GraphNode, NodeId } from "@weft/dsl";
import fc from "./fast-check.ts";
import { everyKind, type Instruction, type InstructionKind, steps } from "./graph-instructions.ts";
import { outputOf } from "./graph-states.ts";
import { GraphWriter, indexRange, inputRange, type Sizes } from "./graph-writer.ts";

export interface RandomGraphOptions {
  /** Instructions at most; one gives up to about ten nodes. */
  readonly maxInstructions?: number;
  /** Only these kinds of instructions; default: all. */
  readonly kinds?: readonly InstructionKind[];
  /** Names and paths with quotes, spaces, newlines and other traps for printers. */
  readonly oddNames?: boolean;
}

const sizes: fc.Arbitrary<Sizes> = fc.record({
  batch: fc.constantFrom(1, 2, 3),
  sequence: fc.constantFrom(1, 3, 5, 8),
  hidden: fc.constantFrom(1, 2, 3, 5, 8, 12),
  kvHeads: fc.constantFrom(1, 2, 3),
  group: fc.constantFrom(1, 2),
  half: fc.constantFrom(1, 2, 3),
  wide: fc.constantFrom(1, 7, 17),
});

/**
 * An arbitrary of graphs over the axes batch, seq (symbolic), hidden, heads, kvHeads, headDim and wide, with inputs,
 * parameters (some stored in bf16), states that are read, written and appended to, pointwise ops, reductions, dot,
 * gather, movement and composites, nodes with several consumers, dead nodes, subexpressions that stand twice, and several
 * outputs.
 * @example fc.assert(fc.property(randomGraph(), (graph) => isRight(verifyGraph(graph))));
 */
export function randomGraph(options: RandomGraphOptions = {}): fc.Arbitrary<Graph> {
  const kinds = options.kinds ?? everyKind;
  const choice = fc.nat({ max: 23 });
  const instruction: fc.Arbitrary<Instruction> = fc.record({
    kind: fc.constantFrom(...kinds),
    a: choice,
    b: choice,
    c: choice,
  });
  return fc
    .record({
      sizes,
      batched: fc.boolean(),
      odd: options.oddNames === true ? fc.string({ unit: "binary", maxLength: 4 }) : fc.constant(""),
      instructions: fc.array(instruction, { minLength: 1, maxLength: options.maxInstructions ?? 16 }),
      outputs: fc.array(choice, { minLength: 1, maxLength: 3 }),
      doubled: fc.array(fc.nat({ max: 99 }), { maxLength: 2 }),
    })
    .map((recipe) => doubleNodes(growGraph(recipe), recipe.doubled));
}

interface Recipe {
  readonly sizes: Sizes;
  readonly batched: boolean;
  readonly odd: string;
  readonly instructions: readonly Instruction[];
  readonly outputs: readonly number[];
}

function growGraph({ sizes, batched, odd, instructions, outputs }: Recipe): Graph {
  const writer = new GraphWriter(sizes, (name) => odd + name);
  const { builder } = writer;
  const hidden = { name: "hidden", size: sizes.hidden };
  const lead = batched ? [{ name: "batch", size: sizes.batch }] : [];
  builder.origin = { path: odd };
  const input = (
    name: string,
    dtype: "f32" | "i32",
    axes: readonly (typeof hidden | typeof writer.sequence)[],
  ) =>
    writer.keep(
      builder.add("input", [], { name: writer.spell(name), dtype, axes }),
      dtype === "i32" ? indexRange : inputRange,
      dtype === "f32",
    );
  input("tokens", "i32", [...lead, writer.sequence]);
  input("row", "f32", [hidden]);
  input("x", "f32", [...lead, writer.sequence, hidden]);
  instructions.forEach((instruction, at) => {
    builder.origin = {
      path: writer.spell(`layers.${at}.${instruction.kind}`),
      ...(at % 3 === 0 ? {} : { source: `${odd}random.ts:${at + 1}:1` }),
    };
    try {
      steps[instruction.kind](writer, instruction);
    } catch (error) {
      // Axes of one name met in two sizes: such an instruction does not fit and is skipped.
      if (!(error instanceof Error && error.name === "WeftError")) throw error;
    }
  });
  const grown = builder.finish("", []).nodes.slice();
  const named = outputs.map((pick, at) => ({
    name: writer.spell(`y${at}`),
    node: outputOf(writer, grown, writer.pick(pick)!.id),
  }));
  return builder.finish(`${odd}random`, named);
}

/**
 * Lets some nodes stand twice, with every second consumer reading the copy. A builder shares equal nodes, so this is
 * the only way to give passes duplicates to find.
 */
function doubleNodes(graph: Graph, choices: readonly number[]): Graph {
  // Two writes are no duplicates: the second one has an effect of its own.
  const candidates = graph.nodes.filter((node) => node.inputs.length > 0 && !node.op.startsWith("state"));
  if (candidates.length === 0) return graph;
  const doubled = new Set(choices.map((choice) => candidates[choice % candidates.length]!.id));
  const nodes: GraphNode[] = [];
  const images = new Map<NodeId, readonly NodeId[]>();
  let reads = 0;
  const read = (id: NodeId): NodeId => {
    const copies = images.get(id)!;
    return copies[reads++ % copies.length]!;
  };
  for (const node of graph.nodes) {
    const inputs = node.inputs.map(read);
    const copies = Array.from({ length: doubled.has(node.id) ? 2 : 1 }, (_, copy) => nodes.length + copy);
    for (const id of copies) nodes.push({ ...node, id, inputs });
    images.set(node.id, copies);
  }
  return { ...graph, nodes, outputs: graph.outputs.map(({ name, node }) => ({ name, node: read(node) })) };
}
