/** Which blocks of the graph are open, shared by the drawing and the outline. */
import type { Scope } from "./tree.ts";

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

  closeAll(root: Scope): void {
    this.#keys.clear();
    this.openFew(root);
  }

  /** What can be seen at once without asking: small graphs whole, of large ones what has a single block inside. */
  openFew(root: Scope): void {
    const walk = (scope: Scope, isSmall: boolean) => {
      const scopes = scope.entries.flatMap((one) => (one.kind === "scope" ? [one.scope] : []));
      for (const inner of scopes) {
        if (inner.isPart || !(isSmall || (scopes.length === 1 && scope.entries.length < 40))) continue;
        this.#keys.add(inner.key);
        walk(inner, isSmall);
      }
    };
    walk(root, root.counts.nodes <= 60);
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
