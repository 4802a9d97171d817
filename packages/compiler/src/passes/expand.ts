/**
 * expand: a block becomes a graph. Each leaf becomes one node (plus its parameters and side inputs); combinators only
 * wire values. Every block with a path is remembered, so that its value can be observed by name.
 */
import {
  type AnyBlock,
  type Axis,
  asBlock,
  type BlockLike,
  type Dtype,
  type Graph,
  GraphBuilder,
  internalProblem,
  type NodeId,
  type OpAttributes,
  type OpName,
  userProblem,
  WeftError,
  type WireSpec,
} from "@weft/dsl";

/** A node, or a tuple of values. */
type Value = NodeId | readonly Value[];

export interface ExpandOptions {
  /** The graph's name. */
  readonly name: string;
  /** Axes that lead every input and pass through the blocks: `[seq]`. */
  readonly lead: readonly Axis[];
  /** Names of the inputs, in wire order; `input` or `input.0`, `input.1`, ... where none is given. */
  readonly inputNames?: readonly string[];
  /** Name of the output; a tuple's parts get `.0`, `.1`, ... */
  readonly outputName?: string;
  /** Paths of blocks whose values become further outputs, under their path. */
  readonly observe?: readonly string[];
}

const dtypeOf: Record<"float" | "int" | "bool", Dtype> = { float: "f32", int: "i32", bool: "bool" };

/** @throws WeftError when an op's inputs do not fit, or an observed path does not exist. */
export function expandBlock(given: AnyBlock | BlockLike, options: ExpandOptions): Graph {
  const block = asBlock(given, "expand");
  const builder = new GraphBuilder();
  const byPath = new Map<string, Value>();
  let unnamed = 0;
  const takeName = () => {
    const name = options.inputNames?.[unnamed];
    unnamed++;
    return name ?? (block.input.tag === "tensor" ? "input" : `input.${unnamed - 1}`);
  };
  const declareInput = (wire: WireSpec): Value => {
    if (wire.tag === "tuple") return wire.wires.map(declareInput);
    // A block that takes any wire is tried on a tensor that has the leading axes only.
    const [kind, axes] = wire.tag === "any" ? (["float", []] as const) : ([wire.kind, wire.axes] as const);
    return builder.add("input", [], {
      name: takeName(),
      dtype: dtypeOf[kind],
      axes: [...options.lead, ...axes],
    });
  };
  const input = declareInput(block.input);
  const output = lower({ builder, byPath, lead: options.lead }, block, input, "");
  const outputs = nameOutputs(output, options.outputName ?? "output");
  for (const path of options.observe ?? []) {
    const value = byPath.get(path);
    if (value === undefined) {
      throw new WeftError([
        userProblem("expand", "an observed path must be the path of a block", {
          given: JSON.stringify(path),
          remedy: `paths here: ${[...byPath.keys()].slice(0, 8).join(", ")}, ...`,
        }),
      ]);
    }
    outputs.push(...nameOutputs(value, path));
  }
  return builder.finish(options.name, outputs);
}

interface Context {
  readonly builder: GraphBuilder;
  readonly byPath: Map<string, Value>;
  readonly lead: readonly Axis[];
}

function nameOutputs(value: Value, name: string): { name: string; node: NodeId }[] {
  if (typeof value === "number") return [{ name, node: value }];
  return value.flatMap((one, index) => nameOutputs(one, `${name}.${index}`));
}

function joinPath(prefix: string, name: string): string {
  return prefix === "" ? name : `${prefix}.${name}`;
}

function partsOf(value: Value, block: AnyBlock): readonly Value[] {
  if (typeof value !== "number") return value;
  throw new WeftError([
    internalProblem("expand", "a tuple must reach this block", { given: block.expression.tag }),
  ]);
}

function lower(context: Context, block: AnyBlock, value: Value, path: string): Value {
  const expression = block.expression;
  switch (expression.tag) {
    case "id":
      return value;
    case "leaf":
      return lowerLeaf(context, block, value, path);
    case "chain":
      return expression.blocks.reduce((current, one) => lower(context, one, current, path), value);
    case "parallel":
      return expression.blocks.map((one) => lower(context, one, value, path));
    case "split": {
      const parts = partsOf(value, block);
      return expression.blocks.map((one, index) => lower(context, one, parts[index]!, path));
    }
    case "merge":
      return lower(context, expression.block, value, path);
    case "residual": {
      const inner = lower(context, expression.block, value, path);
      context.builder.origin = { path, ...(block.source === undefined ? {} : { source: block.source }) };
      return addValues(context.builder, value, inner);
    }
    case "repeat":
      return expression.blocks.reduce((current: Value, one, index) => {
        const inner = joinPath(expression.prefix, String(index));
        const own = joinPath(path, inner);
        const result = lower(context, one, current, own);
        context.byPath.set(own, result);
        return result;
      }, value);
    case "named": {
      const own = joinPath(path, expression.path);
      const result = lower(context, expression.block, value, own);
      context.byPath.set(own, result);
      return result;
    }
    case "stage":
      return lower(context, expression.block, value, path);
    default:
      return expression satisfies never;
  }
}

function addValues(builder: GraphBuilder, a: Value, b: Value): Value {
  if (typeof a === "number" && typeof b === "number") return builder.add("add", [a, b], {});
  return (a as readonly Value[]).map((one, index) =>
    addValues(builder, one, (b as readonly Value[])[index]!),
  );
}

function lowerLeaf(context: Context, block: AnyBlock, value: Value, path: string): Value {
  const leaf = block.expression;
  if (leaf.tag !== "leaf") throw new WeftError([internalProblem("expand", "a leaf is expected here")]);
  const { builder } = context;
  builder.origin = { path, ...(block.source === undefined ? {} : { source: block.source }) };
  const flatten = (one: Value): NodeId[] => (typeof one === "number" ? [one] : one.flatMap(flatten));
  const inputs = flatten(value);
  const parameters = leaf.parameters.map((one) =>
    builder.add("parameter", [], {
      name: one.shared === true ? one.name : joinPath(path, one.name),
      dtype: "f32",
      axes: one.axes,
    }),
  );
  const sides = leaf.sideInputs.map((side) => {
    const found = inputs.flatMap((id) => builder.type(id).axes).find((axis) => axis.name === side.axis);
    if (found === undefined) {
      throw new WeftError([
        userProblem(leaf.op, `needs the position along "${side.axis}", so an input must have that axis`, {
          path,
          ...(block.source === undefined ? {} : { location: block.source }),
          remedy: `lead the input with an axis "${side.axis}"`,
        }),
      ]);
    }
    return builder.add("position", [], { axis: found });
  });
  const attributes = (leaf.expression === undefined
    ? leaf.attributes
    : { ...leaf.attributes, expression: leaf.expression }) as unknown as OpAttributes[OpName];
  return builder.add(leaf.op, [...inputs, ...parameters, ...sides], attributes);
}
