/** The architectures that kernels are compiled for, and what is known about each before there is a device. */
import { nearestName, unsupportedProblem, userProblem, WeftError } from "@weft/dsl";

export interface TargetFacts {
  readonly major: number;
  readonly minor: number;
  /** The most dynamic shared memory that a block may ask for, in bytes. */
  readonly sharedBytes: number;
  /** With the suffix `a`: the image runs on exactly this compute capability. Else on later minor ones too. */
  readonly exact: boolean;
  /** Its matrix units multiply FP4. */
  readonly fp4: boolean;
}

const KiB = 1024;

export const cudaTargets = {
  sm_80: { major: 8, minor: 0, sharedBytes: 163 * KiB, exact: false, fp4: false },
  sm_89: { major: 8, minor: 9, sharedBytes: 99 * KiB, exact: false, fp4: false },
  sm_90a: { major: 9, minor: 0, sharedBytes: 227 * KiB, exact: true, fp4: false },
  sm_100a: { major: 10, minor: 0, sharedBytes: 227 * KiB, exact: true, fp4: true },
  sm_120a: { major: 12, minor: 0, sharedBytes: 99 * KiB, exact: true, fp4: true },
  sm_121a: { major: 12, minor: 1, sharedBytes: 99 * KiB, exact: true, fp4: true },
} as const satisfies Readonly<Record<string, TargetFacts>>;

export type CudaTarget = keyof typeof cudaTargets;

export const targetNames = Object.keys(cudaTargets) as CudaTarget[];

/** @throws WeftError with the names that are known, for one that is not. */
export function targetFacts(name: string): TargetFacts {
  if (Object.hasOwn(cudaTargets, name)) return cudaTargets[name as CudaTarget];
  const near = targetNames.find((one) => one.startsWith(name)) ?? nearestName(name, targetNames);
  throw new WeftError([
    userProblem("target", `must be one of ${targetNames.join(", ")}`, {
      given: JSON.stringify(name),
      ...(near === undefined ? {} : { remedy: `did you mean ${near}?` }),
    }),
  ]);
}

/** @throws WeftError with the targets that have units for FP4, for one that has none */
export function requireFp4Target(name: string): void {
  if (targetFacts(name).fp4) return;
  const able = targetNames.filter((one) => cudaTargets[one].fp4);
  throw new WeftError([
    unsupportedProblem("fp4", `the target must have units that multiply FP4: ${able.join(", ")}`, {
      given: name,
      remedy:
        'choose one of these, or leave fp4 "hardware" out: products are then computed by the values of their codes',
    }),
  ]);
}

/** Compute capability of a target as drivers and images count: 9.0 is 90. */
export function capabilityOf(target: string): number {
  const { major, minor } = targetFacts(target);
  return major * 10 + minor;
}

/** Whether a device of this compute capability (9.0 is 90) executes images of this target. */
export function runsOn(target: string, capability: number): boolean {
  const { major, exact } = targetFacts(target);
  const own = capabilityOf(target);
  return exact ? own === capability : major === Math.floor(capability / 10) && own <= capability;
}

/** Of the targets that run on such a device the latest: it knows most of it. Undefined where none runs. */
export function targetFor(capability: number, names: readonly string[] = targetNames): string | undefined {
  return names
    .filter((name) => runsOn(name, capability))
    .toSorted((a, b) => capabilityOf(a) - capabilityOf(b))
    .at(-1);
}
