/** Blocks as text: `->>` notation and summaries. */
export { prettyBlock, printBlock } from "./print.ts";
export { type SummaryParameter, type SummaryRow, summary } from "./summary.ts";
