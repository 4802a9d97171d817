/**
 * A linear layer with its cross entropy: for each chunk of positions the scores by tiles, their loss and slopes in place,
 * and the two products that go back. Four functions; a chunk is a piece of each.
 */
import type { Access, LinearCrossEntropyKernel, PlanDtype } from "../plan/types.ts";
import { affineText, slotView, storageType } from "./code.ts";
import {
  constant,
  framePart,
  type KernelContext,
  type KernelPart,
  type KernelText,
  largest,
} from "./kernel.ts";
import { threads as tileThreads } from "./matmul/gemm-tiles.ts";
import {
  type Operand,
  offsetSteps,
  productPrelude,
  shapeOf,
  type TileProduct,
  type TileTarget,
  tileSharedBytes,
  writeTileProduct,
  writeTileStore,
} from "./product/tile.ts";

const rowThreads = 512;
/** More than any launch has blocks to spare: an extent cut by it is one block or none. */
const whole = 2 ** 30;

export function emitLossHead(kernel: LinearCrossEntropyKernel, context: KernelContext): KernelText {
  const { positions, chunk, cotangents, inputGradients, weightGradients } = kernel;
  const functions: { readonly part: KernelPart; readonly runsEmpty: boolean }[] = [
    { part: scoresPart(kernel, context), runsEmpty: false },
    { part: rowsPart(kernel, context), runsEmpty: false },
    ...(cotangents.length * inputGradients.length === 0
      ? []
      : [{ part: inputGradientPart(kernel, context), runsEmpty: false }]),
    // Without a position the gradient is still zero.
    ...(cotangents.length * weightGradients.length === 0
      ? []
      : [{ part: weightGradientPart(kernel, context), runsEmpty: true }]),
  ];
  const chunks = Math.max(1, Math.ceil(largest(positions, context.symbolMax) / chunk));
  const parts = Array.from({ length: chunks }, (_, piece) =>
    functions.map(({ part, runsEmpty }): KernelPart => {
      const left = { ...positions, constant: positions.constant - piece * chunk };
      const gate = runsEmpty && piece === 0 ? [] : [{ extent: left, tile: whole }];
      return { ...part, piece, blocks: [...gate, ...part.blocks] };
    }),
  );
  return {
    parts: parts.flat(),
    prelude: [...productPrelude(kernel.slots), "loss_head.cuh"],
    scratchBytes: 0,
    tickets: 0,
  };
}

/** `first` and `rows`: the positions of the chunk. */
function chunkLines({ positions, chunk }: LinearCrossEntropyKernel): string[] {
  return [
    `const i64 first = args.piece * ${chunk};`,
    `const i64 left = ${affineText(positions)} - first;`,
    `const i64 rows = left < 0 ? 0 : left < ${chunk} ? left : ${chunk};`,
  ];
}

const dtypeOf = ({ slots }: LinearCrossEntropyKernel, slot: number): PlanDtype => slots[slot]!.dtype;

/** Slopes in bf16, where both products that read them can use it. */
const areNarrow = (kernel: LinearCrossEntropyKernel): boolean =>
  [kernel.slopeDtype, dtypeOf(kernel, kernel.input.slot), dtypeOf(kernel, kernel.weight)].every(
    (dtype) => dtype === "bf16",
  );

const atChunk = ({ offset, strides }: Access): string => `(${affineText(offset)} + ${strides[0]}LL * first)`;
const strideOf = ({ strides }: Access): number => strides[0]!;
const isEvenBy = (step: number, access: Access): boolean =>
  [...offsetSteps(access), strideOf(access)].every((one) => one % step === 0);

const inputOf = (kernel: LinearCrossEntropyKernel): Operand => ({
  view: slotView(kernel.input.slot),
  dtype: dtypeOf(kernel, kernel.input.slot),
  rowLength: 0,
  at: atChunk(kernel.input),
  step: strideOf(kernel.input),
  deepStep: 1,
  isAligned: isEvenBy(8, kernel.input),
});

const weightOf = (kernel: LinearCrossEntropyKernel): Operand => ({
  view: slotView(kernel.weight),
  dtype: dtypeOf(kernel, kernel.weight),
  rowLength: 0,
  at: "0LL",
  step: kernel.contracted,
  deepStep: 1,
  isAligned: kernel.contracted % 8 === 0,
});

/** [position][class]; narrow ones lie in the first half of their row of scores. */
const slopesOf = (kernel: LinearCrossEntropyKernel): Operand => {
  const isNarrow = areNarrow(kernel);
  const step = (isNarrow ? 2 : 1) * kernel.classes;
  return {
    view: "slopes",
    dtype: isNarrow ? "bf16" : "f32",
    rowLength: 0,
    at: "0LL",
    step,
    deepStep: 1,
    isAligned: step % 8 === 0,
  };
};

const across = (operand: Operand): Operand => ({
  ...operand,
  step: operand.deepStep,
  deepStep: operand.step,
});

interface Tiles {
  readonly name: string;
  readonly about: string;
  readonly product: TileProduct;
  /** Rows and columns of the product at most. */
  readonly size: readonly [number, number];
  readonly target: TileTarget;
}

function tilesPart(
  kernel: LinearCrossEntropyKernel,
  context: KernelContext,
  { name, about, product, size, target }: Tiles,
): KernelPart {
  const shape = shapeOf(product);
  const [rows, columns] = size;
  return framePart(
    {
      name,
      about: [...context.about, `${about}: tiles of ${shape.rows} x ${shape.columns}, ${shape.depth} deep`],
      slots: kernel.slots,
      threads: tileThreads,
      resident: 2,
      sharedBytes: tileSharedBytes(shape),
      blocks: [
        { extent: constant(rows), tile: shape.rows },
        { extent: constant(columns), tile: shape.columns },
      ],
    },
    (code) => {
      const place = () => {
        for (const line of chunkLines(kernel)) code.line(line);
        const tilesOfRows = Math.ceil(rows / shape.rows);
        // Blocks side by side read the same columns.
        code.line(`const i64 first_row = (block % ${tilesOfRows}) * ${shape.rows};`);
        code.line(`const i64 first_column = (block / ${tilesOfRows}) * ${shape.columns};`);
      };
      const views = [product.x, product.w].some(({ view }) => view === "slopes");
      code.block("", () => {
        place();
        if (views) writeSlopes(kernel, (line) => code.line(line));
        writeTileProduct(code, product);
      });
      code.block("", () => {
        // Found again: whatever lived on through the products would take registers from them.
        place();
        code.line(`const Shared<float> out = shared_at<float>(0, ${shape.rows * shape.outPitch});`);
        writeTileStore(code, product, target);
      });
    },
  );
}

function writeSlopes(kernel: LinearCrossEntropyKernel, write: (line: string) => void): void {
  const type = storageType[slopesOf(kernel).dtype];
  write(`const Global<${type}> slopes = global<${type}>(args.slot[${kernel.scores}]);`);
}

function scoresPart(kernel: LinearCrossEntropyKernel, context: KernelContext): KernelPart {
  const { classes, contracted, chunk } = kernel;
  return tilesPart(kernel, context, {
    name: context.name,
    about: "scores of a chunk",
    product: {
      rows: "rows",
      columns: `${classes}LL`,
      depth: `${contracted}LL`,
      fixedRows: undefined,
      fixedColumns: classes,
      fixedDepth: contracted,
      terms: undefined,
      x: inputOf(kernel),
      w: weightOf(kernel),
    },
    size: [chunk, classes],
    target: {
      view: slotView(kernel.scores),
      dtype: "f32",
      at: "0LL",
      rowStep: classes,
      columnStep: 1,
      isAligned: classes % 4 === 0,
      adds: "false",
    },
  });
}

function rowsPart(kernel: LinearCrossEntropyKernel, context: KernelContext): KernelPart {
  const { slots, classes, chunk, scores, targets, losses, cotangents, slopeDtype } = kernel;
  const of = (access: Access) => `${atChunk(access)} + ${strideOf(access)}LL * block`;
  return framePart(
    {
      name: `${context.name}_rows`,
      about: [...context.about, "losses and slopes: a block for each position"],
      slots,
      threads: rowThreads,
      sharedBytes: 4 * (rowThreads / 32),
      blocks: [{ extent: constant(chunk), tile: 1 }],
    },
    (code) => {
      for (const line of chunkLines(kernel)) code.line(line);
      code.line("if (block >= rows) return;");
      const view = slotView(scores);
      code.line(`const i32 target = load(${slotView(targets.slot)}, ${of(targets)});`);
      code.line(
        `const RowStatistics statistics = score_statistics(${view}, block * ${classes}, ${classes}, shared_at<float>(0, ${rowThreads / 32}));`,
      );
      for (const loss of losses)
        code.line(
          `if (thread_index() == 0) store(${slotView(loss.slot)}, ${of(loss)}, cross_entropy(${view}, block * ${classes}, ${classes}, target, statistics));`,
        );
      for (const cotangent of cotangents) {
        // The target's score is read before slopes lie there.
        code.line("sync_block();");
        writeSlopes(kernel, (line) => code.line(line));
        code.line(
          `const float cotangent = target < 0 ? 0.0f : load(${slotView(cotangent.slot)}, ${of(cotangent)});`,
        );
        code.line(
          `store_slopes<${storageType[slopeDtype]}>(${view}, slopes, block, ${classes}, LossRow{target, cotangent}, statistics);`,
        );
      }
    },
  );
}

function inputGradientPart(kernel: LinearCrossEntropyKernel, context: KernelContext): KernelPart {
  const { classes, contracted, chunk } = kernel;
  const [gradient] = kernel.inputGradients as [Access];
  return tilesPart(kernel, context, {
    name: `${context.name}_input`,
    about: "the input's gradient",
    product: {
      rows: "rows",
      columns: `${contracted}LL`,
      depth: `${classes}LL`,
      fixedRows: undefined,
      fixedColumns: contracted,
      fixedDepth: classes,
      terms: undefined,
      x: slopesOf(kernel),
      w: across(weightOf(kernel)),
    },
    size: [chunk, contracted],
    target: {
      view: slotView(gradient.slot),
      dtype: dtypeOf(kernel, gradient.slot),
      at: atChunk(gradient),
      rowStep: strideOf(gradient),
      columnStep: 1,
      isAligned: contracted % 4 === 0 && isEvenBy(4, gradient),
      adds: "false",
    },
  });
}

function weightGradientPart(kernel: LinearCrossEntropyKernel, context: KernelContext): KernelPart {
  const { classes, contracted } = kernel;
  const [gradient] = kernel.weightGradients as [Access];
  return tilesPart(kernel, context, {
    name: `${context.name}_weight`,
    about: "the weight's gradient, chunk upon chunk",
    product: {
      rows: `${classes}LL`,
      columns: `${contracted}LL`,
      depth: "rows",
      fixedRows: classes,
      fixedColumns: contracted,
      fixedDepth: undefined,
      terms: undefined,
      x: across(slopesOf(kernel)),
      w: across(inputOf(kernel)),
    },
    size: [classes, contracted],
    target: {
      view: slotView(gradient.slot),
      dtype: dtypeOf(kernel, gradient.slot),
      at: affineText(gradient.offset),
      rowStep: strideOf(gradient),
      columnStep: 1,
      isAligned: contracted % 4 === 0 && isEvenBy(4, gradient),
      adds: "args.piece > 0",
    },
  });
}
