/**
 * Rows added up by index: a block owns some rows of the result and goes through all indices in order, so that each row is
 * a sum in the order of its positions. Nothing is added with atomics.
 */
import type { Access, ScatterAddKernel } from "../plan/types.ts";
import { affineText, type Code, slotView } from "./code.ts";
import { framePart, type KernelContext, type KernelText, productText } from "./kernel.ts";
import { loopIndices } from "./rows/row-text.ts";

const threads = 128;
/** Rows of the result that a block owns: a table has many, and few of them are named. */
const rowsOfBlock = 16;

export function emitScatterAdd(kernel: ScatterAddKernel, context: KernelContext): KernelText {
  const { slots, positions, loops, row, indices, updates, out, addends } = kernel;
  const columns = [...loops, row];
  const position = positions.map((_, index) => `p${index}`);
  const column = columns.map((_, index) => `c${index}`);
  const at = (access: Access, names: readonly string[]) =>
    [
      affineText(access.offset),
      ...[...access.strides, access.rowStride].flatMap((stride, index) =>
        stride === 0 || names[index] === undefined ? [] : [`${stride}LL * ${names[index]}`],
      ),
    ].join(" + ");
  const view = slotView(out.slot);
  const forColumns = (code: Code, body: () => void) =>
    code.block(`for (i64 column = thread_index(); column < columns; column += ${threads})`, () => {
      loopIndices(code, columns, "column", column);
      body();
    });
  const part = framePart(
    {
      name: context.name,
      about: [
        ...context.about,
        `${rowsOfBlock} rows of the result a block, sums in the order of the positions`,
      ],
      slots,
      threads,
      sharedBytes: 4 * threads,
      blocks: [{ extent: kernel.bound, tile: rowsOfBlock }],
    },
    (code) => {
      code.line(`const i64 bound = ${affineText(kernel.bound)};`);
      code.line(`const i64 first = block * ${rowsOfBlock};`);
      code.line(`const i64 end = first + ${rowsOfBlock} < bound ? first + ${rowsOfBlock} : bound;`);
      code.line(`const i64 columns = ${productText(columns.map((loop) => loop.extent))};`);
      code.line(`const i64 positions = ${productText(positions.map((loop) => loop.extent))};`);
      forColumns(code, () =>
        code.block("for (i64 own = first; own < end; ++own)", () => {
          const [addend] = addends;
          const value =
            addend === undefined
              ? "0.0f"
              : `load(${slotView(addend.slot)}, ${at(addend, ["own", ...column])})`;
          code.line(`store(${view}, ${at(out, ["own", ...column])}, ${value});`);
        }),
      );
      code.line(`const Shared<i32> rows = shared_at<i32>(0, ${threads});`);
      code.block(`for (i64 base = 0; base < positions; base += ${threads})`, () => {
        code.line("const i64 seen = base + thread_index();");
        code.line("i64 named = -1;");
        code.block("if (seen < positions)", () => {
          loopIndices(code, positions, "seen", position);
          code.line(`const i32 index = load(${slotView(indices.slot)}, ${at(indices, position)});`);
          // One block is enough to report an index that names no row.
          code.line("named = block == 0 ? checked_index(args, static_cast<float>(index), bound) : index;");
        });
        code.line("const bool is_own = named >= first && named < end;");
        code.line("store(rows, thread_index(), is_own ? static_cast<i32>(named - first) : -1);");
        code.line("sync_block();");
        code.line(`const i64 left = positions - base < ${threads} ? positions - base : ${threads};`);
        code.block("for (i32 entry = 0; entry < left; ++entry)", () => {
          code.line("if (load(rows, entry) < 0) continue;");
          code.line("const i64 own = first + load(rows, entry);");
          code.line("const i64 position = base + entry;");
          loopIndices(code, positions, "position", position);
          forColumns(code, () => {
            const element = at(out, ["own", ...column]);
            const update = `widen(load(${slotView(updates.slot)}, ${at(updates, [...position, ...column])}))`;
            code.line(`store(${view}, ${element}, load(${view}, ${element}) + ${update});`);
          });
        });
        code.line("sync_block();");
      });
    },
  );
  return {
    parts: [part],
    prelude: ["device.cuh", "numbers.cuh", "rows.cuh"],
    scratchBytes: 0,
    tickets: 0,
  };
}
