/**
 * The cache of a plan as rows: which bytes of a saved state hold the keys and values of the first positions. A context
 * that waits, and a file, keep these rows only, not the room that the capacity reserves.
 */
import type { Plan, PlanDtype } from "@weft/compiler";
import { savedLayout } from "@weft/runtime";

/** Keys or values of one layer, [outer, positions, inner] in C order: `outer` is the kv heads. */
export interface StateTensor {
  readonly name: string;
  readonly dtype: PlanDtype;
  readonly outer: number;
  readonly inner: number;
  /** Bytes of one position of one head. */
  readonly rowBytes: number;
  readonly capacity: number;
  /** Bytes from the beginning of a saved state. */
  readonly offset: number;
}

/** Rows of the first positions, by the name of the state; each [outer, length, inner]. */
export type PackedState = ReadonlyMap<string, Uint8Array>;

const elementBytes: Readonly<Record<PlanDtype, number>> = {
  f32: 4,
  i32: 4,
  bf16: 2,
  f16: 2,
  f8e4m3: 1,
  nvfp4: 9 / 16,
  i8: 1,
};

const product = (sizes: readonly number[]): number => sizes.reduce((sum, size) => sum * size, 1);

/** The cache's states, in the plan's order. Weights under training are states, too, but hold no positions. */
export function stateTensorsOf(plan: Plan): StateTensor[] {
  return savedLayout(plan).map(({ state: { name, dtype, shape, positions }, begin }) => {
    const inner = product(shape.slice(positions + 1));
    return {
      name,
      dtype,
      outer: product(shape.slice(0, positions)),
      inner,
      rowBytes: inner * elementBytes[dtype],
      capacity: shape[positions]!,
      offset: begin,
    };
  });
}

/** Copies the first `length` positions out of an arena. */
export function packState(
  tensors: readonly StateTensor[],
  arena: Uint8Array,
  length: number,
): Map<string, Uint8Array> {
  return new Map(
    tensors.map((tensor) => {
      const packed = new Uint8Array(tensor.outer * length * tensor.rowBytes);
      forEachHead(tensor, length, length, (from, to, bytes) =>
        packed.set(arena.subarray(from, from + bytes), to),
      );
      return [tensor.name, packed];
    }),
  );
}

/**
 * Copies packed rows of `stored` positions back into an arena of the plan's size; only the first `length` of them.
 * Everything else in the arena stays.
 */
export function unpackState(
  tensors: readonly StateTensor[],
  packed: PackedState,
  stored: number,
  length: number,
  arena: Uint8Array,
): void {
  for (const tensor of tensors) {
    const rows = packed.get(tensor.name)!;
    forEachHead(tensor, stored, length, (from, to, bytes) => arena.set(rows.subarray(to, to + bytes), from));
  }
}

/** Visits, per head, where its rows begin in the arena and in a packing of `stored` positions. */
function forEachHead(
  { outer, rowBytes, capacity, offset }: StateTensor,
  stored: number,
  length: number,
  visit: (inArena: number, inPacking: number, bytes: number) => void,
): void {
  for (let head = 0; head < outer; head++) {
    visit(offset + head * capacity * rowBytes, head * stored * rowBytes, length * rowBytes);
  }
}
