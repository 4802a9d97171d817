/**
 * The general product by strides: by tiles where its rows and columns are worth it, else a thread for each element.
 * Both products of a backward pass are of this kind.
 */
import type { Access, ContractKernel } from "../../plan/types.ts";
import { affineText, constantOf, slotView } from "../code.ts";
import { flatTiles, framePart, type KernelContext, type KernelText, largest } from "../kernel.ts";
import { threads } from "../matmul/gemm-tiles.ts";
import { loopIndices } from "../rows/row-text.ts";
import { emitContractElements } from "./contract-elements.ts";
import { contractLibraryWay } from "./contract-library.ts";
import { type ContractShape, contractShape, type ProductAxis } from "./contract-shape.ts";
import {
  type Operand,
  offsetSteps,
  productPrelude,
  shapeOf,
  type TileProduct,
  tileSharedBytes,
  writeTileProduct,
  writeTileStore,
} from "./tile.ts";

/** With fewer rows or columns, most of a tile would be empty. */
const leastOfTile = 16;

export function emitContract(kernel: ContractKernel, context: KernelContext): KernelText {
  const shape = contractShape(kernel, context.symbolMax);
  const small = [shape.rows, shape.columns].some(
    ({ extent }) => largest(extent, context.symbolMax) < leastOfTile,
  );
  return small ? emitContractElements(kernel, context) : emitTiles(kernel, shape, context);
}

function emitTiles(kernel: ContractKernel, shape: ContractShape, context: KernelContext): KernelText {
  const { slots, out } = kernel;
  const { rows, columns, batch, terms } = shape;
  const product = productOf(kernel, shape);
  const tile = shapeOf(product);
  const tilesOfColumns = flatTiles([columns.extent], tile.columns);
  const part = framePart(
    {
      name: context.name,
      about: [...context.about, `tiles of ${tile.rows} x ${tile.columns}, ${tile.depth} deep`],
      slots,
      threads,
      resident: 2,
      sharedBytes: tileSharedBytes(tile),
      blocks: [
        ...flatTiles([rows.extent], tile.rows),
        ...tilesOfColumns,
        ...batch.map(({ extent }) => ({ extent, tile: 1 })),
      ],
    },
    (code) => {
      const place = () => {
        code.line(`const i64 rows = ${affineText(rows.extent)};`);
        code.line(`const i64 columns = ${affineText(columns.extent)};`);
        code.line(`const i64 tiles_of_rows = (rows + ${tile.rows - 1}) / ${tile.rows};`);
        // Blocks side by side read the same columns.
        code.line(`const i64 first_row = (block % tiles_of_rows) * ${tile.rows};`);
        code.line("const i64 tile = block / tiles_of_rows;");
        if (batch.length === 0) code.line(`const i64 first_column = tile * ${tile.columns};`);
        else {
          code.line(`const i64 tiles_of_columns = (columns + ${tile.columns - 1}) / ${tile.columns};`);
          code.line(`const i64 first_column = (tile % tiles_of_columns) * ${tile.columns};`);
          loopIndices(code, batch.map(asLoop), "(tile / tiles_of_columns)", batch.map(batchName));
        }
      };
      code.block("", () => {
        place();
        writeTileProduct(code, product);
      });
      code.block("", () => {
        // Found again: whatever lived on through the products would take registers from them.
        place();
        code.line(`const Shared<float> out = shared_at<float>(0, ${tile.rows * tile.outPitch});`);
        const steps = [rows.out, ...batch.map((axis) => axis.out), ...offsetSteps(out)];
        writeTileStore(code, product, {
          view: slotView(out.slot),
          dtype: slots[out.slot]!.dtype,
          at: offsetText(
            out,
            batch.map((axis) => axis.out),
            batch.map(batchName),
          ),
          rowStep: rows.out,
          columnStep: columns.out,
          isAligned: (constantOf(columns.extent) ?? 1) % 4 === 0 && steps.every((step) => step % 4 === 0),
          adds: "false",
        });
      });
    },
  );
  const library =
    tile.name === "MmaShape" && batch.length + terms.length === 0
      ? contractLibraryWay(kernel, shape, context)
      : undefined;
  return {
    parts: [part],
    prelude: productPrelude(slots),
    scratchBytes: 0,
    tickets: 0,
    ...(library === undefined ? {} : { library }),
  };
}

const batchName = (_: unknown, index: number) => `b_${index}`;
const asLoop = ({ extent }: ProductAxis) => ({ axis: "", extent });

const offsetText = ({ offset }: Access, steps: readonly number[], names: readonly string[]): string =>
  [
    affineText(offset),
    ...steps.flatMap((step, index) => (step === 0 ? [] : [`${step}LL * ${names[index]}`])),
  ].join(" + ");

function productOf(kernel: ContractKernel, shape: ContractShape): TileProduct {
  const { rows, columns, depth, batch, terms, isSwapped } = shape;
  const operand = (access: Access, of: "a" | "b", axis: ProductAxis): Operand => {
    const [step, deepStep] = [axis[of], depth[of]];
    const outer = [...batch, ...terms];
    // The terms are counted together: the last one runs fastest.
    const names = [...batch.map(batchName), ...terms.map((_, index) => termIndex(terms, index))];
    const { dtype, rowLength } = kernel.slots[access.slot]!;
    const steps = [deepStep === 1 ? step : deepStep, ...outer.map((one) => one[of]), ...offsetSteps(access)];
    return {
      view: slotView(access.slot),
      dtype,
      rowLength,
      at: `(${offsetText(
        access,
        outer.map((one) => one[of]),
        names,
      )})`,
      step,
      deepStep,
      isAligned: steps.every((one) => one % 8 === 0),
    };
  };
  const [a, b] = [
    operand(kernel.a, "a", isSwapped ? columns : rows),
    operand(kernel.b, "b", isSwapped ? rows : columns),
  ];
  return {
    rows: "rows",
    columns: "columns",
    depth: affineText(depth.extent),
    fixedRows: constantOf(rows.extent),
    fixedColumns: constantOf(columns.extent),
    fixedDepth: constantOf(depth.extent),
    terms: terms.length === 0 ? undefined : terms.map(({ extent }) => affineText(extent)).join(" * "),
    x: isSwapped ? b : a,
    w: isSwapped ? a : b,
  };
}

/** The index along one of the contracted axes beside the depth, from the number of the term. */
function termIndex(terms: readonly ProductAxis[], index: number): string {
  const inner = terms.slice(index + 1).map(({ extent }) => affineText(extent));
  const whole = inner.length === 0 ? "k_term" : `(k_term / (${inner.join(" * ")}))`;
  return index === 0 ? whole : `(${whole} % ${affineText(terms[index]!.extent)})`;
}
