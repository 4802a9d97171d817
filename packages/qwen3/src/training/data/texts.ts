/** The bare text of data files, for a tokenizer to learn from. */
import * as Either from "fp-ts/lib/Either.js";
import { WeftError } from "../../config/problems.ts";
import { parseChatTemplate } from "../../text/chat-template.ts";
import { chatmlTemplateText } from "../../text/chatml.ts";
import { conversationRenderer } from "./conversation.ts";
import { type DataFormat, dataSources, readSources } from "./sources.ts";

/**
 * Every piece of text of every file. What is broken is passed over: the reader of the data will tell.
 * @throws WeftError for no file, and for files of unknown format
 */
export async function* textsOf(files: readonly string[], format?: DataFormat): AsyncGenerator<string> {
  const sources = dataSources(files, format);
  if (Either.isLeft(sources)) throw new WeftError(sources.left);
  const template = parseChatTemplate(chatmlTemplateText, "ChatML");
  if (Either.isLeft(template)) throw new WeftError(template.left);
  const render = conversationRenderer(template.right, "<|im_end|>");
  for await (const { piece } of readSources(sources.right, "file", () => render)) if (piece) yield piece.text;
}
