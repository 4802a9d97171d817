export * from "./format/rows.ts";
export * from "./format/texts.ts";
export * from "./format/types.ts";
export { escapeMarkup, jsonInMarkup, pageOf } from "./page/page.ts";
export { type Measured, type MeasuredProgram, measuredVersion, readMeasured } from "./view/measured.ts";
export { notationOf } from "./view/notation.ts";
export { type ViewOptions, viewOf } from "./view/view.ts";
