export {
  type BatchOptions,
  BatchStream,
  batchStream,
  type DataPosition,
  dataStart,
} from "./batches.ts";
export { type ConversationRenderer, conversationRenderer, type TextPart } from "./conversation.ts";
export type { TextUnit } from "./plain-text.ts";
export { type PrepareDataOptions, type PreparedData, prepareData } from "./prepare.ts";
export { shuffledPlace } from "./shuffle.ts";
export type { DataFormat } from "./sources.ts";
export { type HeldOut, type Split, splitDocuments } from "./split.ts";
export { ignoredTarget, targetsOf } from "./targets.ts";
export { textsOf } from "./texts.ts";
export { openTokenFile, TokenFile } from "./token-file.ts";
