/**
 * The 4-bit form of a weight, remade by the kernel that updates it, once for each update.
 *
 * A tensor has one scale, and its largest magnitude is known when all of it is updated: so each update scales by the
 * largest that the one before has left. What has grown since saturates at it, by the last step's change at most. An update
 * that is left out leaves the scale as well, so the blocks stay what they were.
 */
import type { GraphBuilder, NodeId, OpAttributes } from "@weft/dsl";
import { blocksName, encodeScaleName, tensorScaleName } from "../quantize/names.ts";
import { optimizerStates, readState } from "./states.ts";
import type { Writes } from "./trained-graph.ts";

const scalar = { dtype: "f32", axes: [] } as const;
/** The largest code times the largest scale. */
const largestNvfp4 = 2688;
const largestF32 = (2 - 2 ** -23) * 2 ** 127;

/** 2688 over the largest magnitude, 1 for a tensor of zeros. */
export function encodeScaleOf(builder: GraphBuilder, largest: NodeId): NodeId {
  const add = builder.add.bind(builder);
  const isZero = add("equal", [largest, builder.constant(0)], {});
  const quotient = add("div", [builder.constant(largestNvfp4), largest], {});
  const finite = add("min", [quotient, builder.constant(largestF32)], {});
  return add("select", [isZero, builder.constant(1), finite], {});
}

/** The largest magnitude of a tensor: of its rows first, then of what all of them have left. */
export function largestOf(builder: GraphBuilder, value: NodeId): NodeId {
  const names = builder.type(value).axes.map(({ name }) => name);
  let largest = builder.add("abs", [value], {});
  if (names.length > 1) {
    largest = builder.add("reduceMax", [largest], { axis: names.pop()! });
    if (names.length > 1) largest = builder.add("mergeAxes", [largest], { axes: names, into: names[0]! });
  }
  return builder.add("reduceMax", [largest], { axis: names[0]! });
}

/** Both forms of a tensor's scale: the one that values are encoded by, and its inverse behind the products. */
export function writeScales(builder: GraphBuilder, writes: Writes, name: string, scale: NodeId): void {
  writes.put(encodeScaleName(name), scale);
  const inverse = builder.add("reciprocal", [scale], {});
  builder.declareState({ name: tensorScaleName(name), type: scalar });
  writes.put(tensorScaleName(name), inverse);
}

export interface UpdatedBlocks {
  readonly name: string;
  /** The weight behind the update. */
  readonly weight: NodeId;
  /** Of values like it: as the parameter has them. */
  readonly joined: (value: NodeId) => NodeId;
  /** False where the update is left out. */
  readonly sound: NodeId;
  readonly how: OpAttributes["quantizeNvfp4"];
}

export function writeBlocks(
  builder: GraphBuilder,
  writes: Writes,
  { name, weight, joined, sound, how }: UpdatedBlocks,
): void {
  const add = builder.add.bind(builder);
  const largest = readState(builder, optimizerStates.largest(name), scalar);
  const before = readState(builder, encodeScaleName(name), scalar);
  const scale = add("select", [sound, encodeScaleOf(builder, largest), before], {});
  const wide = builder.type(weight).dtype === "f32" ? weight : add("cast", [weight], { dtype: "f32" });
  writes.put(blocksName(name), joined(add("quantizeNvfp4", [wide, scale], how)));
  writeScales(builder, writes, name, scale);
  writes.put(optimizerStates.largest(name), largestOf(builder, wide));
}
