/**
 * Attention of a training step on tensor cores: many queries, operands in bf16. Forward it is the flash attention of
 * inference, with documents' starts and the number that backward needs. Backward takes two launches: the first gives the
 * queries' gradient and leaves what the second needs of each row in scratch.
 */
import type { AttentionBackwardKernel, AttentionForwardKernel, HeadsAccess } from "../../plan/types.ts";
import { affineText, type Code, floatText, slotView, storageType } from "../code.ts";
import { constant, framePart, type KernelContext, type KernelText, largest, scaled } from "../kernel.ts";
import { offsetSteps } from "../product/tile.ts";
import { at, place, type TrainingKernel, writeOperand } from "./training-text.ts";

/** Of a block of rows, or of keys; and of the tiles that a block of the backward direction goes through. */
const blockRows = 64;
const tileRows = 32;
/** Keys of a tile of the forward direction. */
const forwardKeys = 64;
const threads = 128;
const leastQueries = 16;

const prelude = [
  "device.cuh",
  "numbers.cuh",
  "rows.cuh",
  "blocks.cuh",
  "attention.cuh",
  "attention_training.cuh",
  "flash.cuh",
  "flash_training.cuh",
] as const;

/** Whether operands can be copied 16 bytes at a time and multiplied on tensor cores, and results stored in pairs. */
export function isTiled(kernel: TrainingKernel, { symbolMax }: KernelContext): boolean {
  const { query, key, value, headDim, slots } = kernel;
  const [operands, floats]: readonly (readonly HeadsAccess[])[] =
    kernel.kind === "attentionForward"
      ? [[query, key, value], kernel.outputs]
      : [
          [query, key, value],
          [kernel.result, kernel.cotangent, kernel.queryGradient, kernel.keyGradient, kernel.valueGradient],
        ];
  const stepsOf = (access: HeadsAccess) => [...offsetSteps(access), access.positionStride, access.headStride];
  const fits = (list: readonly HeadsAccess[], dtype: string, step: number) =>
    list.every(
      (access) => slots[access.slot]!.dtype === dtype && stepsOf(access).every((one) => one % step === 0),
    );
  return (
    largest(kernel.queries, symbolMax) >= leastQueries &&
    headDim % 16 === 0 &&
    headDim <= 128 &&
    fits(operands!, "bf16", 8) &&
    fits(floats!, "f32", 4) &&
    (kernel.kind === "attentionBackward" || kernel.outputs.length === 1)
  );
}

/** `first_of(query)`: the first key that it sees. */
function writeFirst(code: Code, { starts: [starts] }: TrainingKernel): void {
  code.block("const auto first_of = [&]([[maybe_unused]] i64 query) -> i64", () => {
    if (starts === undefined) code.line("return 0;");
    else {
      code.line(`const i64 start = load(${slotView(starts.slot)}, ${at(starts, ["query"])});`);
      code.line("return start < 0 ? 0 : start;");
    }
  });
  code.line(";");
}

const groupOf = ({ heads, kvHeads }: TrainingKernel) => heads / kvHeads;
const rowsOf = (kernel: TrainingKernel) => scaled(kernel.queries, groupOf(kernel));
const shapeText = (name: string, kernel: TrainingKernel) =>
  `${name}<${kernel.headDim}, ${groupOf(kernel)}, ${kernel.starts.length > 0}>`;
const sightText = (kernel: TrainingKernel) =>
  kernel.causal ? `${affineText(kernel.past)} + 1` : affineText(kernel.keys);

/** The last rows see the most keys: they begin first. */
function writeFirstRow(code: Code, kernel: TrainingKernel): void {
  code.line(`const i64 rows = ${affineText(rowsOf(kernel))};`);
  code.line(`const i64 tiles = (rows + ${blockRows - 1}) / ${blockRows};`);
  code.line(`const i64 first_row = (tiles - 1 - block / ${kernel.kvHeads}) * ${blockRows};`);
}

const about = (kernel: TrainingKernel, context: KernelContext, what: string) => [
  ...context.about,
  `${kernel.heads} heads on ${kernel.kvHeads} of ${kernel.headDim}; blocks of ${blockRows} ${what}, ${groupOf(kernel)} heads side by side`,
];

const rowBlocks = (kernel: TrainingKernel) => [
  { extent: rowsOf(kernel), tile: blockRows },
  { extent: constant(kernel.kvHeads), tile: 1 },
];

export function emitFlashForward(kernel: AttentionForwardKernel, context: KernelContext): KernelText {
  const { headDim, slots, query, key, value } = kernel;
  const [output] = kernel.outputs as [HeadsAccess];
  const part = framePart(
    {
      name: context.name,
      about: about(kernel, context, "rows"),
      slots,
      threads,
      sharedBytes: 2 * (blockRows + 4 * forwardKeys) * (headDim + 8),
      blocks: rowBlocks(kernel),
    },
    (code) => {
      writeFirstRow(code, kernel);
      writeFirst(code, kernel);
      const types = [query, output].map(({ slot }) => storageType[slots[slot]!.dtype]);
      const operands = [query, key, value, output].map(
        (access) => `${slotView(access.slot)}, ${place(access)}`,
      );
      code.line(
        `attend_flash<${shapeText("FlashShape", kernel)}, ${types.join(", ")}>(${operands.join(", ")}, ` +
          `first_row, rows, block % ${kernel.kvHeads}, ${affineText(kernel.keys)}, ${sightText(kernel)}, ${floatText(kernel.scale)}, first_of,`,
      );
      code.block("    [&]([[maybe_unused]] i64 row, [[maybe_unused]] float log_sum)", () => {
        for (const sums of kernel.logSumExps)
          code.line(
            `store(${slotView(sums.slot)}, ${ofRow(kernel, at(sums, ["position", "head"]))}, log_sum);`,
          );
      });
      code.line(");");
    },
  );
  return { parts: [part], prelude, scratchBytes: 0, tickets: 0 };
}

/** An index by position and head, of the row `row` of the block's key head. */
function ofRow(kernel: TrainingKernel, index: string): string {
  const group = groupOf(kernel);
  return index
    .replaceAll("position", `(row / ${group})`)
    .replaceAll("head", `(block % ${kernel.kvHeads} * ${group} + row % ${group})`);
}

export function emitFlashBackward(kernel: AttentionBackwardKernel, context: KernelContext): KernelText {
  const { headDim, slots, heads, kvHeads } = kernel;
  const shape = shapeText("FlashBackShape", kernel);
  const elements = (2 * blockRows + 4 * tileRows) * (headDim + 8);
  const mostRows = largest(kernel.queries, context.symbolMax) * heads;
  const keptBytes = Math.ceil((2 * mostRows * headDim) / 256) * 256;
  const operands = (code: Code) => {
    writeOperand(code, kernel, "queries", kernel.query);
    writeOperand(code, kernel, "keys", kernel.key);
    writeOperand(code, kernel, "values", kernel.value);
    writeFirst(code, kernel);
    const { slot } = kernel.logSumExp;
    code.line(
      `const auto sum_of = [&](i64 row) { return load(${slotView(slot)}, ${ofRow(kernel, at(kernel.logSumExp, ["position", "head"]))}); };`,
    );
    code.line(
      `const FlashRows seen = {rows, ${affineText(kernel.keys)}, ${sightText(kernel)}, block % ${kvHeads}, ${floatText(kernel.scale)}};`,
    );
    code.line(
      `const FlashKept kept = {global<bf16>(args.scratch), part_of(global<float>(args.scratch), ${keptBytes / 4})};`,
    );
  };
  const queries = framePart(
    {
      name: context.name,
      about: about(kernel, context, "rows"),
      slots,
      threads,
      sharedBytes: 2 * elements + 4 * blockRows,
      blocks: rowBlocks(kernel),
    },
    (code) => {
      writeFirstRow(code, kernel);
      operands(code);
      writeOperand(code, kernel, "results", kernel.result);
      writeOperand(code, kernel, "cotangents", kernel.cotangent);
      writeOperand(code, kernel, "gradients", kernel.queryGradient);
      code.line(
        `query_gradient_flash<${shape}>(queries, keys, values, results, cotangents, gradients, seen, first_row, kept, first_of, sum_of);`,
      );
    },
  );
  const keys = framePart(
    {
      name: `${context.name}_keys`,
      about: about(kernel, context, "keys"),
      slots,
      threads,
      sharedBytes: 2 * elements + 4 * 6 * tileRows,
      blocks: [
        { extent: kernel.keys, tile: blockRows },
        { extent: constant(kvHeads), tile: 1 },
      ],
    },
    (code) => {
      code.line(`const i64 rows = ${affineText(rowsOf(kernel))};`);
      operands(code);
      writeOperand(code, kernel, "key_gradients", kernel.keyGradient);
      writeOperand(code, kernel, "value_gradients", kernel.valueGradient);
      // The first keys are seen by the most rows: they begin first.
      code.line(
        `key_gradients_flash<${shape}>(queries, keys, values, key_gradients, value_gradients, seen, block / ${kvHeads} * ${blockRows}, kept, first_of, sum_of);`,
      );
    },
  );
  return { parts: [queries, keys], prelude, scratchBytes: keptBytes + 4 * mostRows, tickets: 0 };
}
