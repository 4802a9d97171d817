/** How full the arena of the activations is, step by step. */
import { type Lifetime, lifetimesOf } from "./memory.ts";
import type { Plan, PlanProgram } from "./types.ts";

/** Bytes that something alive lies in, for each step: a buffer that takes over the place of another counts once. */
export function coverageOf(plan: Plan, program: PlanProgram): number[] {
  const lives = [...lifetimesOf(plan, program).values()];
  const pieces = lives.map(({ buffer }) => {
    const { offset, bytes } = plan.buffers[buffer]!;
    return { begin: offset, end: offset + bytes };
  });
  const union = new UnionOfPieces(pieces);
  const begins = byStep(lives, program.steps.length, ({ first }) => first);
  const ends = byStep(lives, program.steps.length, ({ last }) => last);
  return program.steps.map((_, step) => {
    for (const life of begins[step]!) union.change(pieces[life]!, 1);
    const bytes = union.length;
    for (const life of ends[step]!) union.change(pieces[life]!, -1);
    return bytes;
  });
}

function byStep(
  lives: readonly Lifetime[],
  steps: number,
  stepOf: (life: Lifetime) => number,
): readonly (readonly number[])[] {
  const found: number[][] = Array.from({ length: steps }, () => []);
  lives.forEach((life, index) => {
    found[stepOf(life)]!.push(index);
  });
  return found;
}

interface Piece {
  readonly begin: number;
  readonly end: number;
}

/** The length of what some of many pieces cover together: a tree over all their ends, so that a change is quick. */
class UnionOfPieces {
  readonly #ends: readonly number[];
  readonly #placeOf: ReadonlyMap<number, number>;
  /** Leaves of the tree: a power of two. */
  readonly #width: number;
  /** By node of the tree: how many pieces cover all of it, and the length of it that is covered. */
  readonly #count: Int32Array;
  readonly #covered: Float64Array;

  constructor(pieces: readonly Piece[]) {
    const ends = new Set(pieces.flatMap(({ begin, end }) => [begin, end]));
    this.#ends = [...ends].sort((a, b) => a - b);
    this.#placeOf = new Map(this.#ends.map((end, place) => [end, place]));
    this.#width = 2 ** Math.ceil(Math.log2(Math.max(1, this.#ends.length)));
    this.#count = new Int32Array(2 * this.#width);
    this.#covered = new Float64Array(2 * this.#width);
  }

  get length(): number {
    return this.#covered[1]!;
  }

  /** @param by 1 to add a piece, -1 to take it away again. */
  change({ begin, end }: Piece, by: 1 | -1): void {
    if (begin < end) this.#change(1, 0, this.#width, this.#placeOf.get(begin)!, this.#placeOf.get(end)!, by);
  }

  #change(node: number, low: number, high: number, begin: number, end: number, by: 1 | -1): void {
    if (end <= low || high <= begin) return;
    if (begin <= low && high <= end) this.#count[node]! += by;
    else {
      const middle = (low + high) / 2;
      this.#change(2 * node, low, middle, begin, end, by);
      this.#change(2 * node + 1, middle, high, begin, end, by);
    }
    if (this.#count[node]! > 0) this.#covered[node] = this.#ends[high]! - this.#ends[low]!;
    else if (node >= this.#width) this.#covered[node] = 0;
    else this.#covered[node] = this.#covered[2 * node]! + this.#covered[2 * node + 1]!;
  }
}
