export { type QuantizeOptions, quantizeCheckpoint } from "./quantize.ts";
export type { LinearReport, QuantizeReport } from "./report.ts";
