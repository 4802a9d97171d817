export { MetricsFile, parseMetrics, type StepMetrics } from "./metrics-file.ts";
export { writeCurves } from "./plot.ts";
