export * from "./adapter.ts";
export { type AdapterScale, adapterConfigName, adapterConfigText, readAdapterConfig } from "./config-file.ts";
export * from "./files.ts";
export { initialAdapter } from "./initial.ts";
export { type MergeOptions, mergedModel } from "./merge.ts";
