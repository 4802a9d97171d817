/** The tokenizer and the chat templates of a checkpoint, each opened when it is first asked for. */
import * as Either from "fp-ts/lib/Either.js";
import { type Checked, WeftError } from "../config/problems.ts";
import { type ChatTemplate, chatTemplateOf } from "../text/chat-template.ts";
import { checkTokenizerFits } from "../text/token-ids.ts";
import { openTokenizer, type Tokenizer } from "../text/tokenizer.ts";
import { readTokenizerConfig, type TokenizerConfig } from "../text/tokenizer-config.ts";

export class CheckpointText {
  readonly #directory: string;
  readonly #vocabSize: number;
  #tokenizer: Checked<Tokenizer> | undefined;
  readonly #templates = new Map<string | undefined, Checked<ChatTemplate>>();

  constructor(directory: string, vocabSize: number) {
    this.#directory = directory;
    this.#vocabSize = vocabSize;
  }

  /** @throws WeftError when it is absent, broken, or of another model. */
  tokenizer(): Tokenizer {
    this.#tokenizer ??= Either.chainFirst((tokenizer: Tokenizer) =>
      checkTokenizerFits(tokenizer, this.#vocabSize),
    )(openTokenizer(this.#directory));
    return orRaise(this.#tokenizer);
  }

  /** @throws WeftError when there is none of that name, or it is no valid Jinja. */
  chatTemplate(choice?: string): ChatTemplate {
    let template = this.#templates.get(choice);
    if (template === undefined) {
      template = Either.chain((config: TokenizerConfig) => chatTemplateOf(config, choice))(
        readTokenizerConfig(this.#directory),
      );
      this.#templates.set(choice, template);
    }
    return orRaise(template);
  }
}

/** The value, or its problems as an exception. */
export function orRaise<A>(checked: Checked<A>): A {
  if (Either.isLeft(checked)) throw new WeftError(checked.left);
  return checked.right;
}
