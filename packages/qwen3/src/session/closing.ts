/** How a template ends the assistant's turn, and which tokens of an answer stay when its text was cut. */
import { unsupportedProblem, WeftError } from "../config/problems.ts";
import { orRaise } from "../inference/checkpoint-text.ts";
import type { ChatMessage, ChatTemplate, RenderOptions } from "../text/chat-template.ts";
import type { Tokenizer } from "../text/tokenizer.ts";

/** An answer that no template takes apart. */
const probe = "weft-answer";

/**
 * What the template prints behind the answer to these messages: `<|im_end|>\n` in ChatML.
 * @throws WeftError when the template does not print the answer.
 */
export function closingOf(
  template: ChatTemplate,
  messages: readonly ChatMessage[],
  options: RenderOptions,
): string {
  const answered = [...messages, { role: "assistant", content: probe }];
  const text = orRaise(template.render(answered, { ...options, addGenerationPrompt: false }));
  const at = text.lastIndexOf(probe);
  if (at >= 0) return text.slice(at + probe.length);
  throw new WeftError([
    unsupportedProblem(
      template.source,
      "the chat template must print the content of an assistant's message",
      {
        given: `template "${template.name}"`,
        remedy: 'give another template, for example "chatml"',
      },
    ),
  ]);
}

export interface CutAnswer {
  readonly tokens: readonly number[];
  readonly text: string;
}

/**
 * The tokens of an answer that a stop string cut short: those that lie before the cut as they were generated, and new
 * ones for what is left of the token that the cut goes through.
 * @param mostTail no more new tokens than this; text that would need more is left out
 */
export async function cutAnswer(
  tokenizer: Tokenizer,
  tokens: readonly number[],
  text: string,
  mostTail: number,
): Promise<CutAnswer> {
  let kept = tokens.length;
  let head = "";
  for (; kept > 0; kept--) {
    head = tokenizer.decode(tokens.slice(0, kept), { skipSpecial: false });
    if (text.startsWith(head)) break;
  }
  if (kept === 0) head = "";
  const rest = text.slice(head.length);
  const tail = rest === "" ? [] : await tokenizer.encode(rest);
  return tail.length > mostTail
    ? { tokens: tokens.slice(0, kept), text: head }
    : { tokens: [...tokens.slice(0, kept), ...tail], text };
}
