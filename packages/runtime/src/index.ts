export { type CacheKind, cacheDirectory } from "./cache-directory.ts";
export { type CacheStatus, cacheStatus, clearCache } from "./cache-folder.ts";
export * from "./device.ts";
export { type LoadPlanOptions, loadPlan, planHash } from "./plan-file.ts";
export * from "./weights.ts";
