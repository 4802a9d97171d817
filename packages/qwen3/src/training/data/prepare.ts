/** Data files to one token file: tokenized once, kept under a key of everything that decides its content. */
import { createHash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { join } from "node:path";
import { makeFolder } from "@weft/runtime";
import * as Either from "fp-ts/lib/Either.js";
import {
  type Checked,
  messageOf,
  type Problem,
  type Problems,
  refuse,
  unlessProblems,
  userProblem,
} from "../../config/problems.ts";
import type { ChatTemplate } from "../../text/chat-template.ts";
import type { Tokenizer } from "../../text/tokenizer.ts";
import { type ConversationRenderer, conversationRenderer } from "./conversation.ts";
import type { TextUnit } from "./plain-text.ts";
import { type DataFormat, type DataSource, dataSources, readSources } from "./sources.ts";
import { openTokenFile, type TokenFile } from "./token-file.ts";
import { TokenWriter } from "./token-writer.ts";

export interface PrepareDataOptions {
  readonly files: readonly string[];
  /** Default: each file's by its extension. */
  readonly format?: DataFormat;
  /** What one document of a plain text is. Default "file". */
  readonly textUnit?: TextUnit;
  readonly tokenizer: Tokenizer;
  /** Size of the model's table; an id beyond it is an error. */
  readonly vocabSize: number;
  /** Asked for at the first conversation; what it refuses is reported. */
  readonly template?: () => Checked<ChatTemplate>;
  /** Text of the token behind each plain text, `{"text"}` and target. Default: the checkpoint's end token. */
  readonly endToken?: string;
  /** Documents that cannot be read are counted and left out. Default false. */
  readonly skipBad?: boolean;
  /** Folder for token files; made where it is absent. */
  readonly cache: string;
}

export interface PreparedData {
  readonly tokens: TokenFile;
  /** Documents left out, with the first of their problems; none of them where the file was there before. */
  readonly skipped: number;
  readonly problems: readonly Problem[];
  /** Whether the token file was there before. */
  readonly cached: boolean;
}

/** After so many problems reading stops; a file of another format has one in each line. */
const mostReported = 20;
/** A changed way to tokenize makes new keys. */
const version = 1;

/**
 * Left: every problem of the data, up to 20 (none counts with `skipBad` but a file that is absent); no document at all;
 * no end token; a disk that refuses.
 */
export async function prepareData(options: PrepareDataOptions): Promise<Checked<PreparedData>> {
  const sources = dataSources(options.files, options.format);
  if (Either.isLeft(sources)) return sources;
  const endText = options.endToken ?? options.tokenizer.config.eosToken;
  const endId = endText === undefined ? undefined : options.tokenizer.tokenToId(endText);
  if (endText === undefined || endId === undefined) {
    return refuse(options.tokenizer.file, "must have a token that ends a document", {
      given: endText === undefined ? "no eos_token" : `no token ${endText}`,
      remedy: "name one of its tokens as end token",
    });
  }
  let key: string;
  try {
    key = await keyOf(options, sources.right, endText);
    makeFolder(options.cache);
  } catch (error) {
    const file = (error as NodeJS.ErrnoException).path ?? "data";
    return refuse(file, "must be readable", {
      given: messageOf(error),
      remedy: "check the path of the data",
    });
  }
  const file = join(options.cache, `${key}.tokens.safetensors`);
  if (existsSync(file)) {
    const opened = openTokenFile(file);
    if (Either.isRight(opened)) return found(opened.right, true);
    // A damaged file is made again.
  }
  try {
    using writer = new TokenWriter(file, options.vocabSize);
    const outcome = await tokenize(options, sources.right, endId, endText, writer);
    if (Either.isLeft(outcome)) return outcome;
    const { skipped } = outcome.right;
    const written = await writer.finish({ skipped: String(skipped.count) });
    if (Either.isLeft(written)) return written;
    return Either.chain((tokens: TokenFile) => found(tokens, false, skipped))(openTokenFile(file));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    return refuse(options.cache, "must be writable", {
      given: messageOf(error),
      remedy: "check the directory, its permissions and the free space",
    });
  }
}

interface Skipped {
  count: number;
  readonly problems: Problem[];
}

const found = (tokens: TokenFile, cached: boolean, skipped?: Skipped): Checked<PreparedData> =>
  Either.right({
    tokens,
    cached,
    skipped: skipped?.count ?? tokens.skipped,
    problems: skipped?.problems ?? [],
  });

/** A model learns the form that it is asked in later: the checkpoint's own, and no other can be asked for. */
const ownTemplate = (template: PrepareDataOptions["template"]): Checked<ChatTemplate> =>
  Either.mapLeft(
    ([first, ...rest]: Problems): Problems => [
      { ...first, remedy: "put the chat_template.jinja of the checkpoint there" },
      ...rest,
    ],
  )(template?.() ?? refuse("data", "conversations must have a chat template", { given: "none" }));

async function tokenize(
  { tokenizer, vocabSize, template, skipBad = false, textUnit = "file" }: PrepareDataOptions,
  sources: readonly DataSource[],
  endId: number,
  endText: string,
  writer: TokenWriter,
): Promise<Checked<{ readonly skipped: Skipped }>> {
  const skipped: Skipped = { count: 0, problems: [] };
  let renderer: Checked<ConversationRenderer> | undefined;
  const chat = (): ConversationRenderer => {
    renderer ??= Either.map((one: ChatTemplate) =>
      conversationRenderer(one, tokenizer.config.eosToken ?? endText),
    )(ownTemplate(template));
    const made = renderer;
    return Either.isLeft(made) ? () => made : made.right;
  };
  for await (const { piece, problem } of readSources(sources, textUnit, chat)) {
    if (problem !== undefined) {
      skipped.count++;
      if (skipped.problems.length < mostReported) skipped.problems.push(problem);
      // Without a template every conversation is bad: that is no damage of single lines.
      if (renderer !== undefined && Either.isLeft(renderer)) return renderer;
      if (problem.location === undefined) return Either.left([problem]);
      if (!skipBad && skipped.count === mostReported) break;
      continue;
    }
    const ids = await tokenizer.encode(piece.text);
    const beyond = ids.find((id) => id >= vocabSize);
    if (beyond !== undefined) {
      return refuse(tokenizer.file, `ids must be below vocab_size of config.json, ${vocabSize}`, {
        given: String(beyond),
        location: piece.location,
        remedy: "use the tokenizer that belongs to this model",
      });
    }
    writer.add(ids, piece.learn);
    if (piece.end) writer.add([endId], piece.learn);
    if (piece.last) writer.endDocument();
  }
  if (!skipBad && skipped.count > 0) {
    return Either.map(() => ({ skipped }))(unlessProblems(skipped.problems, () => undefined));
  }
  if (writer.documents > 0) return Either.right({ skipped });
  return Either.left([
    userProblem("data", "must hold at least one document", {
      given: `${sources.length === 1 ? sources[0]!.file : `${sources.length} files`} with none${
        skipped.count === 0 ? "" : `, ${skipped.count} skipped`
      }`,
      remedy: "give text to learn from",
    }),
  ]);
}

/** A hash of the files' bytes, the tokenizer and its template, and the options. */
async function keyOf(
  options: PrepareDataOptions,
  sources: readonly DataSource[],
  end: string,
): Promise<string> {
  const { tokenizer, textUnit = "file", skipBad = false, vocabSize } = options;
  const hash = createHash("sha256");
  const file = async (path: string) => {
    for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  };
  const templates = [...tokenizer.config.chatTemplates].map(([name, { text }]) => [name, text]);
  hash.update(JSON.stringify([version, textUnit, skipBad, vocabSize > 65_536, end, templates]));
  await file(tokenizer.file);
  for (const source of sources) {
    hash.update(`\0${source.format}\0`);
    await file(source.file);
  }
  return hash.digest("hex").slice(0, 32);
}
