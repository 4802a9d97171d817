export {
  type GenerationConfig,
  parseGenerationConfig,
  readGenerationConfig,
  stopTokenIds,
} from "./generation-config.ts";
export { type QuantizationConfig, readQuantizationConfigs } from "./quantization/index.ts";
export {
  type ConfigError,
  parseQwen3Config,
  type Qwen3Config,
  readQwen3Config,
  type StoredDtype,
} from "./qwen3-config.ts";
