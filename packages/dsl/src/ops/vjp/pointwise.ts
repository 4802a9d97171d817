/** Derivatives of the pointwise ops. Where a function has a kink, what JAX and PyTorch agree on is taken. */
import type { NodeId } from "../../graph/types.ts";
import type { Vjp, VjpSite } from "../define.ts";
import { type BinaryFunction, isComparison, type UnaryFunction } from "../scalar.ts";
import { holdsFloats } from "../shape.ts";
import { Arithmetic, stop } from "./common.ts";

/** The cotangent of x from x, y = f(x) and the cotangent of y; a text says why there is none. */
type UnaryRule = ((m: Arithmetic, x: NodeId, y: NodeId, dy: NodeId) => NodeId) | string;

const unaryRules: Readonly<Record<UnaryFunction, UnaryRule>> = {
  neg: (m, _x, _y, dy) => m.neg(dy),
  // 0 at 0.
  abs: (m, x, _y, dy) => {
    const zero = m.number(0);
    const below = m.select(m.binary("less", x, zero), m.neg(dy), zero);
    return m.select(m.binary("less", zero, x), dy, below);
  },
  exp: (m, _x, y, dy) => m.mul(dy, y),
  log: (m, x, _y, dy) => m.binary("div", dy, x),
  sqrt: (m, _x, y, dy) => m.binary("div", m.mul(dy, m.number(0.5)), y),
  rsqrt: (m, _x, y, dy) => m.mul(m.mul(dy, m.number(-0.5)), m.mul(y, m.mul(y, y))),
  reciprocal: (m, _x, y, dy) => m.neg(m.mul(dy, m.mul(y, y))),
  sin: (m, x, _y, dy) => m.mul(dy, m.unary("cos", x)),
  cos: (m, x, _y, dy) => m.neg(m.mul(dy, m.unary("sin", x))),
  tanh: (m, _x, y, dy) => m.mul(dy, m.sub(m.number(1), m.mul(y, y))),
  sigmoid: (m, _x, y, dy) => m.mul(dy, m.mul(y, m.sub(m.number(1), y))),
  floor: "it is constant between whole numbers",
};

export function unaryVjp<K extends UnaryFunction>(name: K): Vjp<K> {
  const rule = unaryRules[name];
  if (typeof rule === "string") return stop(rule);
  return {
    tag: "rule",
    rule: ({ builder, inputs, result, cotangent }) => [
      rule(new Arithmetic(builder), inputs[0]!, result, cotangent),
    ],
  };
}

interface BinarySite {
  readonly m: Arithmetic;
  readonly a: NodeId;
  readonly b: NodeId;
  readonly y: NodeId;
  readonly dy: NodeId;
}
/** One function per side, so that the side of a constant is never written. */
type BinaryRule = readonly [a: (site: BinarySite) => NodeId, b: (site: BinarySite) => NodeId];

/** Of the larger or the smaller of two; equal ones share the cotangent evenly. */
const chosen =
  (left: "a" | "b", right: "a" | "b") =>
  (site: BinarySite): NodeId => {
    const { m, dy } = site;
    const half = m.mul(dy, m.number(0.5));
    const tie = m.select(m.binary("equal", site.a, site.b), half, m.number(0));
    return m.select(m.binary("less", site[left], site[right]), dy, tie);
  };

const binaryRules: Readonly<Record<Exclude<BinaryFunction, "less" | "lessEqual" | "equal">, BinaryRule>> = {
  add: [({ dy }) => dy, ({ dy }) => dy],
  sub: [({ dy }) => dy, ({ m, dy }) => m.neg(dy)],
  mul: [({ m, b, dy }) => m.mul(dy, b), ({ m, a, dy }) => m.mul(dy, a)],
  div: [
    ({ m, b, dy }) => m.binary("div", dy, b),
    ({ m, b, y, dy }) => m.neg(m.binary("div", m.mul(dy, y), b)),
  ],
  max: [chosen("b", "a"), chosen("a", "b")],
  min: [chosen("a", "b"), chosen("b", "a")],
  pow: [
    // b a^(b-1); with b = 0 the power is taken as a^1, so that 0^-1 does not make NaN of a zero.
    ({ m, a, b, dy }) => {
      const one = m.number(1);
      const exponent = m.select(m.binary("equal", b, m.number(0)), one, m.sub(b, one));
      return m.mul(dy, m.mul(b, m.binary("pow", a, exponent)));
    },
    // y log(a); 0 where a is 0, as the limit has it.
    ({ m, a, y, dy }) => {
      const safe = m.select(m.binary("equal", a, m.number(0)), m.number(1), a);
      return m.mul(dy, m.mul(y, m.unary("log", safe)));
    },
  ],
};

export function binaryVjp<K extends BinaryFunction>(name: K): Vjp<K> {
  if (isComparison(name)) return stop("its result is a truth value");
  const rules = binaryRules[name as keyof typeof binaryRules];
  return {
    tag: "rule",
    rule: ({ builder, inputs: [a, b], result, cotangent, needed }) => {
      const site: BinarySite = { m: new Arithmetic(builder), a: a!, b: b!, y: result, dy: cotangent };
      return rules.map((rule, index) => (needed[index] ? rule(site) : undefined));
    },
  };
}

export const selectVjp: Vjp<"select"> = {
  tag: "rule",
  rule: ({ builder, inputs, cotangent, needed }) => {
    const m = new Arithmetic(builder);
    const zero = m.number(0);
    return [
      undefined,
      needed[1] ? m.select(inputs[0]!, cotangent, zero) : undefined,
      needed[2] ? m.select(inputs[0]!, zero, cotangent) : undefined,
    ];
  },
};

/** Rounding counts as the identity: the cotangent stays f32 and is not rounded with the value. */
export const castVjp: Vjp<"cast"> = {
  tag: "rule",
  rule: ({ builder, inputs, cotangent }: VjpSite<"cast">) => [
    holdsFloats(builder.type(inputs[0]!).dtype) ? cotangent : undefined,
  ],
};

/** As for a cast: the gradient of the scaled value passes. */
export const quantizeNvfp4Vjp: Vjp<"quantizeNvfp4"> = {
  tag: "rule",
  rule: ({ builder, inputs, cotangent }) => {
    const m = new Arithmetic(builder);
    return [m.mul(cotangent, inputs[1]!), ...inputs.slice(1).map(() => undefined)];
  },
};
