/** The block type, its methods, and the one function that makes block data. */
import { userProblem, WeftError } from "../errors.ts";
import type { ChainOf, NextChecked } from "./checks.ts";
import { describeBlock } from "./describe.ts";
import { sentences } from "./sentences.ts";
import { captureSite, type Site } from "./source.ts";
import type { AnyBlock, BlockExpression, WireSpec } from "./types.ts";
import { canonical, meet } from "./unify.ts";
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
  readonly #site: Site | undefined;
  /** Blocks within each other, this one included. */
  readonly #depth: number;

  constructor(input: WireSpec, output: WireSpec, expression: BlockExpression, site: Site | undefined) {
    this.input = input;
    this.output = output;
    this.expression = expression;
    this.#site = site;
    this.#depth = BlockData.#depthOf(expression);
    if (this.#depth > deepest) throw tooDeep(expression.tag);
    Object.freeze(this);
  }

  static #depthOf(expression: BlockExpression): number {
    let inside = 0;
    const within =
      "blocks" in expression ? expression.blocks : "block" in expression ? [expression.block] : [];
    for (const one of within) if (one instanceof BlockData) inside = Math.max(inside, one.#depth);
    return 1 + inside;
  }

  get source(): string | undefined {
    return this.#site?.location;
  }

  to(next: unknown): AnyBlock {
    return chainBlocks([this, next], captureSite(this.to));
  }

  named(path: string): AnyBlock {
    return nameBlock(path, this, captureSite(this.named));
  }
}

/** Whoever goes through a block descends into it, and a stack has an end. No model comes near: blocks stand side by side. */
export const deepest = 1000;

export const tooDeep = (source: string) =>
  blockError(
    source,
    `blocks must not be nested deeper than ${deepest}`,
    "one that goes deeper",
    "put blocks side by side: chain and repeat take any number of them",
  );

/**
 * Block data with the given wires; variables are renamed by first appearance. Without a site the block is one of the
 * DSL's own constants.
 */
export function makeBlock(
  input: WireSpec,
  output: WireSpec,
  expression: BlockExpression,
  site?: Site,
): AnyBlock {
  const [from, to] = canonical(input, output);
  checkDistinct(to, expression.tag);
  return new BlockData(from, to, Object.freeze(expression), site);
}

/** A tensor has each axis once: a lead that passes through must not meet its own name. */
function checkDistinct(wire: WireSpec, source: string): void {
  if (wire.tag === "tuple") for (const one of wire.wires) checkDistinct(one, source);
  if (wire.tag !== "tensor") return;
  const names = wire.axes.map((axis) => axis.name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice === undefined) return;
  throw blockError(source, `a tensor must have each axis once`, `${twice} twice in ${formatWire(wire)}`);
}

/** Blocks that can be called in a traced function as well (`tanh`) keep their data here. */
export const dataOf: unique symbol = Symbol("block");

/** Whether a value is a block, callable ones such as `tanh` included. */
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
  return Object.freeze(values.map((value, index) => asBlock(value, source, `argument ${index + 1}`)));
}

/** What a constructor objects to, at the line that called it. */
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

/** A misfit of wires. The sentence starts with the combinator's name, as the type checker shows it. */
export function misfit(sentence: string, given?: string): WeftError {
  const colon = sentence.indexOf(": ");
  return blockError(sentence.slice(0, colon), sentence.slice(colon + 2), given);
}

/** The untyped half of `chain`: solves the wires from left to right. */
export function chainBlocks(values: readonly unknown[], site?: Site): AnyBlock {
  const blocks = asBlocks(values, "chain");
  const first = blocks[0];
  if (first === undefined) throw blockError("chain", "needs at least one block");
  let [input, output] = [first.input, first.output];
  for (const [index, block] of blocks.entries()) {
    if (index === 0) continue;
    const met = meet(output, [input], block.input, [block.output]);
    if (typeof met === "string") {
      const sizes = met === "sizes";
      throw misfit(
        sentences.chain(formatWire(output, { sizes }), formatWire(block.input, { sizes })),
        `${describeBlock(blocks[index - 1]!)} on the left, ${describeBlock(block)} on the right`,
      );
    }
    input = met.left[0]!;
    output = met.right[0]!;
  }
  return makeBlock(input, output, { tag: "chain", blocks: flat(blocks) }, site);
}

/** A chain in a chain is its blocks: one that is built step by step, `block = block.to(next)`, grows no deeper. */
function flat(blocks: readonly AnyBlock[]): readonly AnyBlock[] {
  if (!blocks.some(({ expression }) => expression.tag === "chain")) return blocks;
  const row: AnyBlock[] = [];
  for (const one of blocks) {
    if (one.expression.tag === "chain") for (const inner of one.expression.blocks) row.push(inner);
    else row.push(one);
  }
  return Object.freeze(row);
}

/** The untyped half of `named`. */
export function nameBlock(path: string, value: unknown, site?: Site): AnyBlock {
  const block = asBlock(value, "named");
  checkPath(path, "named");
  return makeBlock(block.input, block.output, { tag: "named", path, block }, site);
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
