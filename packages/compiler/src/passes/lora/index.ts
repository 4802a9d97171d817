export { lora } from "./lora.ts";
export { type AdapterParameter, type LoraAdapter, type LoraOptions, loraAdapters } from "./targets.ts";
