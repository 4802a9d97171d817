/**
 * A conversation as text to learn from, by the checkpoint's own template. What the model reads when it answers and what
 * it learnt from must be the same text, so nothing here knows any frame: which characters open an assistant's turn is
 * asked of the template, and its end is the checkpoint's end token.
 */
import * as Either from "fp-ts/lib/Either.js";
import { type Checked, refuse } from "../../config/problems.ts";
import type { ChatMessage, ChatTemplate } from "../../text/chat-template.ts";

export interface TextPart {
  readonly text: string;
  /** In an assistant's turn: what it says and the end token, but neither the opening nor what follows the end. */
  readonly learn: boolean;
}

/** @param line the other keys of the line: `tools`, `enable_thinking` */
export type ConversationRenderer = (
  messages: readonly ChatMessage[],
  line?: Readonly<Record<string, unknown>>,
) => Checked<readonly TextPart[]>;

/**
 * @param endToken text of the token that ends a turn: `<|im_end|>`
 *
 * Left of what it returns: the template refuses the messages or does not open assistant turns; a turn without an end
 * token; a text that shows another number of assistant turns than there are (a message that quotes the frame).
 */
export function conversationRenderer(template: ChatTemplate, endToken: string): ConversationRenderer {
  const { source } = template;
  const remedy = "correct the template, or take the conversation out";
  return (messages, line = {}) => {
    const options = Array.isArray(line.tools) ? { tools: line.tools as unknown[] } : {};
    const render = (addGenerationPrompt: boolean) =>
      template.render(messages, { ...options, addGenerationPrompt });
    const [whole, prompted] = [render(false), render(true)];
    if (Either.isLeft(whole)) return whole;
    if (Either.isLeft(prompted)) return prompted;
    const text = whole.right;
    const opening = prompted.right.startsWith(text) ? prompted.right.slice(text.length) : "";
    if (opening === "") {
      return refuse(source, "the chat template must open the assistant's turn where it is asked to", {
        given: "the same text with and without add_generation_prompt",
        remedy,
      });
    }
    const parts: TextPart[] = [];
    let at = 0;
    let turns = 0;
    for (let open = text.indexOf(opening); open >= 0; open = text.indexOf(opening, at)) {
      const begin = open + opening.length;
      const end = text.indexOf(endToken, begin);
      if (end < 0) {
        return refuse(source, `each assistant turn must end with ${endToken}`, {
          given: `a turn that does not: ${JSON.stringify(text.slice(begin, begin + 40))}`,
          remedy,
        });
      }
      parts.push({ text: text.slice(at, begin), learn: false });
      at = end + endToken.length;
      parts.push({ text: text.slice(begin, at), learn: true });
      turns++;
    }
    const expected = messages.filter(({ role }) => role === "assistant").length;
    if (turns !== expected) {
      return refuse(source, "the text must show each assistant turn once", {
        given: `${turns} openings ${JSON.stringify(opening)} for ${expected} turns`,
        remedy: "take out messages that quote the frame, or correct the template",
      });
    }
    parts.push({ text: text.slice(at), learn: false });
    return Either.right(parts);
  };
}
