/** Values in fewer bits: what they become, element by element, is in `formats`. */
import { decodeNvfp4, encodeNvfp4, nvfp4Block } from "../formats/index.ts";
import { randomHalf, wordOf } from "../random/rounding.ts";
import type { OpDefinition } from "./define.ts";
import { isFloat } from "./shape.ts";
import { quantizeNvfp4Vjp } from "./vjp/pointwise.ts";

const quantizeNvfp4: OpDefinition<"quantizeNvfp4"> = {
  name: "quantizeNvfp4",
  category: "pointwise",
  documentation: {
    summary:
      "x * encodeScale in NVFP4: blocks of 16 along the last axis, each with a scale in E4M3 and codes in E2M1, rounded to nearest, or with a key by chance (bits as in stochasticRound). A block with an element that is not finite becomes NaN. The gradient counts the rounding as the identity; docs/numerics.md has the format to the bit",
    inputs: [
      "x: float[..., axis], of which all axes but the first have fixed sizes and the last one a multiple of 16",
      "encodeScale: f32[], 2688 over the largest magnitude of x, where x has one scale for all",
      "keyLow, keyHigh, stream: f32[], optional, as in stochasticRound",
    ],
    result: "like x, in nvfp4",
    source: "NVIDIA: Pretraining large language models with NVFP4 (2025)",
  },
  arity: { min: 2, max: 5 },
  infer: ([x, ...scalars]) => {
    if (!isFloat(x!.dtype) || scalars.some(({ dtype }) => dtype !== "f32"))
      return "takes a float tensor and f32 scalars";
    if (scalars.some(({ axes }) => axes.length > 0))
      return "the scale, the key and the stream must be scalars";
    if (scalars.length !== 1 && scalars.length !== 4)
      return "takes all of keyLow, keyHigh and stream, or none of them";
    const open = x!.axes.slice(1).find(({ size }) => typeof size !== "number");
    if (open !== undefined) return `the axis "${open.name}" must have a fixed size`;
    const last = x!.axes.at(-1);
    if (last === undefined || typeof last.size !== "number" || last.size % nvfp4Block !== 0)
      return `the last axis must have a fixed size that is a multiple of ${nvfp4Block}`;
    return { dtype: "nvfp4", axes: x!.axes };
  },
  meaning: {
    tag: "reference",
    reference: ([x, encodeScale, ...random], { fourOverSix, nonZero }) => {
      const [keyLow, keyHigh, stream] = random.map((one) => wordOf(one.data[0]!));
      const bits =
        stream === undefined ? {} : { bits: (at: number) => randomHalf(at, [keyLow!, keyHigh!], stream) };
      const encoded = encodeNvfp4(x!.data, {
        encodeScale: encodeScale!.data[0]!,
        fourOverSix,
        nonZero,
        ...bits,
      });
      return { dtype: "nvfp4", axes: x!.axes, data: Float64Array.from(decodeNvfp4(encoded)) };
    },
  },
  vjp: quantizeNvfp4Vjp,
  cost: { perResult: 8, perInput: 0 },
  fusion: "map",
};

export const quantizeOps = { quantizeNvfp4 };
