/**
 * A saved session is a safetensors file: the used rows of the cache as tensors, everything else as JSON in its metadata.
 * So it is checked as strictly as a checkpoint, written whole or not at all, and other tools can look into it.
 */
import { createHash } from "node:crypto";
import * as Either from "fp-ts/lib/Either.js";
import { type Checked, messageOf, refuse } from "../config/problems.ts";
import type { ContextSnapshot } from "../inference/context.ts";
import type { LanguageModel } from "../inference/language-model.ts";
import type { ChatMessage } from "../text/chat-template.ts";
import { readTensorBytes } from "../weights/read.ts";
import { openSafetensors } from "../weights/safetensors.ts";
import { type TensorToWrite, writeSafetensors } from "../weights/write.ts";
import { CachedText } from "./cached-text.ts";
import { type SessionFields, sessionFields } from "./session-fields.ts";

export interface SavedSession {
  readonly messages: readonly ChatMessage[];
  readonly turns: number;
  readonly cached: CachedText;
  readonly rendering: SessionFields["rendering"];
  readonly context: ContextSnapshot;
}

const format = "weft-session-1";
const damaged = "the file is damaged: use another one";
const storedDtype = {
  f32: "F32",
  bf16: "BF16",
  f16: "F16",
  f8e4m3: "F8_E4M3",
  nvfp4: "U8",
  i32: "I32",
  i8: "I8",
} as const;

/** Left: the model is under training, or the disk refuses; the former file is still there then. */
export function saveSession(file: string, model: LanguageModel, session: SavedSession): Checked<void> {
  const fingerprint = fingerprintOf(model);
  if (fingerprint === undefined) return weightsChange(file);
  const { context, cached } = session;
  const length = context.tokens.length;
  const states = length === 0 ? [] : model.cache;
  const tensors: TensorToWrite[] = states.map(({ name, dtype, outer, inner }) => ({
    name,
    dtype: storedDtype[dtype],
    shape: [outer, length, inner],
    data: context.state.get(name)!,
  }));
  return writeSafetensors(
    file,
    [
      { name: "tokens", dtype: "I32", shape: [cached.tokens.length], data: Int32Array.from(cached.tokens) },
      ...tensors,
    ],
    {
      format,
      model: fingerprint,
      session: JSON.stringify({
        messages: session.messages,
        turns: session.turns,
        text: cached.text,
        anchors: cached.anchors,
        rendering: session.rendering,
        dropped: context.dropped,
      }),
    },
  );
}

/** Left: no session file, a damaged one, or one of another model. */
export function loadSession(file: string, model: LanguageModel): Checked<SavedSession> {
  const opened = openSafetensors(file);
  if (Either.isLeft(opened)) return opened;
  const { metadata, entries } = opened.right;
  if (metadata.format !== format) {
    return refuse(file, `must be a session as Weft saves it (${format})`, {
      given: metadata.format ?? "a file without a format",
      remedy: "give a file that a session was saved to",
    });
  }
  const fingerprint = fingerprintOf(model);
  if (fingerprint === undefined) return weightsChange(file);
  if (metadata.model !== fingerprint) {
    return refuse(file, "must be a session of the same model, dtype and quantisation", {
      given: "a session of another model",
      remedy: "open the model that it was saved from, with the same options",
    });
  }
  const tokensEntry = entries.find(({ name }) => name === "tokens");
  if (tokensEntry?.dtype !== "I32" || tokensEntry.shape.length !== 1) {
    return refuse(file, 'must hold the tensor "tokens", a list of I32', {
      given: tokensEntry === undefined ? "no such tensor" : `${tokensEntry.dtype}[${tokensEntry.shape}]`,
      remedy: damaged,
    });
  }
  let arrays: Map<string, Uint8Array<ArrayBuffer>>;
  try {
    arrays = new Map(entries.map((entry) => [entry.name, readTensorBytes(entry)]));
  } catch (error) {
    return refuse(file, "must be readable", { given: messageOf(error), remedy: damaged });
  }
  const tokens = [...new Int32Array(arrays.get("tokens")!.buffer)];
  arrays.delete("tokens");
  const checked = sessionFields(file, metadata.session, tokens.length);
  if (Either.isLeft(checked)) return checked;
  const { messages, turns, text, anchors, rendering, dropped } = checked.right;
  return Either.right({
    messages,
    turns,
    rendering,
    cached: new CachedText(text, tokens, anchors),
    context: { tokens: tokens.slice(dropped), dropped, state: arrays },
  });
}

/** Of each weight so many bytes at the beginning tell models apart: also those that share most of their weights. */
const sampleBytes = 1024;

const weightsChange = (file: string) =>
  refuse(file, "a session in a file must be of weights that stay", {
    given: "a model under training",
    remedy: "export the model, and save a session of that",
  });

const byName = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]) => (a < b ? -1 : 1);

/**
 * Tells models apart whose rows must not be mixed: by architecture, by how rows are stored, and by their weights. Undefined
 * for weights that change.
 */
function fingerprintOf(model: LanguageModel): string | undefined {
  if (model.weights === undefined) return undefined;
  const { file: _, ...architecture } = model.config;
  const hash = createHash("sha256").update(JSON.stringify([architecture, model.dtype]));
  // What is encoded at load is stored as it was: only the options tell.
  if (model.encodings.size > 0) hash.update(JSON.stringify([...model.encodings].sort(byName)));
  if (model.adapter !== undefined) hash.update(`scaled by ${model.adapter.alpha / model.adapter.rank}`);
  for (const [name, entry] of [...model.weights].sort(byName)) {
    hash.update(JSON.stringify([name, entry.dtype, entry.shape]));
    hash.update(readTensorBytes({ ...entry, end: Math.min(entry.end, entry.begin + sampleBytes) }));
  }
  return hash.digest("hex");
}
