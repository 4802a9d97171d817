/** Leaves for programs that are both built and compiled, and the types that the compiler must find. */
import {
  type AnyBlock,
  cast,
  embedding,
  id,
  less,
  linear,
  mul,
  pointwise,
  rmsNorm,
  rope,
  silu,
  softmax,
  type WireSpec,
} from "@weft/dsl";
import { axes, vocab } from "../blocks/axes.ts";

const { hidden, heads, kvHeads, headDim, intermediate } = axes;

/** A program as text and as the block it builds. */
export interface Program {
  readonly text: string;
  readonly block: AnyBlock;
}

export const leaves: readonly Program[] = [
  { text: "q", block: linear("q", hidden, [heads, headDim]) },
  { text: "k", block: linear("k", hidden, [kvHeads, headDim]) },
  { text: "o", block: linear("o", [heads, headDim], hidden) },
  { text: "up", block: linear("up", hidden, intermediate) },
  { text: "norm", block: rmsNorm("norm", hidden, 1e-6) },
  { text: "turn", block: rope(headDim, 1e6) },
  { text: "weights", block: softmax(heads) },
  { text: "embed", block: embedding("embed", vocab, hidden) },
  { text: "lerp", block: pointwise("lerp", (a, b, t) => a.add(b.sub(a).mul(t))) },
  { text: "silu", block: silu },
  { text: 'cast("bf16")', block: cast("bf16") },
  { text: "id", block: id },
  { text: "mul", block: mul },
  { text: "less", block: less },
];

/** The same leaves for the compiler. */
export const prelude = `
import { axis, embedding, linear, pointwise, rmsNorm, rope, softmax } from "@weft/dsl";
const hidden = axis("hidden", 64);
const intermediate = axis("intermediate", 128);
const heads = axis("heads", 4);
const kvHeads = axis("kvHeads", 2);
const headDim = axis("headDim", 16);
export const q = linear("q", hidden, [heads, headDim]);
export const k = linear("k", hidden, [kvHeads, headDim]);
export const o = linear("o", [heads, headDim], hidden);
export const up = linear("up", hidden, intermediate);
export const norm = rmsNorm("norm", hidden, 1e-6);
export const turn = rope(headDim, 1e6);
export const weights = softmax(heads);
export const embed = embedding("embed", axis("vocab", 256), hidden);
export const lerp = pointwise("lerp", (a, b, t) => a.add(b.sub(a).mul(t)));
export type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : "the wires differ";
`;

/** The type-level wire of a wire. */
export function typeOf(wire: WireSpec): string {
  switch (wire.tag) {
    case "any":
      return `Anything<"${wire.variable}">`;
    case "tuple":
      return `[${wire.wires.map(typeOf).join(", ")}]`;
    case "tensor": {
      const lead = wire.lead === undefined ? [] : [`...${wire.lead}`];
      const list = `[${[...lead, ...wire.axes.map((one) => one.name)].map((name) => `"${name}"`).join(", ")}]`;
      return wire.kind === "float" ? list : wire.kind === "int" ? `Ints<${list}>` : `Bools<${list}>`;
    }
    default:
      return wire satisfies never;
  }
}
