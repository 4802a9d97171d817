/** The block type, its methods, and the one function that makes block data. */
import { userProblem, WeftError } from "../errors.ts";
import { describeBlock } from "./describe.ts";
import type { ChainOf, NextChecked } from "./meet.ts";
import { sentences } from "./sentences.ts";
import { captureSite, type Site } from "./source.ts";
import type { AnyBlock, BlockExpression, WireSpec } from "./types.ts";
import { canonical, tagged, Unifier } from "./unify.ts";
import { formatWire } from "./wire.ts";

/** The wires of a block, for the type checker only: no block holds such a property. */
export declare const wires: unique symbol;

/**
 * Immutable data that describes a function from wire `I` to wire `O`. Both list the trailing axes that the block
 * touches; leading axes pass through.
 */
export interface Block<out I, out O> extends AnyBlock, BlockMethods {
  readonly [wires]: readonly [I, O];
}

/** Any block, for bounds. */
export type BlockLike = Block<unknown, unknown>;
export type InputOf<B extends BlockLike> = B[typeof wires][0];
export type OutputOf<B extends BlockLike> = B[typeof wires][1];

/** The methods name no wires of their own, so that comparing two block types never descends into them. */
export interface BlockMethods {
  /**
   * This block, then the next one: `a.to(b)` is `chain(a, b)`.
   * @throws WeftError when the wires do not fit.
   * @example linear("up", hidden, intermediate).to(silu);
   */
  to<This extends BlockLike, Next extends BlockLike>(
    this: This,
    next: Next extends NextChecked<This, Next> ? Next : NextChecked<This, Next>,
  ): ChainOf<[This, Next]>;
  /**
   * The same block under a path of its own; parameters inside are named below it.
   * @example chain(norm, mlp).named("model.layers.0");
   */
  named<This extends BlockLike>(this: This, path: string): Block<InputOf<This>, OutputOf<This>>;
}

class BlockData implements AnyBlock {
  readonly input: WireSpec;
  readonly output: WireSpec;
  readonly expression: BlockExpression;
  readonly #site: Site;

  constructor(input: WireSpec, output: WireSpec, expression: BlockExpression) {
    this.input = input;
    this.output = output;
    this.expression = expression;
    this.#site = captureSite();
    Object.freeze(this);
  }

  get source(): string | undefined {
    return this.#site.location;
  }

  to(next: unknown): AnyBlock {
    return chainBlocks("chain", [this, next]);
  }

  named(path: string): AnyBlock {
    return nameBlock(path, this);
  }
}

/** Block data with the given wires; variables are renamed by first appearance. */
export function makeBlock(input: WireSpec, output: WireSpec, expression: BlockExpression): BlockData {
  const [from, to] = canonical(input, output);
  return new BlockData(from, to, deepFreeze(expression));
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  for (const inner of Object.values(value)) deepFreeze(inner);
  return Object.freeze(value);
}

/** Blocks that can be called in a traced function as well (`tanh`) keep their data here. */
export const dataOf: unique symbol = Symbol("block");

export function isBlock(value: unknown): value is BlockLike {
  return value instanceof BlockData || (typeof value === "function" && dataOf in value);
}

/** The plain data of a block, or the problem that there is none. */
export function asBlock(value: unknown, source: string, place = "the argument"): AnyBlock {
  if (value instanceof BlockData) return value;
  if (typeof value === "function" && dataOf in value) return value[dataOf] as AnyBlock;
  const given =
    typeof value === "function" ? "a function; call it to get its block" : String(JSON.stringify(value));
  throw blockError(source, `${place} must be a block`, given);
}

export function asBlocks(values: readonly unknown[], source: string): readonly AnyBlock[] {
  return values.map((value, index) => asBlock(value, source, `argument ${index + 1}`));
}

/** A mistake in putting blocks together, at the line that made it. */
export function blockError(source: string, requirement: string, given?: string, remedy?: string): WeftError {
  const location = captureSite().location;
  return new WeftError([
    userProblem(source, requirement, {
      ...(given === undefined ? {} : { given }),
      ...(location === undefined ? {} : { location }),
      ...(remedy === undefined ? {} : { remedy }),
    }),
  ]);
}

/** The untyped half of `chain`: solves the wires from left to right. */
export function chainBlocks(source: string, values: readonly unknown[]): AnyBlock {
  const blocks = asBlocks(values, source);
  const first = blocks[0];
  if (first === undefined) throw blockError(source, "needs at least one block");
  let [input, output] = [first.input, first.output];
  for (const [index, block] of blocks.entries()) {
    if (index === 0) continue;
    const unifier = new Unifier();
    const needs = tagged(block.input, "r");
    const clash = unifier.unify(tagged(output, "l"), needs);
    if (clash !== undefined) {
      const sizes = clash === "sizes";
      throw blockError(
        source,
        sentences.chain(formatWire(output, { sizes }), formatWire(block.input, { sizes })),
        `${describeBlock(blocks[index - 1]!)} on the left, ${describeBlock(block)} on the right`,
      );
    }
    [input, output] = canonical(unifier.apply(tagged(input, "l")), unifier.apply(tagged(block.output, "r")));
  }
  return makeBlock(input, output, { tag: "chain", blocks });
}

/** The untyped half of `named`. */
export function nameBlock(path: string, value: unknown): AnyBlock {
  const block = asBlock(value, "named");
  checkPath(path, "named");
  return makeBlock(block.input, block.output, { tag: "named", path, block });
}

/** A path is segments of letters, digits, `_` and `-`, joined by dots. */
export function checkPath(path: string, source: string): void {
  if (typeof path === "string" && /^[\w-]+(\.[\w-]+)*$/.test(path)) return;
  throw blockError(
    source,
    "a path is names joined by dots",
    String(JSON.stringify(path)),
    'write "self_attn.q_proj"',
  );
}
