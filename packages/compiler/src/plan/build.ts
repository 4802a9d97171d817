/** Assembles programs into one plan: shared buffers and kernels, memory, and the content hash. */
import { createHash } from "node:crypto";
import { emitProgram, type ProgramSource } from "../emit/program.ts";
import { PlanAssembly } from "../emit/storage.ts";
import type { FusedGroup } from "../fusion/types.ts";
import { type ProgramMemory, planMemory } from "./memory.ts";
import { type LayerRepeat, repeatLayers } from "./repeat/repeat-layers.ts";
import { type Plan, planVersion } from "./types.ts";

export interface BuiltPlan {
  readonly plan: Plan;
  readonly programs: readonly ProgramMemory[];
  /** For each program and step, the group that it came from. */
  readonly groups: readonly (readonly FusedGroup[])[];
}

/**
 * @param repeat the sources hold `patternLayers` layers of a model that has more of them.
 * @returns undefined when the layers to repeat do not follow one pattern.
 */
export function buildPlan(
  name: string,
  target: string,
  sources: readonly ProgramSource[],
  repeat: LayerRepeat,
): BuiltPlan | undefined;
export function buildPlan(name: string, target: string, sources: readonly ProgramSource[]): BuiltPlan;
export function buildPlan(
  name: string,
  target: string,
  sources: readonly ProgramSource[],
  repeat?: LayerRepeat,
): BuiltPlan | undefined {
  const assembly = new PlanAssembly();
  // Symbols are declared for all programs first: a larger bound in one must not change the other's indices.
  for (const source of sources) assembly.declareSymbols(source.fused.graph.symbols);
  const emitted = sources.map((source) => emitProgram(source, assembly));
  const assembled: Plan = {
    version: planVersion,
    name,
    target,
    hash: "",
    symbols: assembly.symbols,
    buffers: assembly.buffers,
    kernels: assembly.kernels,
    programs: emitted.map((one) => one.program),
    memory: { weights: 0, state: 0, activations: 0, input: 0, output: 0 },
  };
  const plan = repeat === undefined ? assembled : repeatLayers(assembled, repeat);
  if (plan === undefined) return undefined;
  const { memory, programs } = planMemory(plan);
  plan.memory = memory;
  plan.hash = hashPlan(plan);
  return { plan, programs, groups: emitted.map((one) => one.groups) };
}

/** SHA-256 over the plan's JSON with an empty hash. */
export function hashPlan(plan: Plan): string {
  return createHash("sha256")
    .update(JSON.stringify({ ...plan, hash: "" }))
    .digest("hex");
}
