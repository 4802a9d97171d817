export { type CheckpointOptions, checkpoint } from "./checkpoint.ts";
export { type Recomputation, recomputations } from "./keep.ts";
export { describeRung, type RecomputationRung, recomputeBy, rungAt, rungCount } from "./ladder.ts";
