export {
  type ResolvedSamplerOptions,
  resolveSamplerOptions,
  type SamplerOptions,
  samplerOptionsOf,
} from "./options.ts";
export { philox, uniformAt, type Words4 } from "./philox.ts";
export { Sampler } from "./sampler.ts";
