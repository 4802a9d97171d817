/** Chat messages to prompt text, by the checkpoint's own Jinja template. */
import { createRequire } from "node:module";
import type { Template } from "@huggingface/jinja";
import * as Either from "fp-ts/lib/Either.js";
import { messageOf, type Problems, refuse } from "../config/problems.ts";
import { chatmlTemplateText } from "./chatml.ts";
import { type TokenizerConfig, templatePlaces } from "./tokenizer-config.ts";

/** One turn. Templates also read keys of their own: `reasoning_content`, `tool_calls`, `name`. */
export interface ChatMessage {
  readonly role: string;
  readonly content?: unknown;
  readonly [key: string]: unknown;
}

export interface RenderOptions {
  /** Functions that the model may call, as JSON schema objects. Default: none. */
  readonly tools?: readonly unknown[];
  /** End with the beginning of the assistant's turn. Default true. */
  readonly addGenerationPrompt?: boolean;
  /** The thinking switch of Qwen3's templates; left out, the template decides. */
  readonly enableThinking?: boolean;
  /** Further variables of the template. */
  readonly variables?: Readonly<Record<string, unknown>>;
}

export interface ChatTemplate {
  /** The file it came from, or `chatml`. */
  readonly source: string;
  readonly name: string;
  /** Left: the template cannot be evaluated with these messages, or refuses them itself. */
  render(messages: readonly ChatMessage[], options?: RenderOptions): Either.Either<Problems, string>;
}

/**
 * The chat template of a checkpoint.
 *
 * @param choice the name of a template of the checkpoint. `chatml`, where the checkpoint has none of that name, is
 *   the plain ChatML form. Default: the template named `default`, or the only one there is.
 *
 * Left: there is no such template (with the places that were looked at), or it is no valid Jinja. Nothing is ever
 * substituted unasked: a model answers badly to a form that it was not trained with.
 */
export function chatTemplateOf(
  config: TokenizerConfig,
  choice?: string,
): Either.Either<Problems, ChatTemplate> {
  const { chatTemplates: templates, directory } = config;
  const only = templates.size === 1 ? [...templates.keys()][0] : undefined;
  const name = choice ?? (templates.has("default") ? "default" : (only ?? "default"));
  const found = templates.get(name);
  if (found !== undefined) return parseChatTemplate(found.text, found.source, name, config);
  if (choice === "chatml") return parseChatTemplate(chatmlTemplateText, "chatml", "chatml", config);
  return refuse(
    directory,
    choice === undefined ? "must have a chat template" : `must have a chat template named "${choice}"`,
    {
      given:
        templates.size === 0
          ? `none: looked for ${templatePlaces.join(" and ")}`
          : `templates named ${[...templates.keys()].join(", ")}`,
      remedy: 'fetch the file of the checkpoint, or ask for the template "chatml"',
    },
  );
}

/** Loaded on first use: only conversations need it. */
const loadLibrary = (): typeof import("@huggingface/jinja") =>
  createRequire(import.meta.url)("@huggingface/jinja");

/** A template from its text. `tokens` are the special tokens that templates may print. */
export function parseChatTemplate(
  text: string,
  source: string,
  name = "default",
  tokens: Pick<Partial<TokenizerConfig>, "bosToken" | "eosToken" | "padToken"> = {},
): Either.Either<Problems, ChatTemplate> {
  let template: Template;
  try {
    template = new (loadLibrary().Template)(text);
  } catch (error) {
    return refuse(source, "the chat template must be valid Jinja", {
      given: messageOf(error),
      remedy: "correct the template, or fetch it again",
    });
  }
  // Templates ask whether a variable is defined, so what is not known must not be there.
  const tokenVariables = defined({
    bos_token: tokens.bosToken,
    eos_token: tokens.eosToken,
    pad_token: tokens.padToken,
  });
  const render: ChatTemplate["render"] = (messages, options = {}) => {
    const { tools, addGenerationPrompt = true, enableThinking, variables = {} } = options;
    const context: Record<string, unknown> = {
      ...tokenVariables,
      messages,
      add_generation_prompt: addGenerationPrompt,
      // Transformers passes None for no tools, and templates compare with it.
      tools: tools !== undefined && tools.length > 0 ? tools : null,
      ...defined({ enable_thinking: enableThinking }),
      ...variables,
    };
    try {
      return Either.right(template.render(context));
    } catch (error) {
      return refuse(source, "the chat template must accept the messages", {
        given: messageOf(error),
        remedy: "check roles, order and contents of the messages",
      });
    }
  };
  return Either.right({ source, name, render });
}

function defined(variables: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(variables).filter(([, value]) => value !== undefined));
}
