/** What the text of a row program depends on: how long its registers are, and where a row may be cut. */
import { nvfp4Block } from "@weft/dsl";
import type { Affine, Instruction, RowProgram, Slot } from "../../plan/types.ts";
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
      one.kind !== "quantizeNvfp4" &&
      (one.kind !== "store" || affineText(one.length) === row),
  );
}

const hasKind = ({ body }: RowProgram, kind: Instruction["kind"]): boolean =>
  body.some((one) => one.kind === kind);

const divides = (width: number, { constant, terms }: Affine): boolean =>
  constant % width === 0 && terms.every(({ factor }) => factor % width === 0);

/** Whether an access begins at a multiple of `width` elements in every row, and goes on side by side. */
export function isAlignedTo(width: number, { access, ...one }: AccessInstruction): boolean {
  const strides = one.kind === "gather" ? [...access.strides, one.indexStride] : access.strides;
  return divides(width, access.offset) && strides.every((stride) => stride % width === 0);
}

export type AccessInstruction = Instruction & { readonly kind: "load" | "gather" | "store" };

/**
 * The most columns, of `most` and its halves, that a piece may have: cuts and rows in memory must not split one. A program
 * that quantises has pieces of whole blocks wherever no cut splits one, whatever its rows in memory.
 */
export function pieceWidth(program: RowProgram, most = 8): number {
  const scalar = scalarRegisters(program);
  const lengths = registerLengths(program);
  // Also what is one value for the whole row may be wanted all along it.
  const isUncut = (width: number) =>
    divides(width, program.row.extent) &&
    program.body.every((one, index) => {
      if (one.kind === "slice" && one.start % width !== 0) return false;
      return scalar[index]! || divides(width, lengths[index]!);
    });
  if (hasKind(program, "quantizeNvfp4") && isUncut(nvfp4Block)) return nvfp4Block;
  const isAligned = (width: number) =>
    program.body.every((one) => {
      if (one.kind !== "load" && one.kind !== "gather" && one.kind !== "store") return true;
      return constantOf(one.length) === 1 || one.access.rowStride !== 1 || isAlignedTo(width, one);
    });
  for (let width = most; width > 1; width >>= 1) if (isUncut(width) && isAligned(width)) return width;
  return 1;
}

/** What the text of row programs needs of the prelude. */
export function rowsPrelude(programs: readonly RowProgram[], slots: readonly Slot[]): readonly PreludeFile[] {
  const has = (kind: Instruction["kind"]) => programs.some((program) => hasKind(program, kind));
  const quantizes = has("quantizeNvfp4");
  return [
    "device.cuh",
    "numbers.cuh",
    "rows.cuh",
    ...(has("stochasticRound") || quantizes ? (["random.cuh"] as const) : []),
    ...(quantizes || hasBlocks(slots) ? (["nvfp4.cuh"] as const) : []),
    ...(quantizes ? (["nvfp4_encode.cuh"] as const) : []),
  ];
}

export const hasBlocks = (slots: readonly Slot[]): boolean => slots.some(({ dtype }) => dtype === "nvfp4");
