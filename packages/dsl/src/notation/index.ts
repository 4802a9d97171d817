/** Blocks as text: `->>` notation, both ways, and summaries. */
export { prettyBlock, printBlock } from "./print.ts";
export { type SummaryParameter, type SummaryRow, summary } from "./summary.ts";
export { vocabularyOf, wire } from "./wire.ts";
export type { Vocabulary, WireBlock, WireChecked } from "./wire-types.ts";
