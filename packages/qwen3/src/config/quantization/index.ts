export { packedFormat } from "./compressed-tensors.ts";
export { type ModuleTest, moduleTest } from "./module-patterns.ts";
export {
  parseQuantizationConfig,
  type QuantizationConfig,
  readQuantizationConfigs,
} from "./quantization-config.ts";
