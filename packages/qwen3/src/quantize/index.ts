export {
  type ActivationFormat,
  activationFormats,
  type FormatRule,
  type LinearFormat,
  linearFormats,
} from "./format-rules.ts";
export { type QuantizeOptions, quantizeCheckpoint } from "./quantize.ts";
export type { LinearReport, QuantizeReport } from "./report.ts";
