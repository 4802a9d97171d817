import { userProblem, WeftError } from "@weft/dsl";

/** An integer option within its range. `source`: the package's name in the error. @throws WeftError */
export function checkedCount(
  source: string,
  name: string,
  value: number,
  least: number,
  most: number,
): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new WeftError([
    userProblem(source, `${name} must be an integer from ${least} to ${most}`, { given: String(value) }),
  ]);
}

/** A limit as the native side takes it: 0 for none. @throws WeftError */
export function memoryLimit(source: string, bytes: number | undefined): number {
  return bytes === undefined
    ? 0
    : checkedCount(source, "memoryLimitBytes", bytes, 1, Number.MAX_SAFE_INTEGER);
}
