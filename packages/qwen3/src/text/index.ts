export {
  type ChatMessage,
  type ChatTemplate,
  chatTemplateOf,
  parseChatTemplate,
  type RenderOptions,
} from "./chat-template.ts";
export { type StopResult, StopStrings } from "./stop-strings.ts";
export { TextStream } from "./text-stream.ts";
export { checkTokenIds, checkTokenizerFits } from "./token-ids.ts";
export { type DecodeOptions, openTokenizer, type Tokenizer } from "./tokenizer.ts";
export { readTokenizerConfig, type TemplateText, type TokenizerConfig } from "./tokenizer-config.ts";
