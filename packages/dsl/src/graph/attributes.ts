/** Which attributes each op must have, checked at run time: total over the ops, like the op table itself. */
import type { OpAttributes, OpName } from "../ops/names.ts";
import { binaryFunctions, unaryFunctions } from "../ops/scalar.ts";
import {
  boolean,
  type Check,
  integer,
  isRecord,
  listOf,
  number,
  oneOf,
  recordOf,
  remembered,
  show,
  text,
} from "./check.ts";

export const dtypes = ["f32", "bf16", "f16", "f8e4m3", "nvfp4", "i32", "i8", "bool"] as const;

const dtype = oneOf(dtypes);
const fixedSize = integer(1);
const symbolicSize = recordOf({ symbol: text, max: integer(1) });

const size: Check = (value, at) => (isRecord(value) ? symbolicSize(value, at) : fixedSize(value, at));

/** What `axis()` asks of a name. */
const axisName: Check = (value, at) =>
  typeof value === "string" && /^[A-Za-z_][\w:']*$/.test(value)
    ? undefined
    : `${at} must be a letter followed by letters, digits or _, not ${show(value)}`;

const axis = recordOf({ name: axisName, size });
const axes = listOf(axis);
const names = listOf(text);

/** The check of a tensor's type; that names are distinct included. */
export const tensorType: Check = remembered((value, at) => {
  const sentence = recordOf({ dtype, axes })(value, at);
  if (sentence !== undefined) return sentence;
  const seen = new Set<string>();
  for (const { name } of (value as { axes: readonly { name: string }[] }).axes) {
    if (seen.has(name)) return `${at}.axes must not name "${name}" twice`;
    seen.add(name);
  }
  return undefined;
});

const constantValue: Check = (value, at) =>
  typeof value === "string" ? oneOf(["inf", "-inf", "nan"])(value, at) : number(value, at);

const nested: Check = (value, at) => expression(value, at);
const expressions: Readonly<Record<string, Check>> = {
  argument: recordOf({ tag: text, index: integer(0) }),
  constant: recordOf({ tag: text, value: number }),
  unary: recordOf({ tag: text, function: oneOf(unaryFunctions), operand: nested }),
  binary: recordOf({ tag: text, function: oneOf(binaryFunctions), left: nested, right: nested }),
  select: recordOf({ tag: text, condition: nested, then: nested, otherwise: nested }),
};

function expression(value: unknown, at: string): string | undefined {
  const tag = isRecord(value) ? value.tag : undefined;
  return typeof tag === "string" && Object.hasOwn(expressions, tag)
    ? expressions[tag]!(value, at)
    : `${at}.tag must be one of ${Object.keys(expressions).join(", ")}, not ${show(tag)}`;
}

const none = remembered(recordOf({}));
const without = <K extends OpName>(ops: readonly K[]) =>
  Object.fromEntries(ops.map((op) => [op, none])) as { readonly [P in K]: Check };

/** One check per key, with every key of the op's attributes present. */
function attributes<K extends OpName>(
  keys: { readonly [P in keyof OpAttributes[K]]-?: Check },
  optional: readonly (keyof OpAttributes[K] & string)[] = [],
): Check {
  return remembered(recordOf(keys as Readonly<Record<string, Check>>, optional));
}

const named = { name: text, dtype, axes };
const attention = {
  heads: text,
  kvHeads: text,
  headDim: text,
  causal: boolean,
  scale: number,
  sequence: text,
};

export const attributeChecks: { readonly [K in OpName]: Check } = {
  ...without(unaryFunctions),
  ...without(binaryFunctions),
  ...without(["select", "silu", "stochasticRound", "after"]),
  input: attributes<"input">(named),
  parameter: attributes<"parameter">(named),
  constant: attributes<"constant">({ value: constantValue, dtype }),
  iota: attributes<"iota">({ axis }),
  symbol: attributes<"symbol">({ name: text }),
  position: attributes<"position">({ axis }),
  stateRead: attributes<"stateRead">({ state: text, axes, dtype }),
  stateWrite: attributes<"stateWrite">({ state: text }),
  stateAppend: attributes<"stateAppend">({ state: text, axis: text, into: text, past: text, axes, dtype }),
  reduceSum: attributes<"reduceSum">({ axis: text }),
  reduceMax: attributes<"reduceMax">({ axis: text }),
  topK: attributes<"topK">({ axis: text, into: text, count: integer(1) }),
  dot: attributes<"dot">({ contract: names }),
  gather: attributes<"gather">({ axis: text }),
  scatterAdd: attributes<"scatterAdd">({ axis }),
  rename: attributes<"rename">({ from: text, to: text }),
  splitAxis: attributes<"splitAxis">({ axis: text, into: axes }),
  mergeAxes: attributes<"mergeAxes">({ axes: names, into: text }),
  slice: attributes<"slice">({ axis: text, start: integer(0), size: integer(1) }),
  concat: attributes<"concat">({ axis: text }),
  last: attributes<"last">({ axis: text }),
  broadcast: attributes<"broadcast">({ axes }),
  cast: attributes<"cast">({ dtype }),
  quantizeNvfp4: attributes<"quantizeNvfp4">({ fourOverSix: boolean, nonZero: boolean }),
  linear: attributes<"linear">({ from: names, to: names }),
  embedding: attributes<"embedding">({ axis: text }),
  rmsNorm: attributes<"rmsNorm">({ axis: text, epsilon: number }),
  softmax: attributes<"softmax">({ axis: text }),
  rope: attributes<"rope">({ axis: text, theta: number, sequence: text }),
  attend: attributes<"attend">({ ...attention, keys: text }, ["keys"]),
  attendLogSumExp: attributes<"attendLogSumExp">(attention),
  attendGradient: attributes<"attendGradient">(attention),
  mean: attributes<"mean">({ axis: text }),
  crossEntropy: attributes<"crossEntropy">({ axis: text }),
  crossEntropyGradient: attributes<"crossEntropyGradient">({ axis: text }),
  meanCrossEntropy: attributes<"meanCrossEntropy">({ axis: text, over: names }),
  pointwise: attributes<"pointwise">({ name: text, expression }),
};
