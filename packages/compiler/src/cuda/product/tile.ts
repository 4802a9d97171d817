/**
 * One tile of a general product as text: `out[row][column] = sum over k of x[row][k] * w[column][k]`. Each operand may lie
 * along the contracted axis or across it; bf16 operands go to tensor cores, whatever their strides.
 */
import type { Access, PlanDtype, Slot } from "../../plan/types.ts";
import { type Code, elementText, storageType } from "../code.ts";
import type { PreludeFile } from "../kernel.ts";
import { becomesBf16, isExactInBf16, mma, plain, type Shape } from "../matmul/gemm-tiles.ts";
import { rowsPrelude } from "../rows/row-shape.ts";

export const productPrelude = (slots: readonly Slot[]): readonly PreludeFile[] => [
  ...rowsPrelude([], slots),
  "gemm.cuh",
  "product.cuh",
];

/** Strides in elements. The text in `at` may name `k_term`, where the product has terms. */
export interface Operand {
  /** A `Global` view. */
  readonly view: string;
  readonly dtype: PlanDtype;
  /** Of nvfp4: elements of a row of its matrix. */
  readonly rowLength: number;
  /** An i64 expression: where element (0, 0) lies. */
  readonly at: string;
  /** From one row (or column) to the next. */
  readonly step: number;
  readonly deepStep: number;
  /** Whether `at` and the larger stride are multiples of 16 bytes. */
  readonly isAligned: boolean;
}

export interface TileProduct {
  /** i64 variables or expressions of the whole product. */
  readonly rows: string;
  readonly columns: string;
  readonly depth: string;
  /** The depth where it is the same in every run. */
  readonly fixedDepth: number | undefined;
  readonly fixedRows: number | undefined;
  readonly fixedColumns: number | undefined;
  /** How many such products of different places are added up; undefined: one. */
  readonly terms: string | undefined;
  readonly x: Operand;
  readonly w: Operand;
}

export const shapeOf = ({ x, w }: Pick<TileProduct, "x" | "w">): Shape =>
  isExactInBf16(x.dtype) && isExactInBf16(w.dtype) ? mma : plain;

/** Bytes of shared memory: the stages, and behind them in time the finished tile. */
export function tileSharedBytes(shape: Shape): number {
  const stages = shape.stages * (shape.rows + shape.columns) * shape.pitch * (shape === mma ? 2 : 4);
  return Math.max(stages, 4 * shape.rows * shape.outPitch);
}

/** Factors that an offset is a sum of multiples of. */
export const offsetSteps = ({ offset }: Pick<Access, "offset">): number[] => [
  offset.constant,
  ...offset.terms.map(({ factor }) => factor),
];

/** Neighbours in memory are neighbours along the contracted axis. */
const isDeep = ({ step, deepStep }: Operand): boolean => deepStep === 1 || step !== 1;

/** Computes the tile from `first_row` and `first_column` on into the shared memory `out`. */
export function writeTileProduct(code: Code, product: TileProduct): void {
  const { x, w, terms } = product;
  const shape = shapeOf(product);
  const type = shape === mma ? "bf16" : "float";
  code.line(`const Shared<float> out = shared_at<float>(0, ${shape.rows * shape.outPitch});`);
  code.line(
    `const Shared<${type}> stages = shared_at<${type}>(0, ${shape.stages * (shape.rows + shape.columns) * shape.pitch});`,
  );
  code.line(`const i32 deep = static_cast<i32>(${product.depth});`);
  // Each term begins with a stage of its own.
  if (terms !== undefined) {
    code.line("const i32 term_depth = (deep + 31) / 32 * 32;");
    code.line(`const i32 contracted = term_depth * static_cast<i32>(${terms});`);
  } else code.line("const i32 contracted = deep;");
  const write = shape === mma ? writeCopy : writeValue;
  write(code, "x", x, product, "first_row", product.rows, product.fixedRows);
  write(code, "w", w, product, "first_column", product.columns, product.fixedColumns);
  const decodes = shape === mma && [x, w].some(({ dtype }) => becomesBf16(dtype)) ? ", true" : "";
  const [name, ways] = [shape === mma ? "mma_tile" : "plain_tile", `${isDeep(x)}, ${isDeep(w)}${decodes}`];
  const [of_x, of_w] = shape === mma ? ["copy_x", "copy_w"] : ["value_x", "value_w"];
  code.line(`${name}<${shape.name}, ${ways}>(stages, out, contracted, ${of_x}, ${of_w});`);
}

function writePlace(code: Code, { terms }: TileProduct, first: string): void {
  code.line(`const i64 row = ${first} + local;`);
  if (terms === undefined) code.line("const i32 k = at_k;");
  else {
    code.line("const i32 k = at_k % term_depth;");
    code.line("[[maybe_unused]] const i64 k_term = at_k / term_depth;");
  }
}

const placeOf = ({ at, step, deepStep }: Operand): string => `${at} + ${step}LL * row + ${deepStep}LL * k`;

function writeCopy(
  code: Code,
  name: string,
  operand: Operand,
  product: TileProduct,
  first: string,
  rows: string,
  fixedRows: number | undefined,
): void {
  const deep = isDeep(operand);
  const along = deep ? operand.deepStep : operand.step;
  const length = deep ? product.fixedDepth : fixedRows;
  code.block(`const auto copy_${name} = [&](Shared<bf16> to, i32 index, i32 local, i32 at_k)`, () => {
    writePlace(code, product, first);
    const left = deep ? "deep - k" : `${rows} - row`;
    const isInside = deep ? `row < ${rows}` : "k < deep";
    const count =
      length !== undefined && length % 8 === 0
        ? `${isInside} && ${left} > 0 ? 8 : 0`
        : `${isInside} ? ${left} : 0`;
    const isWhole = operand.isAligned && along === 1;
    const codes = operand.dtype === "f8e4m3" ? "stage_e4m3" : "stage_piece";
    const stage =
      operand.dtype === "nvfp4" ? `stage_codes<${operand.rowLength}, ${isWhole}>` : `${codes}<${isWhole}>`;
    code.line(`${stage}(to, index, ${operand.view}, ${placeOf(operand)}, ${along}, ${count});`);
  });
  code.line(";");
}

function writeValue(
  code: Code,
  name: string,
  operand: Operand,
  product: TileProduct,
  first: string,
  rows: string,
): void {
  code.block(`const auto value_${name} = [&](i32 local, i32 at_k)`, () => {
    writePlace(code, product, first);
    const value = elementText(operand, operand.view, placeOf(operand));
    code.line(`return row < ${rows} && k < deep ? ${value} : 0.0f;`);
  });
  code.line(";");
}

export interface TileTarget {
  readonly view: string;
  readonly dtype: PlanDtype;
  /** An i64 expression: where element (0, 0) of the whole product lies. */
  readonly at: string;
  readonly rowStep: number;
  readonly columnStep: number;
  /** Whether rows begin at multiples of four elements, and end there. */
  readonly isAligned: boolean;
  /** A bool expression: whether the tile is added to what lies there. */
  readonly adds: string;
}

/** Stores what `writeTileProduct` left in `out`. */
export function writeTileStore(
  code: Code,
  product: Pick<TileProduct, "rows" | "columns" | "x" | "w">,
  target: TileTarget,
): void {
  const { view, dtype, at, rowStep, columnStep, isAligned, adds } = target;
  const width = isAligned && columnStep === 1 ? 4 : 1;
  code.line(
    `store_tile<${shapeOf(product).name}, ${width}, ${storageType[dtype]}>(out, ${view}, ` +
      `${at} + ${rowStep}LL * first_row + ${columnStep}LL * first_column, ${rowStep}, ${columnStep}, ` +
      `${product.rows} - first_row, ${product.columns} - first_column, ${adds});`,
  );
}
