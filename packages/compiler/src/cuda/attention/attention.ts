/**
 * Attention over the cache. Few queries, or dtypes without tensor cores: one query at a time, whose keys are shared out
 * over several blocks. Many queries over a bf16 cache: tiles on tensor cores.
 */
import type { AttentionKernel, HeadsAccess } from "../../plan/types.ts";
import { affineText, type Code, floatText, slotView, storageType } from "../code.ts";
import { constant, framePart, type KernelContext, type KernelText, largest, scaled } from "../kernel.ts";

const warps = 4;
/** Heads that one block takes together; more of them would not fit the registers. */
const mostHeads = 8;
/** Blocks for the heads of one query, about: two for each multiprocessor of a large GPU. */
const blocksWanted = 256;
const mostSplits = 32;
/** A split of fewer keys is not worth a block. */
const keysOfSplit = 32;

/** A warp of the tensor-core version takes 16 rows: fewer are not worth it. */
const flashQueries = 8;
const flashRows = 64;

export function emitAttention(kernel: AttentionKernel, context: KernelContext): KernelText {
  const many = largest(kernel.queries, context.symbolMax) > flashQueries;
  return many && isTiled(kernel) ? emitFlash(kernel, context) : emitSplit(kernel, context);
}

/** Whether keys and values can be copied 16 bytes at a time and multiplied on tensor cores. */
function isTiled({ headDim, slots, query, key, value }: AttentionKernel): boolean {
  const steps = [query, key, value].flatMap(({ offset, positionStride, headStride }) => [
    offset.constant,
    ...offset.terms.map((term) => term.factor),
    positionStride,
    headStride,
  ]);
  const bf16 = [key, value].every(({ slot }) => slots[slot]!.dtype === "bf16");
  return bf16 && headDim % 16 === 0 && headDim <= 128 && steps.every((step) => step % 8 === 0);
}

function emitFlash(kernel: AttentionKernel, context: KernelContext): KernelText {
  const { heads, kvHeads, headDim, slots } = kernel;
  const group = heads / kvHeads;
  const rows = scaled(kernel.queries, group);
  const part = framePart(
    {
      name: context.name,
      about: [
        ...context.about,
        `${heads} heads on ${kvHeads} of ${headDim}; blocks of ${flashRows} rows, ${group} heads side by side`,
      ],
      slots,
      threads: 128,
      sharedBytes: 2 * (flashRows + 4 * 64) * (headDim + 8),
      blocks: [
        { extent: rows, tile: flashRows },
        { extent: constant(kvHeads), tile: 1 },
      ],
    },
    (code) => {
      code.line(`const i64 rows = ${affineText(rows)};`);
      code.line(`const i64 tiles = (rows + ${flashRows - 1}) / ${flashRows};`);
      // The last rows see the most keys: they begin first.
      code.line(`const i64 first_row = (tiles - 1 - block / ${kvHeads}) * ${flashRows};`);
      const types = [kernel.query, kernel.output].map(({ slot }) => storageType[slots[slot]!.dtype]);
      for (const [name, access] of Object.entries(places(kernel))) writePlace(code, name, access);
      const keys = affineText(kernel.keys);
      const sight = kernel.causal ? `${affineText(kernel.past)} + 1` : keys;
      code.line(
        `attend_flash<FlashShape<${headDim}, ${group}>, ${types.join(", ")}>(` +
          `${slotView(kernel.query.slot)}, query_place, ${slotView(kernel.key.slot)}, key_place, ` +
          `${slotView(kernel.value.slot)}, value_place, ${slotView(kernel.output.slot)}, output_place, ` +
          `first_row, rows, block % ${kvHeads}, ${keys}, ${sight}, ${floatText(kernel.scale)}, ` +
          "[](i64) -> i64 { return 0; }, [](i64, float) {});",
      );
    },
  );
  return {
    parts: [part],
    prelude: ["device.cuh", "numbers.cuh", "rows.cuh", "blocks.cuh", "attention.cuh", "flash.cuh"],
    scratchBytes: 0,
    tickets: 0,
  };
}

function emitSplit(kernel: AttentionKernel, context: KernelContext): KernelText {
  const { heads, kvHeads, headDim, slots } = kernel;
  const ofKey = heads / kvHeads;
  const group = largestDivisor(ofKey, mostHeads);
  const groups = heads / group;
  const queries = largest(kernel.queries, context.symbolMax);
  const isDecode = kernel.queries.terms.length === 0;
  const splits = isDecode
    ? Math.min(mostSplits, Math.max(1, Math.floor(blocksWanted / (groups * queries))))
    : 1;
  const { each, whole } = elementsOfLane(kernel);
  const record = headDim + 2;
  const partsBytes = Math.ceil((4 * warps * group * record) / 16) * 16;
  const part = framePart(
    {
      name: context.name,
      about: [
        ...context.about,
        `${heads} heads on ${kvHeads} of ${headDim}; ${group} heads a block, up to ${splits} blocks share the keys`,
      ],
      slots,
      threads: 32 * warps,
      sharedBytes: partsBytes + 16,
      blocks: [
        { extent: kernel.queries, tile: 1 },
        { extent: constant(groups * splits), tile: 1 },
      ],
    },
    (code) => {
      code.line(`const i32 split = static_cast<i32>(block % ${splits});`);
      code.line(`const i32 head_group = static_cast<i32>((block / ${splits}) % ${groups});`);
      code.line(`const i64 query = block / ${splits * groups};`);
      const keys = affineText(kernel.keys);
      if (kernel.causal) {
        code.line(`const i64 sight = query + ${affineText(kernel.past)} + 1;`);
        code.line(`const i32 seen = static_cast<i32>(sight < ${keys} ? sight : ${keys});`);
      } else code.line(`const i32 seen = static_cast<i32>(${keys});`);
      code.line(
        `const i32 splits = clamped((seen + ${keysOfSplit - 1}) / ${keysOfSplit} - 1, ${splits - 1}) + 1;`,
      );
      code.line("if (split >= splits) return;");
      const types = [kernel.query, kernel.key, kernel.value, kernel.output].map(
        ({ slot }) => storageType[slots[slot]!.dtype],
      );
      for (const [name, access] of Object.entries(places(kernel))) writePlace(code, name, access);
      const ticket = `query * ${groups} + head_group`;
      const scratch = `global<float>(args.scratch)`;
      const offset = `(${ticket}) * ${splits * group * record}`;
      code.line(
        `attend_split<SplitShape<${group}, ${headDim}, ${each}, ${whole}, ${warps}>, ${types.join(", ")}>(` +
          `${slotView(kernel.query.slot)}, query_place, ${slotView(kernel.key.slot)}, key_place, ` +
          `${slotView(kernel.value.slot)}, value_place, ${slotView(kernel.output.slot)}, output_place, ` +
          `query, head_group, head_group / ${ofKey / group}, seen, ${floatText(kernel.scale)}, split, splits, ` +
          `part_of(${scratch}, ${offset}), global<u32>(args.tickets), ${ticket});`,
      );
    },
  );
  return {
    parts: [part],
    prelude: ["device.cuh", "numbers.cuh", "rows.cuh", "blocks.cuh", "attention.cuh"],
    scratchBytes: splits === 1 ? 0 : 4 * queries * groups * splits * group * record,
    tickets: splits === 1 ? 0 : queries * groups,
  };
}

const places = ({ query, key, value, output }: AttentionKernel) => ({ query, key, value, output });

function writePlace(code: Code, name: string, { offset, positionStride, headStride }: HeadsAccess): void {
  code.line(`const HeadsPlace ${name}_place = {${affineText(offset)}, ${positionStride}, ${headStride}};`);
}

function largestDivisor(value: number, most: number): number {
  for (let divisor = Math.min(value, most); divisor > 1; divisor--) if (value % divisor === 0) return divisor;
  return 1;
}

/**
 * Elements of a head that one lane takes: 16 bytes of bf16 where the cache is laid out for it. Not `whole`: lanes end
 * inside of the head or begin between pieces, so they read element by element.
 */
function elementsOfLane({ key, value, headDim }: AttentionKernel): { each: number; whole: boolean } {
  const fits = (width: number) =>
    headDim % width === 0 &&
    [key, value].every(({ offset, positionStride, headStride }) =>
      [offset.constant, ...offset.terms.map((term) => term.factor), positionStride, headStride].every(
        (step) => step % width === 0,
      ),
    );
  // 16 last: more elements cost registers.
  for (const width of [8, 4, 2, 16])
    if (fits(width) && headDim <= 32 * width) return { each: width, whole: true };
  return { each: Math.ceil(headDim / 32), whole: false };
}
