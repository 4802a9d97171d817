/**
 * Blocks in `->>` notation:
 *
 *     a ->> b                      chain
 *     (a | b | c)                  parallel: one input to each
 *     split(a | b)                 one part of a tuple to each
 *     residual(a)                  x + a(x)
 *     path: (a ->> b)              a block with a path
 *     model.layers[0..35]: (a) x36 repeat; layers that differ stand one by one
 *     stage(label, a)
 *
 * A leaf prints as the last segment of its name, more where that is not unique; leaves that differ and would read alike
 * get a number, `rope~2`. `merge` only marks and is not printed. `wire` reads all of it back.
 */
import { type AnyBlock, asBlock, type BlockLike, blockEquals, normalize } from "../blocks/internal.ts";
import { concat, type Document, enclosed, group, indent, line, render, stack, text } from "./document.ts";
import { leafNames } from "./names.ts";

/**
 * A block on one line. The text is that of its normal form: chains are flat and `id` is left out of them.
 * @example printBlock(mlp); // "post_attention_layernorm ->> (gate_proj ->> silu | up_proj) ->> mul ->> down_proj"
 */
export function printBlock(block: AnyBlock | BlockLike): string {
  return render(documentOf(block), Number.POSITIVE_INFINITY);
}

/**
 * A block over several indented lines of at most `width` characters, where that is possible.
 * @example console.log(prettyBlock(model));
 */
export function prettyBlock(block: AnyBlock | BlockLike, width = 100): string {
  return render(documentOf(block), width);
}

type Names = ReadonlyMap<AnyBlock, string>;

function documentOf(block: AnyBlock | BlockLike): Document {
  const normal = normalize(asBlock(block, "printBlock"));
  return chainDocument(normal, leafNames(normal));
}

/** A block where a chain may stand without parentheses. */
function chainDocument(block: AnyBlock, names: Names): Document {
  const { expression } = block;
  if (expression.tag !== "chain") return atom(block, names);
  const parts = expression.blocks.map((one) => atom(one, names));
  return group(stack(parts, concat(line, text("->> "))));
}

/** A block that can stand as one part of a chain. */
function atom(block: AnyBlock, names: Names): Document {
  const { expression } = block;
  switch (expression.tag) {
    case "id":
      return text("id");
    case "leaf":
      return text(names.get(block) ?? expression.label);
    case "chain":
      return enclosed("(", chainDocument(block, names), ")");
    case "parallel":
      // One branch in plain parentheses would only be grouped.
      return enclosed(
        expression.blocks.length === 1 ? "parallel(" : "(",
        branches(expression.blocks, names),
        ")",
      );
    case "split":
      return enclosed("split(", branches(expression.blocks, names), ")");
    case "merge":
      return atom(expression.block, names);
    case "residual":
      return enclosed("residual(", chainDocument(expression.block, names), ")");
    case "stage":
      return enclosed(`stage(${expression.label}, `, chainDocument(expression.block, names), ")");
    case "named":
      return expression.block.expression.tag === "leaf"
        ? text(names.get(block) ?? expression.path)
        : concat(text(`${expression.path}: `), body(expression.block, names));
    case "repeat":
      return group(
        stack(
          runsOf(expression.blocks).map((run) => repeated(run, expression.prefix, names)),
          continued,
        ),
      );
    default:
      return expression satisfies never;
  }
}

const continued = concat(line, text("->> "));

function branches(blocks: readonly AnyBlock[], names: Names): Document {
  return stack(
    blocks.map((one) => indent(chainDocument(one, names))),
    concat(line, text("| ")),
  );
}

/** What stands after `name: `, always in parentheses. */
function body(block: AnyBlock, names: Names): Document {
  const { tag } = block.expression;
  const bracketed = tag === "parallel" || tag === "split" || tag === "residual" || tag === "stage";
  return bracketed && tag !== "parallel"
    ? atom(block, names)
    : enclosed("(", chainDocument(block, names), ")");
}

interface Run {
  readonly block: AnyBlock;
  readonly from: number;
  count: number;
}

/** Equal neighbours together. */
function runsOf(blocks: readonly AnyBlock[]): readonly Run[] {
  const runs: Run[] = [];
  for (const [index, block] of blocks.entries()) {
    const last = runs.at(-1);
    if (last !== undefined && blockEquals(last.block, block)) last.count++;
    else runs.push({ block, from: index, count: 1 });
  }
  return runs;
}

function repeated({ block, from, count }: Run, prefix: string, names: Names): Document {
  const indices = count === 1 ? `${from}` : `${from}..${from + count - 1}`;
  const times = count === 1 ? [] : [text(` x${count}`)];
  const inside = enclosed("(", chainDocument(block, names), ")");
  return concat(text(`${prefix}[${indices}]: `), inside, ...times);
}
