/**
 * The largest elements of rows. The elements of a long row are shared out over blocks, and in a block over its warps: a
 * warp keeps the best so far, one in each lane, in order. Lists are merged over the block, then by the block that ends last.
 */
import type { Access, TopKKernel } from "../plan/types.ts";
import { affineText, slotView } from "./code.ts";
import { constant, framePart, type KernelContext, type KernelText, largest } from "./kernel.ts";
import { loopIndices } from "./rows/row-text.ts";

const threads = 256;
const warps = threads / 32;
/** Elements that are worth a warp of their own. */
const elementsOfWarp = 128;
const mostParts = 128;
const listBytes = warps * 32 * 8;

export function emitTopK(kernel: TopKKernel, context: KernelContext): KernelText {
  const { slots, loops, length, count, input, output } = kernel;
  const names = loops.map((_, index) => `i${index}`);
  const rows = loops.reduce((product, loop) => product * largest(loop.extent, context.symbolMax), 1);
  // Many rows fill the GPU by themselves.
  const parts = Math.max(
    1,
    Math.min(mostParts, Math.ceil(length / (warps * elementsOfWarp)), Math.floor((4 * mostParts) / rows)),
  );
  const at = (access: Access) =>
    [
      affineText(access.offset),
      ...access.strides.flatMap((stride, index) => (stride === 0 ? [] : [`${stride}LL * ${names[index]!}`])),
    ].join(" + ");
  const part = framePart(
    {
      name: context.name,
      about: [
        ...context.about,
        `the ${count} largest of ${length}, ${parts} block${parts === 1 ? "" : "s"} a row`,
      ],
      slots,
      threads,
      sharedBytes: listBytes + 16,
      blocks: [...loops.map(({ extent }) => ({ extent, tile: 1 })), { extent: constant(parts), tile: 1 }],
    },
    (code) => {
      code.line(`const i64 row = block / ${parts};`);
      loopIndices(code, loops, "row", names);
      code.line(
        `select_top<${count}, ${parts}, ${warps}>(${slotView(input.slot)}, ${at(input)}, ${input.rowStride}LL, ${length}, ` +
          `${slotView(output.slot)}, ${at(output)}, static_cast<i32>(block % ${parts}), ` +
          `global<u64>(args.scratch), global<u32>(args.tickets), row);`,
      );
    },
  );
  return {
    parts: [part],
    prelude: ["device.cuh", "numbers.cuh", "blocks.cuh", "top_k.cuh"],
    scratchBytes: parts === 1 ? 0 : 8 * 32 * parts * rows,
    tickets: parts === 1 ? 0 : rows,
  };
}
