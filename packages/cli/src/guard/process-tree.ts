/**
 * The processes that a command started, from /proc. Children are found by their parents; one whose parent has ended
 * belongs to init, so it is known by a mark in the environment that every child inherits. A process is its id and the
 * time it began: the system gives ids out again.
 */
import { readdirSync, readFileSync } from "node:fs";

/** Name of the variable that marks the tree. */
export const markName = "WEFT_GUARD";

interface Process {
  readonly id: number;
  readonly parent: number;
  /** Clock ticks since the machine started. */
  readonly began: number;
  readonly ended: boolean;
}

/** Undefined where there is none of that id any more. */
function readProcess(id: number, folder: string): Process | undefined {
  try {
    const text = readFileSync(`${folder}/${id}/stat`, "utf8");
    // The name, in parentheses, may hold anything, parentheses included.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return {
      id,
      parent: Number(fields[1]),
      began: Number(fields[19]),
      ended: fields[0] === "Z" || fields[0] === "X",
    };
  } catch {
    return undefined;
  }
}

export class ProcessTree {
  readonly #root: number;
  readonly #mark: string;
  readonly #folder: string;
  /** By id and beginning; whether it is one of ours. */
  readonly #known = new Map<string, boolean>();

  /**
   * @param root id of the first process
   * @param mark value of the variable in its environment
   */
  constructor(root: number, mark: string, folder = "/proc") {
    this.#root = root;
    this.#mark = `${markName}=${mark}`;
    this.#folder = folder;
  }

  /** Ids of the tree's processes that live. */
  ids(): number[] {
    const processes = new Map<number, Process>();
    for (const name of readdirSync(this.#folder)) {
      if (!/^\d+$/.test(name)) continue;
      const one = readProcess(Number(name), this.#folder);
      if (one !== undefined) processes.set(one.id, one);
    }
    const keys = new Set<string>();
    const ours: number[] = [];
    for (const one of processes.values()) {
      const key = `${one.id} ${one.began}`;
      keys.add(key);
      if (this.#belongs(one, key, processes) && !one.ended) ours.push(one.id);
    }
    for (const key of this.#known.keys()) if (!keys.has(key)) this.#known.delete(key);
    return ours;
  }

  #belongs(one: Process, key: string, processes: ReadonlyMap<number, Process>): boolean {
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const parent = processes.get(one.parent);
    const belongs =
      one.id === this.#root ||
      (parent !== undefined &&
        parent.id !== 0 &&
        this.#belongs(parent, `${parent.id} ${parent.began}`, processes)) ||
      this.#isMarked(one.id);
    this.#known.set(key, belongs);
    return belongs;
  }

  #isMarked(id: number): boolean {
    try {
      return readFileSync(`${this.#folder}/${id}/environ`, "utf8").split("\0").includes(this.#mark);
    } catch {
      // Another user's.
      return false;
    }
  }
}

/** Resident bytes of processes together. */
export function residentBytes(ids: readonly number[], folder = "/proc"): number {
  let sum = 0;
  for (const id of ids) {
    try {
      const status = readFileSync(`${folder}/${id}/status`, "utf8");
      sum += Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
    } catch {
      // It ended meanwhile.
    }
  }
  return sum;
}
