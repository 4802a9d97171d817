/** Whether a kernel may write one slot over the bytes of another. */
import { elementBytes } from "./element-bytes.ts";
import type { Access, Kernel, RowProgram, Slot } from "./types.ts";

// Blocks of nvfp4 lie over nothing.
const bytesOf = ({ dtype }: Slot) => (dtype === "nvfp4" ? Number.NaN : elementBytes[dtype]);

const sameAccess = (a: Access, b: Access) =>
  JSON.stringify([a.offset, a.strides, a.rowStride]) === JSON.stringify([b.offset, b.strides, b.rowStride]);

/**
 * Every read of the slot is of the very element that is stored afterwards in the same row, and needed for that column
 * and no other: threads that share a row write their columns without waiting for each other.
 */
function readsBeforeStoring(program: RowProgram, read: number, written: number): boolean {
  if (program.body.some((one) => one.kind === "slice" || one.kind === "concat")) return false;
  const stores = program.body.filter((one) => one.kind === "store" && one.access.slot === written);
  const [store] = stores;
  if (stores.length !== 1 || store?.kind !== "store") return false;
  const at = program.body.indexOf(store);
  const length = JSON.stringify(store.length);
  // Results of another length are written in another pass, which would read what this one has overwritten.
  const onePass = program.body.every((one) => one.kind !== "store" || JSON.stringify(one.length) === length);
  if (!onePass) return false;
  return program.body.every((one, index) => {
    if (one.kind === "gather") return one.access.slot !== read;
    if (one.kind === "store") return one.access.slot !== read;
    if (one.kind !== "load" || one.access.slot !== read) return true;
    const sameLength = JSON.stringify(one.length) === length;
    return index < at && sameLength && sameAccess(one.access, store.access);
  });
}

const touches = (program: RowProgram, slot: number) =>
  program.body.some(
    (one) =>
      (one.kind === "load" || one.kind === "gather" || one.kind === "store") && one.access.slot === slot,
  );

export function writesInPlace(kernel: Kernel, read: number, written: number): boolean {
  const [from, to] = [kernel.slots[read], kernel.slots[written]];
  if (from === undefined || to === undefined || read === written) return false;
  if (from.access !== "read" || to.access !== "write" || bytesOf(from) !== bytesOf(to)) return false;
  switch (kernel.kind) {
    case "rows":
      return readsBeforeStoring(kernel.program, read, written);
    case "matmul": {
      // The prologue's rows are read by every thread while others already write columns.
      if (touches(kernel.prologue, read)) return false;
      // So are the weights, which may be values of this step: roundings of weights under training.
      if (kernel.groups.some(({ weights }) => weights.includes(read))) return false;
      const users = kernel.groups.filter(
        (one) => touches(one.epilogue, read) || touches(one.epilogue, written),
      );
      return users.length === 1 && readsBeforeStoring(users[0]!.epilogue, read, written);
    }
    case "scatterAdd": {
      // Every row is taken over whole before anything is added to it.
      const [addend] = kernel.addends;
      return addend?.slot === read && written === kernel.out.slot && sameAccess(addend, kernel.out);
    }
    case "attention":
    case "attentionForward":
    case "attentionBackward":
    case "linearCrossEntropy":
    case "topK":
    case "contract":
      return false;
    default:
      return kernel satisfies never;
  }
}
