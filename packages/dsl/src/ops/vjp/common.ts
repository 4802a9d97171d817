/** What the rules for derivatives are written with. Cotangents are f32 whatever an operand is stored in. */
import type { GraphBuilder } from "../../graph/builder.ts";
import type { NodeId } from "../../graph/types.ts";
import { inF32 } from "../composite/common.ts";
import type { BinaryFunction, UnaryFunction } from "../scalar.ts";

/** Arithmetic on nodes of one builder. Operands are widened to f32 first, numbers become constants. */
export class Arithmetic {
  readonly builder: GraphBuilder;

  constructor(builder: GraphBuilder) {
    this.builder = builder;
  }

  value(x: NodeId): NodeId {
    return inF32(this.builder, x);
  }

  number(value: number): NodeId {
    return this.builder.constant(value);
  }

  unary(name: UnaryFunction, x: NodeId): NodeId {
    return this.builder.add(name, [this.value(x)], {});
  }

  binary(name: BinaryFunction, a: NodeId, b: NodeId): NodeId {
    return this.builder.add(name, [this.value(a), this.value(b)], {});
  }

  mul(a: NodeId, b: NodeId): NodeId {
    return this.binary("mul", a, b);
  }

  add(a: NodeId, b: NodeId): NodeId {
    return this.binary("add", a, b);
  }

  sub(a: NodeId, b: NodeId): NodeId {
    return this.binary("sub", a, b);
  }

  neg(x: NodeId): NodeId {
    return this.unary("neg", x);
  }

  select(condition: NodeId, a: NodeId, b: NodeId): NodeId {
    return this.builder.add("select", [condition, this.value(a), this.value(b)], {});
  }

  sum(x: NodeId, axis: string): NodeId {
    return this.builder.add("reduceSum", [this.value(x)], { axis });
  }

  /** The sum of a * b over the axes; without any it is the product at each place. */
  contract(a: NodeId, b: NodeId, axes: readonly string[]): NodeId {
    return axes.length === 0 ? this.mul(a, b) : this.builder.add("dot", [a, b], { contract: axes });
  }
}

export function stop(reason: string): { readonly tag: "stop"; readonly reason: string } {
  return { tag: "stop", reason };
}

export const byDefinition = { tag: "definition" } as const;
/** An input, a parameter or a state: what is asked for is its own cotangent. */
export const leaf = stop("a value from outside the graph: nothing stands behind it");
export const integers = stop("its result is integer");
