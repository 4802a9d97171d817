/** The general product by strides, a thread for each element of the result: for results that are too small for tiles. */
import type { Access, ContractKernel } from "../../plan/types.ts";
import { affineText, elementText, slotView, storageType } from "../code.ts";
import { flatTiles, framePart, type KernelContext, type KernelText, productText } from "../kernel.ts";
import { hasBlocks, rowsPrelude } from "../rows/row-shape.ts";
import { loopIndices } from "../rows/row-text.ts";

const threads = 128;

export function emitContractElements(kernel: ContractKernel, context: KernelContext): KernelText {
  const { slots, loops, contracted, a, b, out } = kernel;
  const outer = loops.map((_, index) => `i${index}`);
  const inner = contracted.map((_, index) => `k${index}`);
  const extents = loops.map((loop) => loop.extent);
  const at = (access: Access, names: readonly string[]) =>
    [
      affineText(access.offset),
      ...access.strides.flatMap((stride, index) => (stride === 0 ? [] : [`${stride}LL * ${names[index]!}`])),
    ].join(" + ");
  const value = (access: Access) =>
    elementText(slots[access.slot]!, slotView(access.slot), at(access, [...outer, ...inner]));
  const part = framePart(
    {
      name: context.name,
      about: [...context.about, "one thread for each element of the result"],
      slots,
      threads,
      sharedBytes: 0,
      blocks: flatTiles(extents, threads),
    },
    (code) => {
      code.line(`const i64 item = block * ${threads} + thread_index();`);
      code.line(`if (item >= ${productText(extents)}) return;`);
      loopIndices(code, loops, "item", outer);
      code.line("float sum = 0.0f;");
      const walk = (depth: number): void => {
        const loop = contracted[depth];
        if (loop === undefined) {
          code.line(`sum = fmaf(${value(a)}, ${value(b)}, sum);`);
          return;
        }
        const name = inner[depth]!;
        code.block(`for (i64 ${name} = 0; ${name} < ${affineText(loop.extent)}; ++${name})`, () =>
          walk(depth + 1),
        );
      };
      walk(0);
      code.line(
        `store(${slotView(out.slot)}, ${at(out, outer)}, Narrow<${storageType[slots[out.slot]!.dtype]}>::of(sum));`,
      );
    },
  );
  return {
    parts: [part],
    prelude: hasBlocks(slots) ? rowsPrelude([], slots) : ["device.cuh", "numbers.cuh"],
    scratchBytes: 0,
    tickets: 0,
  };
}
