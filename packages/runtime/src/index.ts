export { type CacheKind, cacheDirectory } from "./cache-directory.ts";
export { type CacheStatus, cacheStatus, clearCache } from "./cache-folder.ts";
export * from "./device.ts";
export { type ExecutableHandle, loadAddon, type PlanHandle, type SharedAddon } from "./native/addon.ts";
export { type NativeCall, nativeCall } from "./native/errors.ts";
export { NativeExecutable } from "./native/executable.ts";
export { checkedCount, memoryLimit } from "./options.ts";
export { type LoadPlanOptions, loadPlan, planHash } from "./plan-file.ts";
export * from "./weights.ts";
