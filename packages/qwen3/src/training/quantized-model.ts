/** A model as a quantised checkpoint has it: of each weight in NVFP4 its codes, block scales and tensor scale. */
import type { Qwen3Config } from "../config/index.ts";
import { requiredTensors } from "../inference/prepare.ts";
import { headName, moduleOf, tableName } from "../quantize/items.ts";
import { codesShape, namesOf, scalesShape, tensorScaleShape } from "../quantize/part-names.ts";
import { formOf } from "../quantize/tensor-scale.ts";
import type { Nvfp4Format } from "../weights/index.ts";
import { isLinear } from "../weights/nvfp4/agreement.ts";
import type { ExportedModel } from "./checkpoint/export.ts";
import type { StoredBlocks } from "./stored-blocks.ts";
import type { StateTensor } from "./trainable.ts";

/** How quantised checkpoints can be written: a `.dat` stream has no place for a tensor's scale. */
export type QuantizedFormat = Exclude<Nvfp4Format, "dat">;

export interface ModelInBlocks {
  readonly config: Qwen3Config;
  /** Every tensor under its own name. What is in NVFP4 is not read from here. */
  readonly plain: ExportedModel;
  /** Which of them are in NVFP4, and their blocks; undefined for a tensor that is plain. */
  readonly blocksOf: (name: string) => (() => StoredBlocks | Promise<StoredBlocks>) | undefined;
  readonly format: QuantizedFormat;
}

export function modelInBlocks({ config, plain, blocksOf, format }: ModelInBlocks): ExportedModel {
  const reads = new Map<string, () => Promise<Uint8Array>>();
  const part = (tensor: StateTensor, read: () => Promise<Uint8Array>): StateTensor => {
    reads.set(tensor.name, read);
    return tensor;
  };
  const partsOf = ({ name, shape }: StateTensor, blocks: () => StoredBlocks | Promise<StoredBlocks>) => {
    const names = namesOf(name, format);
    return [
      part({ name: names.codes, dtype: "U8", shape: codesShape(shape) }, async () => (await blocks()).codes),
      part(
        { name: names.scales, dtype: "F8_E4M3", shape: scalesShape(shape) },
        async () => (await blocks()).scales,
      ),
      part({ name: names.tensorScale, dtype: "F32", shape: tensorScaleShape(format) }, async () => {
        const { encodeScale, tensorScale } = await blocks();
        const value = formOf(format) === "divide" ? encodeScale : tensorScale;
        return new Uint8Array(Float32Array.of(value).buffer);
      }),
    ];
  };
  const quantized = new Set<string>();
  const tensors = plain.parameters().flatMap((one) => {
    const blocks = blocksOf(one.name);
    if (blocks === undefined) return [one];
    quantized.add(one.name);
    return partsOf(one, blocks);
  });
  const linears = requiredTensors(config).filter((one) => isLinear(one) && !quantized.has(one.name));
  const modules = linears.map(({ name }) => moduleOf(name));
  const embedding = quantized.has(tableName);
  // A tied head has no tensor, but is a module of the model.
  const isTiedPlain = config.tiedEmbeddings && !embedding;
  return {
    parameters: () => tensors,
    readState: (name) => reads.get(name)?.() ?? plain.readState(name),
    quantization: {
      parts: new Set(reads.keys()),
      config: {
        format,
        activations: false,
        plain: isTiedPlain ? [...modules, moduleOf(headName)] : modules,
        kvCache: undefined,
        ownHead: quantized.has(headName),
        headWasTable: false,
        embedding,
      },
    },
  };
}
