/** Applying blocks to named inputs: `model --> input("tokens", seq)`. Nothing is computed; the result says what to run. */
import type { Axis } from "../axis.ts";
import {
  asBlock,
  type BlockLike,
  blockError,
  chainBlocks,
  type InputOf,
  misfit,
  type OutputOf,
} from "./block.ts";
import type { ApplyChecked, ApplyOf } from "./checks.ts";
import { id, splitOf } from "./combinators.ts";
import { describeBlock } from "./describe.ts";
import { axisList } from "./leaf.ts";
import { sentences } from "./sentences.ts";
import { captureSite } from "./source.ts";
import type { AnyBlock, WireKind, WireSpec } from "./types.ts";
import { meet } from "./unify.ts";
import { formatWire, tensorWire, tupleWire, wireEquals } from "./wire.ts";
import type { Kinded, NamesOf } from "./wires.ts";

export type ValueExpression =
  | { readonly tag: "input"; readonly name: string }
  | { readonly tag: "tuple"; readonly values: readonly AnyValue[] }
  | { readonly tag: "applied"; readonly block: AnyBlock; readonly value: AnyValue };

/** A value before anything has run. Its wire lists all axes: nothing leads them. */
export interface AnyValue {
  readonly wire: WireSpec;
  readonly expression: ValueExpression;
}

/** The wire of a value, for the type checker only. */
export declare const valueWire: unique symbol;

export interface Value<out W> extends AnyValue {
  readonly [valueWire]: W;
}

export type ValueLike = Value<unknown>;
export type WireOf<V extends ValueLike> = V[typeof valueWire];

type InputWire<Axes, Kind extends WireKind> =
  NamesOf<Axes> extends infer Names extends string[]
    ? Kind extends "float"
      ? Names
      : Kinded<Exclude<Kind, "float">, Names>
    : never;

/**
 * A tensor that the caller gives at every run.
 * @example const tokens = input("tokens", seq, "int");
 */
export function input<const Axes extends Axis | readonly Axis[], const Kind extends WireKind = "float">(
  name: string,
  axes: Axes,
  kind?: Kind,
): Value<InputWire<Axes, Kind>> {
  if (!/^[\w.-]+$/.test(name))
    throw blockError("input", "a name is letters, digits, _ and dots", JSON.stringify(name));
  return makeValue(tensorWire(axisList(axes), kind ?? "float"), { tag: "input", name });
}

/**
 * Several values as one tuple.
 * @example apply(score, tuple(input("a", hidden), input("b", hidden)));
 */
export function tuple<const Vs extends readonly ValueLike[]>(
  ...values: Vs
): Value<{ -readonly [K in keyof Vs]: WireOf<Vs[K]> }> {
  return makeValue(tupleWire(values.map((one) => one.wire)), { tag: "tuple", values: Object.freeze(values) });
}

/**
 * A block at a value, `block --> value`: what comes out. All axes of the value that the block does not name pass
 * through.
 * @throws WeftError when the value does not end with what the block takes.
 * @example const logits = apply(model, input("tokens", seq, "int"));
 */
export function apply<const B extends BlockLike, const V extends ValueLike>(
  block: B,
  value: V extends ApplyChecked<InputOf<B>, OutputOf<B>, V> ? V : ApplyChecked<InputOf<B>, OutputOf<B>, V>,
): Value<ApplyOf<InputOf<B>, OutputOf<B>, WireOf<V>>> {
  const data = asBlock(block, "apply");
  const { wire } = value as ValueLike;
  const met = meet(wire, [wire], data.input, [data.output]);
  if (typeof met === "string" || !wireEquals(met.left[0]!, wire)) {
    const sizes = met === "sizes";
    throw misfit(
      sentences.apply(formatWire(wire, { sizes, closed: true }), formatWire(data.input, { sizes })),
      describeBlock(data),
    );
  }
  return makeValue(met.right[0]!, { tag: "applied", block: data, value: value as ValueLike });
}

function makeValue<W>(wire: WireSpec, expression: ValueExpression): Value<W> {
  return Object.freeze({ wire, expression: Object.freeze(expression) }) as unknown as Value<W>;
}

/** A value as the compiler takes it: one block, and the inputs of its wire in order. */
export interface Program {
  readonly block: AnyBlock;
  readonly inputs: readonly { readonly name: string; readonly wire: WireSpec }[];
}

/**
 * The block and the inputs that make a value. An input that is used twice stands twice, under one name.
 * @example const { block, inputs } = programOf(apply(model, input("tokens", seq, "int")));
 */
export function programOf(value: AnyValue): Program {
  const { expression } = value;
  switch (expression.tag) {
    case "input":
      return { block: id, inputs: [{ name: expression.name, wire: value.wire }] };
    case "tuple": {
      const parts = expression.values.map(programOf);
      return { block: splitOf(parts.map((one) => one.block)), inputs: parts.flatMap((one) => one.inputs) };
    }
    case "applied": {
      const argument = programOf(expression.value);
      const block =
        argument.block.expression.tag === "id"
          ? expression.block
          : chainBlocks([argument.block, expression.block], captureSite(programOf));
      return { block, inputs: argument.inputs };
    }
    default:
      return expression satisfies never;
  }
}
