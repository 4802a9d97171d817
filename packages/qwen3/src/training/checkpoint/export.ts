/** Writes a trained model as a Hugging Face directory: every tensor, config and tokenizer beside it. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import * as Either from "fp-ts/lib/Either.js";
import { type JsonObject, readJsonObject } from "../../config/json-file.ts";
import { type Checked, unsupportedProblem, WeftError } from "../../config/problems.ts";
import { headName, moduleOf } from "../../quantize/items.ts";
import { configJson, hfQuantConfigJson, type WrittenConfig } from "../../quantize/written-config.ts";
import { bfloat16ToFloat32, float32ToBfloat16, type TensorDtype } from "../../weights/dtype.ts";
import { writeSafetensorsStream, writeWhole } from "../../weights/write-stream.ts";
import type { StateTensor, Trainable } from "../trainable.ts";
import { quantizationFile, writeDirectory } from "./whole-directory.ts";

/** Files of a checkpoint that belong to the text, not to the weights; those that are there are copied. */
export const companionFiles = [
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "chat_template.jinja",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.json",
  "merges.txt",
] as const;

/** What is exported. */
export type ExportedModel = Pick<Trainable, "parameters" | "readState" | "quantization">;

/** config.json and all companion files that a directory has, as paths. */
export function filesBeside(directory: string): readonly string[] {
  return ["config.json", ...companionFiles]
    .map((name) => join(directory, name))
    .filter((file) => existsSync(file));
}

export interface ExportOptions {
  /** Made where it is absent; files of the same names are replaced, once all of the new ones are written. */
  readonly directory: string;
  readonly model: ExportedModel;
  /** How weights are stored; F32 to bf16 rounds to nearest even. Default: as they are trained. */
  readonly dtype?: "f32" | "bf16";
  /** config.json, tokenizer files and the like; config.json's dtype is set to what is written. */
  readonly copy: readonly string[];
}

/** One tensor at a time is in memory. Left: the disk refuses, other weights there, no config.json, a dtype that cannot be converted. */
export async function exportHuggingFace({
  directory,
  model,
  dtype,
  copy,
}: ExportOptions): Promise<Checked<string>> {
  return writeDirectory(directory, "model", async (folder) => {
    const { quantization } = model;
    const tensors = model.parameters();
    const stored = ({ name, dtype: from }: StateTensor): TensorDtype => {
      if (dtype === undefined || quantization?.parts.has(name) === true) return from;
      return dtype === "bf16" ? "BF16" : "F32";
    };
    const written = await writeSafetensorsStream(
      join(folder, "model.safetensors"),
      tensors.map((tensor) => ({
        name: tensor.name,
        dtype: stored(tensor),
        shape: tensor.shape,
        pieces: async function* () {
          yield converted(await model.readState(tensor.name), tensor.dtype, stored(tensor), tensor.name);
        },
      })),
    );
    if (Either.isLeft(written)) return written;
    for (const source of copy) {
      const text =
        basename(source) === "config.json"
          ? configText(source, {
              dtype: stored(
                tensors.find(({ name }) => quantization?.parts.has(name) !== true) ?? tensors[0]!,
              ),
              ownHead: hasOwnHead(tensors),
              quantization: quantization?.config,
            })
          : undefined;
      if (text !== undefined && Either.isLeft(text)) return text;
      const bytes = text === undefined ? await readFile(source) : Buffer.from(text.right);
      const done = await writeWhole(join(folder, basename(source)), (put) => put(bytes));
      if (Either.isLeft(done)) return done;
    }
    if (quantization?.config.format === "modelopt") {
      const text = Buffer.from(jsonText(hfQuantConfigJson(quantization.config)));
      const done = await writeWhole(join(folder, quantizationFile), (put) => put(text));
      if (Either.isLeft(done)) return done;
    }
    return Either.right(undefined);
  });
}

const jsonText = (object: JsonObject) => `${JSON.stringify(object, undefined, 2)}\n`;

interface Stored {
  /** Default: as config.json has it. */
  readonly dtype?: TensorDtype;
  readonly ownHead: boolean;
  readonly quantization: WrittenConfig | undefined;
}

const hasOwnHead = (tensors: readonly StateTensor[]) =>
  tensors.some(({ name }) => name.startsWith(`${moduleOf(headName)}.`));

/**
 * config.json beside a checkpoint of a run: as it is, but where it says what is quantised, or would have to.
 * @param model whose parameters lie beside it
 */
export async function configBeside(file: string, model: ExportedModel): Promise<Checked<Uint8Array>> {
  const { quantization } = model;
  const object = readJsonObject(file, "give the config.json of the model that is trained");
  if (Either.isLeft(object)) return object;
  const isQuantised = quantization !== undefined || object.right.quantization_config !== undefined;
  const ownHead = hasOwnHead(model.parameters());
  const isOther = isQuantised || (ownHead && object.right.tie_word_embeddings === true);
  if (!isOther) return Either.right(await readFile(file));
  const text = configText(file, { ownHead, quantization: quantization?.config });
  return Either.map((one: string) => Buffer.from(one))(text);
}

/** config.json of a model whose tensors are stored so; it may have been written of others. */
function configText(file: string, { dtype, ownHead, quantization }: Stored): Checked<string> {
  const object = readJsonObject(file, "give the config.json of the model that was trained");
  if (Either.isLeft(object)) return object;
  const name = dtype && (dtype === "BF16" ? "bfloat16" : dtype === "F16" ? "float16" : "float32");
  const { quantization_config: _, ...rest } = object.right;
  // Older readers know the first key only, newer ones write the second.
  const key = Object.hasOwn(rest, "dtype") ? "dtype" : "torch_dtype";
  // A head that was quantised beside a table is one of its own.
  const untied = ownHead && rest.tie_word_embeddings === true ? { tie_word_embeddings: false } : {};
  const plain = { ...rest, ...untied, ...(name === undefined ? {} : { [key]: name }) };
  return Either.right(jsonText(quantization === undefined ? plain : configJson(plain, quantization)));
}

function converted(bytes: Uint8Array, from: TensorDtype, to: TensorDtype, name: string): Uint8Array {
  if (from === to) return bytes;
  // A view at any offset: typed arrays need an aligned one.
  const own = bytes.slice();
  const result =
    from === "F32" && to === "BF16"
      ? float32ToBfloat16(new Float32Array(own.buffer))
      : from === "BF16" && to === "F32"
        ? bfloat16ToFloat32(new Uint16Array(own.buffer))
        : undefined;
  if (result === undefined) {
    throw new WeftError([
      unsupportedProblem("export", `only F32 and BF16 can be converted to ${to}`, {
        given: from,
        path: name,
      }),
    ]);
  }
  return new Uint8Array(result.buffer);
}
