/**
 * The cache of a plan as rows: which bytes of the state arena hold the keys and values of the first positions. A
 * context that waits, and a file, keep these rows only, not the room that the capacity reserves.
 */
import { drawnToken, type Plan, type PlanDtype } from "@weft/compiler";

/** Keys or values of one layer, [outer, positions, inner] in C order: `outer` is the kv heads. */
export interface StateTensor {
  readonly name: string;
  readonly dtype: PlanDtype;
  readonly outer: number;
  readonly inner: number;
  /** Bytes of one position of one head. */
  readonly rowBytes: number;
  readonly capacity: number;
  /** Bytes from the beginning of the state arena. */
  readonly offset: number;
}

/** The axis of a state's shape along which positions lie. */
export const positionAxis = 1;

/** Rows of the first positions, by the name of the state; each [outer, length, inner]. */
export type PackedState = ReadonlyMap<string, Uint8Array>;

const elementBytes: Readonly<Record<PlanDtype, number>> = { f32: 4, i32: 4, bf16: 2, f16: 2 };

/** The cache's states, in the plan's order. A token that was drawn is of no use to a later run. */
export function stateTensorsOf(plan: Plan): StateTensor[] {
  return plan.buffers
    .filter((buffer) => buffer.class === "state" && buffer.name !== drawnToken)
    .map(({ name, dtype, shape, offset }) => {
      const [outer = 1, capacity = 1, inner = 1] = shape;
      return { name, dtype, outer, inner, rowBytes: inner * elementBytes[dtype], capacity, offset };
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
