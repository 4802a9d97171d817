/** A model under training as a quantised checkpoint has it: the very blocks that its products read. */
import { userProblem, WeftError } from "../config/problems.ts";
import { requiredTensors } from "../inference/prepare.ts";
import { headName, moduleOf } from "../quantize/items.ts";
import { codesShape, namesOf, scalesShape, tensorScaleShape } from "../quantize/part-names.ts";
import { formOf } from "../quantize/tensor-scale.ts";
import type { Nvfp4Format } from "../weights/index.ts";
import { isLinear } from "../weights/nvfp4/agreement.ts";
import type { ExportedModel } from "./checkpoint/export.ts";
import type { StateTensor } from "./trainable.ts";
import type { TrainingModel } from "./training-model.ts";

/** How quantised checkpoints can be written: a `.dat` stream has no place for a tensor's scale. */
export type QuantizedFormat = Exclude<Nvfp4Format, "dat">;

/**
 * @param plain every tensor as an ordinary checkpoint has it
 * @throws WeftError for a model that reads nothing in NVFP4
 */
export function quantizedModel(
  training: TrainingModel,
  plain: ExportedModel,
  format: QuantizedFormat,
): ExportedModel {
  if (training.quantized.length === 0) {
    throw new WeftError([
      userProblem("export", "the model must read weights in nvfp4 to be exported so", {
        given: "none",
        remedy: "train with `quantize`, or quantise the export",
      }),
    ]);
  }
  const quantized = new Set(training.quantized);
  const table = requiredTensors(training.config).find((one) => quantized.has(one.name) && !isLinear(one));
  if (table !== undefined) {
    throw new WeftError([
      userProblem("export", "quantised checkpoints have linears in nvfp4 only", {
        given: "a table of embeddings",
        path: table.name,
        remedy: "export the plain weights",
      }),
    ]);
  }
  const reads = new Map<string, () => Promise<Uint8Array>>();
  const part = (tensor: StateTensor, read: () => Promise<Uint8Array>): StateTensor => {
    reads.set(tensor.name, read);
    return tensor;
  };
  const partsOf = ({ name, shape }: StateTensor): StateTensor[] => {
    const names = namesOf(name, format);
    return [
      part(
        { name: names.codes, dtype: "U8", shape: codesShape(shape) },
        async () => (await training.blocks(name)).codes,
      ),
      part(
        { name: names.scales, dtype: "F8_E4M3", shape: scalesShape(shape) },
        async () => (await training.blocks(name)).scales,
      ),
      part({ name: names.tensorScale, dtype: "F32", shape: tensorScaleShape(format) }, async () => {
        const { encodeScale } = await training.blocks(name);
        const value = formOf(format) === "divide" ? encodeScale : 1 / encodeScale;
        return new Uint8Array(Float32Array.of(value).buffer);
      }),
    ];
  };
  const tensors = plain.parameters().flatMap((one) => (quantized.has(one.name) ? partsOf(one) : [one]));
  const plainLinears = requiredTensors(training.config).filter(
    (one) => isLinear(one) && one.name !== headName && !quantized.has(one.name),
  );
  return {
    parameters: () => tensors,
    readState: (name) => reads.get(name)?.() ?? plain.readState(name),
    quantization: {
      parts: new Set(reads.keys()),
      config: {
        format,
        activations: false,
        // A tied head has no tensor, but is a module of the model.
        plain: [
          ...plainLinears.map(({ name }) => moduleOf(name)),
          ...(quantized.has(headName) ? [] : [moduleOf(headName)]),
        ],
        kvCache: undefined,
        ownHead: false,
        headWasTable: false,
        embedding: false,
      },
    },
  };
}
