export { philox, uniformAt, type Words4 } from "@weft/dsl";
export {
  type ResolvedSamplerOptions,
  resolveSamplerOptions,
  type SamplerOptions,
  samplerOptionsOf,
} from "./options.ts";
export { Sampler } from "./sampler.ts";
