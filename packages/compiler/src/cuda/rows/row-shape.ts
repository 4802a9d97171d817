/** What the text of a row program depends on: how long its registers are, and where a row may be cut. */
import type { Affine, RowProgram } from "../../plan/types.ts";
import { affineText, constantOf } from "../code.ts";
import type { PreludeFile } from "../kernel.ts";

/** Whether each register holds one value for the whole row. */
export function scalarRegisters(program: RowProgram): boolean[] {
  const scalar: boolean[] = [];
  const one = (length: Affine) => constantOf(length) === 1;
  for (const instruction of program.body) {
    switch (instruction.kind) {
      case "load":
      case "gather":
      case "index":
      case "accumulator":
      case "store":
        scalar.push(one(instruction.length));
        break;
      case "constant":
      case "reduce":
        scalar.push(true);
        break;
      case "unary":
      case "round":
      case "stochasticRound":
      case "quantizeNvfp4":
        scalar.push(scalar[instruction.operand]!);
        break;
      case "binary":
        scalar.push(scalar[instruction.left]! && scalar[instruction.right]!);
        break;
      case "select":
        scalar.push(
          [instruction.condition, instruction.then, instruction.otherwise].every((of) => scalar[of]!),
        );
        break;
      case "slice":
        scalar.push(instruction.length === 1);
        break;
      case "concat":
        scalar.push(false);
        break;
      default:
        instruction satisfies never;
    }
  }
  return scalar;
}

/** How many values each register holds along the row. */
export function registerLengths(program: RowProgram): Affine[] {
  const lengths: Affine[] = [];
  const one: Affine = { constant: 1, terms: [] };
  const longest = (...of: number[]) =>
    of.map((register) => lengths[register]!).find((length) => constantOf(length) !== 1) ?? one;
  for (const instruction of program.body) {
    switch (instruction.kind) {
      case "constant":
      case "reduce":
        lengths.push(one);
        break;
      case "unary":
      case "round":
      case "stochasticRound":
      case "quantizeNvfp4":
        lengths.push(lengths[instruction.operand]!);
        break;
      case "binary":
        lengths.push(longest(instruction.left, instruction.right));
        break;
      case "select":
        lengths.push(longest(instruction.condition, instruction.then, instruction.otherwise));
        break;
      case "slice":
        lengths.push({ constant: instruction.length, terms: [] });
        break;
      case "concat":
        lengths.push({
          constant: instruction.operands.reduce((sum, of) => sum + lengths[of]!.constant, 0),
          terms: instruction.operands.flatMap((of) => lengths[of]!.terms),
        });
        break;
      default:
        lengths.push(instruction.length);
    }
  }
  return lengths;
}

/** Whether all that a row stores of a column depends on that column alone, so that the row may be cut anywhere. */
export function isColumnwise(program: RowProgram): boolean {
  const row = affineText(program.row.extent);
  return program.body.every(
    (one) =>
      one.kind !== "reduce" &&
      one.kind !== "slice" &&
      one.kind !== "concat" &&
      one.kind !== "gather" &&
      (one.kind !== "store" || affineText(one.length) === row),
  );
}

/** The most columns, of 8, 4, 2 and 1, that a piece may have: cuts and rows in memory must not split one. */
export function pieceWidth(program: RowProgram, most = 8): number {
  const scalar = scalarRegisters(program);
  const lengths = registerLengths(program);
  const divides = (width: number, { constant, terms }: Affine) =>
    constant % width === 0 && terms.every(({ factor }) => factor % width === 0);
  // Also what is one value for the whole row may be wanted all along it.
  const fits = (width: number) =>
    divides(width, program.row.extent) &&
    program.body.every((one, index) => {
      if (one.kind === "slice" && one.start % width !== 0) return false;
      if (!scalar[index] && !divides(width, lengths[index]!)) return false;
      if (one.kind !== "load" && one.kind !== "gather" && one.kind !== "store") return true;
      const { access } = one;
      if (constantOf(one.length) === 1 || access.rowStride !== 1) return true;
      const strides = one.kind === "gather" ? [...access.strides, one.indexStride] : access.strides;
      return divides(width, access.offset) && strides.every((stride) => stride % width === 0);
    });
  for (let width = most; width > 1; width >>= 1) if (fits(width)) return width;
  return 1;
}

/** What the text of row programs needs of the prelude. */
export function rowsPrelude(programs: readonly RowProgram[]): readonly PreludeFile[] {
  const isRandom = programs.some(({ body }) => body.some(({ kind }) => kind === "stochasticRound"));
  return ["device.cuh", "numbers.cuh", "rows.cuh", ...(isRandom ? (["random.cuh"] as const) : [])];
}
