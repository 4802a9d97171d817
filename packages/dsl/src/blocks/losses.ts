/** Losses: blocks that make one number of what a model gives and what it should have given. */
import type { Axis } from "../axis.ts";
import { type Block, blockError, chainBlocks } from "./block.ts";
import { abs, pointwise, sub } from "./elementwise.ts";
import { axisList, leaf } from "./leaf.ts";
import { captureSite, type Site } from "./source.ts";
import type { AnyBlock } from "./types.ts";
import { tensorWire, tupleWire } from "./wire.ts";
import type { Ints, NamesOf } from "./wires.ts";

/**
 * The mean along one axis, which disappears. The size may be symbolic.
 *
 * Wires: [..., axis] -> [...].
 * @example const centre = mean(hidden);
 */
export function mean<const Name extends string>(axis: Axis<Name>): Block<[Name], []> {
  return leaf("mean", tensorWire([axis]), tensorWire([]), {
    site: captureSite(mean),
    attributes: { axis: axis.name },
  }) as Block<[Name], []>;
}

/**
 * Cross entropy of class scores against class numbers, in nats, one number per position. A position whose target is -1
 * is masked: its loss is 0 and its scores get no gradient.
 *
 * Wires: ([..., classes], int [...]) -> [...].
 * @example chain(first(model), crossEntropy(vocab));
 */
export function crossEntropy<const Name extends string>(classes: Axis<Name>): Block<[[Name], Ints<[]>], []> {
  return leaf("crossEntropy", tupleWire([tensorWire([classes]), tensorWire([], "int")]), tensorWire([]), {
    site: captureSite(crossEntropy),
    attributes: { axis: classes.name },
  }) as Block<[[Name], Ints<[]>], []>;
}

/**
 * The mean of `crossEntropy` over the axes given, of the positions that are not masked (target -1); 0 where all are.
 * This is the loss of a language model: targets are the tokens one place on, and -1 where nothing is to be learnt.
 *
 * Wires: ([..., over, classes], int [..., over]) -> [...].
 * @throws WeftError when no axis is given.
 * @example const loss = chain(first(model), meanCrossEntropy(vocab, seq));
 */
export function meanCrossEntropy<const Name extends string, const Over extends Axis | readonly Axis[]>(
  classes: Axis<Name>,
  over: Over,
): Block<[[...NamesOf<Over>, Name], Ints<NamesOf<Over>>], []> {
  const axes = someAxes("meanCrossEntropy", over);
  const input = tupleWire([tensorWire([...axes, classes]), tensorWire(axes, "int")]);
  return leaf("meanCrossEntropy", input, tensorWire([]), {
    site: captureSite(meanCrossEntropy),
    attributes: { axis: classes.name, over: axes.map((one) => one.name) },
  }) as Block<[[...NamesOf<Over>, Name], Ints<NamesOf<Over>>], []>;
}

const square = pointwise("square", (x) => x.mul(x));

/**
 * The mean of (x - y)^2 over the axes given.
 *
 * Wires: ([..., over], [..., over]) -> [...].
 * @throws WeftError when no axis is given.
 * @example const loss = chain(first(mlp), meanSquaredError([seq, hidden]));
 */
export function meanSquaredError<const Over extends Axis | readonly Axis[]>(
  over: Over,
): Block<[NamesOf<Over>, NamesOf<Over>], []> {
  const axes = someAxes("meanSquaredError", over);
  return meanOf(square, axes, captureSite(meanSquaredError)) as Block<[NamesOf<Over>, NamesOf<Over>], []>;
}

/**
 * The mean of |x - y| over the axes given.
 *
 * Wires: ([..., over], [..., over]) -> [...].
 * @throws WeftError when no axis is given.
 * @example const loss = chain(first(mlp), meanAbsoluteError(hidden));
 */
export function meanAbsoluteError<const Over extends Axis | readonly Axis[]>(
  over: Over,
): Block<[NamesOf<Over>, NamesOf<Over>], []> {
  const axes = someAxes("meanAbsoluteError", over);
  return meanOf(abs, axes, captureSite(meanAbsoluteError)) as Block<[NamesOf<Over>, NamesOf<Over>], []>;
}

/** The mean over all axes of a function of the difference of a pair, the innermost axis first. */
function meanOf(of: AnyBlock, axes: readonly Axis[], site: Site): AnyBlock {
  return chainBlocks([sub, of, ...[...axes].reverse().map((one) => mean(one))], site);
}

function someAxes(source: string, over: Axis | readonly Axis[]): readonly Axis[] {
  const axes = axisList(over);
  const names = axes.map((one) => one.name);
  if (axes.length === 0 || new Set(names).size < names.length) {
    throw blockError(source, "the mean needs one or more axes, each once", names.join(", ") || "none");
  }
  return axes;
}
