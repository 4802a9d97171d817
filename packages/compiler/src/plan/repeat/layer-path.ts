/** Layer numbers in paths and names. */

/** Reads and shifts the layer's number in paths and names below a path. */
export class LayerPath {
  readonly #start: string;

  constructor(path: string) {
    this.#start = `${path}.`;
  }

  layerOf(name: string): number | undefined {
    if (!name.startsWith(this.#start)) return undefined;
    const number = Number.parseInt(name.slice(this.#start.length), 10);
    return Number.isNaN(number) ? undefined : number;
  }

  /** The same name `by` layers further, for layers from `from` on. */
  shift(name: string, by: number, from = 0): string {
    const layer = this.layerOf(name);
    if (layer === undefined || layer < from) return name;
    return this.#start + (layer + by) + name.slice(this.#start.length + String(layer).length);
  }
}
