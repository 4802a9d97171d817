/** The products of a tile: where its rows and columns come from. */
import type { MatmulKernel, PlanDtype } from "../../plan/types.ts";
import { affineText, type Code, elementText, slotView, storageType } from "../code.ts";
import { becomesBf16, chooseByTile, type GroupTiles, mma, type Shape, writeByTile } from "./gemm-tiles.ts";

/** Rows of a group of tiles. */
const nvfp4Rows = 16;

export interface XSource {
  readonly view: string;
  /** The index of the first element of row `row`. */
  readonly at: string;
}

export function directSource({ prologue }: MatmulKernel): XSource {
  const [only] = prologue.body;
  if (only?.kind !== "load") throw new Error("a direct prologue is one load");
  const { slot, offset, strides } = only.access;
  const stride = strides[0] ?? 0;
  return { view: slotView(slot), at: `${stride}LL * row + ${affineText(offset)}` };
}

/** The products are one piece of text, whichever group the tile belongs to: unrolled, it is the largest part. */
export function writeProducts(
  code: Code,
  kernel: MatmulKernel,
  tiled: readonly GroupTiles[],
  shape: Shape,
  source: XSource,
): void {
  const { contracted, slots } = kernel;
  const choose = (value: (tiles: GroupTiles) => number) => chooseByTile(tiled, (one) => String(value(one)));
  code.line(`const i32 columns = ${choose((one) => one.columns)};`);
  code.line(`const i32 used = ${choose((one) => one.columns * one.group.weights.length)};`);
  code.line(`const i64 all_columns = ${choose((one) => one.group.columns)};`);
  const isInside = "first_column + column % columns < all_columns && column < used";
  const place = `(first_column + column % columns) * ${contracted} + k`;
  const most = Math.max(...tiled.map(({ group }) => group.weights.length));
  const stages = (type: string) =>
    code.line(
      `const Shared<${type}> stages = shared_at<${type}>(0, ${shape.stages * (shape.rows + shape.columns) * shape.pitch});`,
    );
  if (shape === mma) {
    stages("bf16");
    const dtypes = new Set(tiled.flatMap(({ group }) => group.weights.map((slot) => slots[slot]!.dtype)));
    const [dtype] = dtypes;
    // Views of one type are chosen once; else each tile says how its columns come.
    const isUniform = dtypes.size === 1;
    const isBlocks = isUniform && dtype === "nvfp4";
    // Columns of blocks are counted from the tile's first one, in 32 bits, where groups of rows begin with tiles.
    const isCounted = isBlocks && tiled.every((one) => one.columns % nvfp4Rows === 0);
    for (let weight = 0; isUniform && weight < most; weight++) {
      const view = chooseByTile(tiled, ({ group }) => slotView(group.weights[weight] ?? group.weights[0]!));
      const begin = `first_column / ${nvfp4Rows} * group_words<${contracted}>`;
      const own = isCounted ? `part_of(${view}, ${begin})` : view;
      code.line(`const Global<${storageType[dtype!]}> w${weight} = ${own};`);
    }
    if (isBlocks) code.line("const i32 left = static_cast<i32>(all_columns - first_column);");
    const column = isCounted ? "column % columns" : "static_cast<i32>(first_column) + column % columns";
    const copy = (view: string, of: PlanDtype) => {
      if (of === "nvfp4") code.line(`stage_codes<${contracted}>(to, index, ${view}, ${column}, k, valid);`);
      else {
        const stage = of === "f8e4m3" ? "stage_e4m3" : "copy16_async";
        code.line(`${stage}(to, index, ${view}, valid ? ${place} : 0, valid);`);
      }
    };
    lambda(code, "copy_x", "Shared<bf16> to, i32 index, i32 local, i32 k", () => {
      code.line(`const i64 row = first_row + local;`);
      code.line(
        `copy16_async(to, index, ${source.view}, row < rows ? ${source.at} + k : 0, row < rows && k < ${contracted});`,
      );
    });
    lambda(code, "copy_w", "Shared<bf16> to, i32 index, i32 column, i32 k", () => {
      const inside = isBlocks ? "column % columns < left && column < used" : isInside;
      code.line(`const bool valid = ${inside} && k < ${contracted};`);
      if (isUniform) {
        writeByWeight(code, most, (weight) => copy(`w${weight}`, dtype!));
        return;
      }
      writeByTile(code, tiled, ({ group }) => {
        writeByWeight(code, group.weights.length, (weight) => {
          const slot = group.weights[weight]!;
          copy(slotView(slot), slots[slot]!.dtype);
        });
      });
    });
    const ways = [...dtypes].some(becomesBf16) ? ", true, true, true" : "";
    code.line(`mma_tile<${shape.name}${ways}>(stages, out, ${contracted}, copy_x, copy_w);`);
    return;
  }
  stages("float");
  lambda(code, "value_x", "i32 local, i32 k", () => {
    code.line("const i64 row = first_row + local;");
    code.line(
      `return row < rows && k < ${contracted} ? widen(load(${source.view}, ${source.at} + k)) : 0.0f;`,
    );
  });
  lambda(code, "value_w", "i32 column, i32 k", () => {
    code.line(`if (!(${isInside} && k < ${contracted})) return 0.0f;`);
    writeByTile(code, tiled, ({ group }) => {
      writeByWeight(code, group.weights.length, (weight) => {
        const slot = group.weights[weight]!;
        code.line(`return ${elementText(slots[slot]!, slotView(slot), place)};`);
      });
    });
  });
  code.line(`plain_tile<${shape.name}>(stages, out, ${contracted}, value_x, value_w);`);
}

/** The weight that a tile's column belongs to. */
function writeByWeight(code: Code, weights: number, write: (weight: number) => void): void {
  if (weights === 1) {
    write(0);
    return;
  }
  for (let weight = 0; weight < weights; weight++) {
    const last = weight === weights - 1;
    const condition = last ? "" : `if (column < columns * ${weight + 1})`;
    code.block(weight === 0 ? condition : `else ${condition}`.trim(), () => write(weight));
  }
}

function lambda(code: Code, name: string, parameters: string, body: () => void): void {
  code.block(`const auto ${name} = [&](${parameters})`, body);
  code.line(";");
}
