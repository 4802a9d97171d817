/** What the files of a random checkpoint hold: plain bf16, or the linears of the blocks in NVFP4. */
import { fnv1a } from "../model/random.ts";
import { elementsOf, type ModelShape, type ModelTensor, tensorsOf } from "../model/shapes.ts";

export type CheckpointFormat = "bf16" | "nvfp4";

export interface StoredTensor {
  readonly name: string;
  /** As safetensors names it. */
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: number;
  /** What it is filled with, or its bytes. */
  readonly content: "norm" | "matrix" | "codes" | "scales" | Uint8Array;
}

/** Codes and scales are about 3 and 1: by this the weights are about 0.02, as those of the plain checkpoints. */
const encodeScale = 150;

export function storedTensors(shape: ModelShape, format: CheckpointFormat): StoredTensor[] {
  return tensorsOf(shape).flatMap((tensor) =>
    format === "nvfp4" && /_proj\.weight$/.test(tensor.name) ? codedTensors(tensor) : [plainTensor(tensor)],
  );
}

const plainTensor = (tensor: ModelTensor): StoredTensor => ({
  name: tensor.name,
  dtype: "BF16",
  shape: tensor.shape,
  bytes: elementsOf(tensor) * 2,
  content: tensor.kind,
});

/** As compressed-tensors has them. */
function codedTensors({ name, shape }: ModelTensor): StoredTensor[] {
  const [rows, columns] = shape as readonly [number, number];
  const part = (suffix: string, dtype: string, of: readonly number[], content: StoredTensor["content"]) => {
    const bytes = of.reduce((product, size) => product * size, dtype === "F32" ? 4 : 1);
    return { name: `${name}_${suffix}`, dtype, shape: of, bytes, content };
  };
  const scale = new Uint8Array(Float32Array.of(encodeScale).buffer);
  return [
    part("packed", "U8", [rows, columns / 2], "codes"),
    part("scale", "F8_E4M3", [rows, columns / 16], "scales"),
    part("global_scale", "F32", [1], scale),
  ];
}

export const nvfp4Config = (isTied: boolean): object => ({
  quantization_config: {
    quant_method: "compressed-tensors",
    format: "nvfp4-pack-quantized",
    quantization_status: "compressed",
    config_groups: {
      group_0: {
        targets: ["Linear"],
        weights: { num_bits: 4, type: "float", strategy: "tensor_group", group_size: 16, symmetric: true },
        input_activations: null,
        output_activations: null,
      },
    },
    ignore: isTied ? [] : ["lm_head"],
  },
});

/** A prime: rows of a matrix do not repeat one another. */
const halves = 16777213;
const blocks = new Map<string, Uint16Array>();

/** Random codes, or scales from 0.5 to 1.9. */
export function randomBytes(content: "codes" | "scales"): Uint16Array {
  const known = blocks.get(content);
  if (known !== undefined) return known;
  const block = new Uint16Array(halves);
  // Marsaglia (2003): xorshift.
  let state = fnv1a(content);
  for (let i = 0; i < halves; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    const half = (state >>> 8) & 0xffff;
    block[i] = content === "codes" ? half : 0x3030 | (half & 0x0f0f);
  }
  blocks.set(content, block);
  return block;
}
