export * from "./device.ts";
export { type LoadPlanOptions, loadPlan, planHash } from "./plan-file.ts";
export * from "./weights.ts";
