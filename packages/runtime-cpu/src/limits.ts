/** What the machine can do at best, measured now: what measured times are held against. */
import { checkedCount, nativeCall } from "@weft/runtime";
import { addon } from "./addon.ts";
import { describeCpu } from "./describe.ts";

const source = "runtime-cpu";
const native = nativeCall(source);

/** Far beyond the caches of any processor. */
const bandwidthBytes = 2 ** 28;

/**
 * Bytes per second that so many threads together read from memory, by the best of several walks. Takes about half a second,
 * and 256 MiB meanwhile.
 * @throws WeftError for a number of threads out of range, and where there is no memory.
 */
export async function measureReadBandwidth(threads: number): Promise<number> {
  const count = checked(threads);
  return await native(() => addon().measureReadBandwidth(count, bandwidthBytes));
}

/**
 * Operations per second that so many threads together do in f32 at most; a multiply-add is two.
 * @throws WeftError for a number of threads out of range.
 */
export async function measureMultiplyAddRate(threads: number): Promise<number> {
  const count = checked(threads);
  return await native(() => addon().measureMultiplyAddRate(count));
}

const checked = (threads: number) => checkedCount(source, "threads", threads, 1, describeCpu().maxThreads);
