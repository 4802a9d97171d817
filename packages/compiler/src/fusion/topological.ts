/** A topological order by number: of all that wait for nothing more, the one with the smallest key comes first. */

/**
 * @param waitsFor for each item, those that must come before it.
 * @param key breaks ties.
 * @returns items in order; those that wait for each other in a circle are left out.
 */
export function topologicalOrder(
  waitsFor: readonly ReadonlySet<number>[],
  key: (item: number) => number,
): number[] {
  const readers = waitsFor.map((): number[] => []);
  const open = waitsFor.map((set, item) => {
    for (const other of set) readers[other]!.push(item);
    return set.size;
  });
  const ready = new ReadyQueue(key);
  open.forEach((count, item) => {
    if (count === 0) ready.push(item);
  });
  const order: number[] = [];
  for (let item = ready.pop(); item !== undefined; item = ready.pop()) {
    order.push(item);
    for (const reader of readers[item]!) if (--open[reader]! === 0) ready.push(reader);
  }
  return order;
}

/** A binary heap of numbers. */
class ReadyQueue {
  readonly #heap: number[] = [];
  readonly #key: (index: number) => number;

  constructor(key: (index: number) => number) {
    this.#key = key;
  }

  push(index: number): void {
    const heap = this.#heap;
    heap.push(index);
    for (let i = heap.length - 1; i > 0; ) {
      const parent = (i - 1) >> 1;
      if (this.#key(heap[parent]!) <= this.#key(heap[i]!)) break;
      [heap[parent], heap[i]] = [heap[i]!, heap[parent]!];
      i = parent;
    }
  }

  pop(): number | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (top === undefined || last === undefined || heap.length === 0) return top;
    heap[0] = last;
    for (let i = 0; ; ) {
      const [left, right] = [2 * i + 1, 2 * i + 2];
      let least = i;
      if (left < heap.length && this.#key(heap[left]!) < this.#key(heap[least]!)) least = left;
      if (right < heap.length && this.#key(heap[right]!) < this.#key(heap[least]!)) least = right;
      if (least === i) return top;
      [heap[least], heap[i]] = [heap[i]!, heap[least]!];
      i = least;
    }
  }
}
