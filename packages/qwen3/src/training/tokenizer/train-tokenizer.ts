/**
 * A byte-level BPE tokenizer of the user's own text, learnt by the `tokenizers` library itself. Its Node bindings train
 * without options, up to 30,000 tokens. Merges are learnt greedily, each from those before it, so the first ones are
 * exactly those of a smaller vocabulary: what is too many is cut off.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { open, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { unsupportedProblem } from "@weft/dsl";
import { makeFolder } from "@weft/runtime";
import * as Either from "fp-ts/lib/Either.js";
import { readJsonObject } from "../../config/json-file.ts";
import { type Checked, messageOf, type Problems, refuse } from "../../config/problems.ts";
import { chatmlTemplateText } from "../../text/chatml.ts";
import { writeWhole } from "../../weights/write-stream.ts";
import { addedTokens, tokenizerConfigText, tokenizerText, untrainedText } from "./qwen-tokenizer.ts";

export interface TrainTokenizerOptions {
  /** What the tokenizer is to read well; special tokens in it are passed over. */
  readonly texts: Iterable<string> | AsyncIterable<string>;
  /** Tokens in all: 256 bytes, the merges, and Qwen's special tokens. A small text may give fewer. At most 30,000. */
  readonly vocabSize: number;
  /** Gets tokenizer.json and tokenizer_config.json; made where it is absent. */
  readonly directory: string;
  /** Default: ChatML, as Qwen's models speak it. */
  readonly chatTemplate?: string;
  /** Longest context of the model, for tokenizer_config.json. Default 32,768. */
  readonly maxLength?: number;
}

export interface TrainedTokenizer {
  readonly directory: string;
  /** Tokens in all, which is what vocab_size of config.json must be at least. */
  readonly vocabSize: number;
  readonly merges: number;
}

/** The library's own number, which its bindings do not let anybody change. */
const mostTokens = 30_000;
const bytes = 256;

/**
 * Learns a tokenizer and writes the two files that `openTokenizer` opens.
 *
 * Left: a vocabulary of nonsense; no text; a disk that refuses.
 *
 * @example
 * await trainTokenizer({ texts: ["one two", "two three"], vocabSize: 300, directory: "my-tokenizer" });
 */
export async function trainTokenizer(options: TrainTokenizerOptions): Promise<Checked<TrainedTokenizer>> {
  const { vocabSize, directory, texts, chatTemplate = chatmlTemplateText, maxLength = 32_768 } = options;
  const least = bytes + addedTokens.length;
  if (!Number.isSafeInteger(vocabSize) || vocabSize < least) {
    return refuse(
      "vocabSize",
      `must be an integer of at least ${least}, all bytes and Qwen's special tokens`,
      {
        given: String(vocabSize),
        remedy: "choose a larger vocabulary",
      },
    );
  }
  if (vocabSize > mostTokens) {
    const problem = unsupportedProblem("vocabSize", `must be at most ${mostTokens}`, {
      given: String(vocabSize),
      remedy: "choose a smaller vocabulary, or use the tokenizer of a released model",
    });
    return Either.left([problem] satisfies Problems);
  }
  let folder: string | undefined;
  try {
    folder = mkdtempSync(join(tmpdir(), "weft-tokenizer-"));
    const corpus = join(folder, "corpus.txt");
    if (!(await writeCorpus(corpus, texts))) {
      return refuse("texts", "must hold text to learn from", { given: "none", remedy: "give some text" });
    }
    const learnt = await learn(folder, corpus);
    if (Either.isLeft(learnt)) return learnt;
    const merges = learnt.right.slice(0, vocabSize - least);
    const files = {
      "tokenizer.json": tokenizerText(merges),
      "tokenizer_config.json": tokenizerConfigText(bytes + merges.length, chatTemplate, maxLength),
    };
    makeFolder(directory);
    for (const [name, text] of Object.entries(files)) {
      const written = await writeWhole(join(directory, name), (put) => put(Buffer.from(text)));
      if (Either.isLeft(written)) return written;
    }
    return Either.right({ directory, vocabSize: least + merges.length, merges: merges.length });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    return refuse(directory, "must be writable", {
      given: messageOf(error),
      remedy: "check the path, its permissions and the free space",
    });
  } finally {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }
}

/** Whether there was anything to write. */
async function writeCorpus(file: string, texts: TrainTokenizerOptions["texts"]): Promise<boolean> {
  const special = new RegExp(addedTokens.map(({ content }) => content.replaceAll("|", "\\|")).join("|"), "g");
  const handle = await open(file, "wx");
  let any = false;
  try {
    for await (const text of texts) {
      const plain = text.replace(special, "\n");
      any ||= plain.trim() !== "";
      await handle.write(`${plain}\n`);
    }
  } finally {
    await handle.close();
  }
  return any;
}

/** Runs in a process of its own: the library blocks, and draws progress bars on a terminal that is not its. */
const script = `const [library, from, corpus, to] = process.argv.slice(1);
const { Tokenizer } = require(library);
const tokenizer = Tokenizer.fromFile(from);
tokenizer.train([corpus]);
tokenizer.save(to);`;

async function learn(
  folder: string,
  corpus: string,
): Promise<Checked<readonly (readonly [string, string])[]>> {
  const [from, to] = [join(folder, "untrained.json"), join(folder, "trained.json")];
  await writeFile(from, untrainedText());
  const library = createRequire(import.meta.url).resolve("tokenizers");
  const problem = await new Promise<string | undefined>((resolve, reject) => {
    // Without the options of this process: loaders of sources are nothing for a script of six lines.
    const child = spawn(process.execPath, ["-e", script, library, from, corpus, to], {
      stdio: ["ignore", "ignore", "pipe"],
      env: { ...process.env, NODE_OPTIONS: "" },
    });
    let errors = "";
    child.stderr.on("data", (chunk) => {
      errors += chunk;
    });
    child.once("error", reject);
    child.once("close", (code) => resolve(code === 0 ? undefined : errors.trim() || `exit code ${code}`));
  });
  if (problem !== undefined) {
    return refuse("tokenizers", "training must succeed", { given: problem, remedy: "check memory and text" });
  }
  return Either.map((object: Readonly<Record<string, unknown>>) => {
    const { merges } = object.model as { readonly merges: readonly (readonly [string, string])[] };
    return merges;
  })(readJsonObject(to, "train again"));
}
