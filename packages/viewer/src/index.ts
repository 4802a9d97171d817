export { type Measured, type MeasuredProgram, measuredVersion, readMeasured } from "./build/measured.ts";
export { notationOf } from "./build/notation.ts";
export { type ViewOptions, viewOf } from "./build/view.ts";
export * from "./format/rows.ts";
export * from "./format/texts.ts";
export * from "./format/types.ts";
export { escapeMarkup, jsonInMarkup, pageOf } from "./page/page.ts";
