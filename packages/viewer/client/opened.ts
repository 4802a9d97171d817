/** Which blocks of the graph are open, shared by the drawing and the outline. */
import { folded, type Scope } from "./tree.ts";

/** Boxes of a drawing that is not asked for yet. */
const mostAtOnce = 48;

export class Opened {
  readonly #keys = new Set<string>();
  readonly #listeners: (() => void)[] = [];

  readonly has = (key: string): boolean => this.#keys.has(key);

  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  open(keys: readonly string[]): void {
    const before = this.#keys.size;
    for (const key of keys) this.#keys.add(key);
    if (this.#keys.size !== before) this.#tell();
  }

  /** Closes a block and all within it. */
  close(key: string): void {
    for (const one of [...this.#keys])
      if (one === key || one.startsWith(`${key}.`) || one.startsWith(`${key}#`)) this.#keys.delete(one);
    this.#tell();
  }

  closeAll(): void {
    this.#keys.clear();
    this.#tell();
  }

  /** Blocks from the outside in, as long as all that is open can be seen at once; of equal layers the first. */
  openFew(root: Scope): void {
    let shown = folded(root.entries, this.has).length;
    const waiting = [root];
    for (let scope = waiting.shift(); scope !== undefined; scope = waiting.shift()) {
      for (const entry of folded(scope.entries, this.has)) {
        if (entry.kind === "node" || entry.scope.isPart) continue;
        const inside = folded(entry.scope.entries, this.has).length;
        if (shown + inside > mostAtOnce) continue;
        shown += inside;
        this.#keys.add(entry.scope.key);
        waiting.push(entry.scope);
      }
    }
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
