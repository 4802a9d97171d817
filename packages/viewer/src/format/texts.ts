/**
 * Texts of a view, each stored once. The number of a layer is taken out, so that `model.layers.7.mlp` of 36 layers is one
 * text: a text is told by its index and that number, -1 where it has none.
 */

export type Text = readonly [index: number, number: number];

/** Where the number stands. No name of a block may hold this character, and where a text does, no number is taken out. */
export const numberMark = "\u0001";

const number = /(^|[."])(0|[1-9]\d{0,8})(?=[."]|$)/;

export class TextTable {
  readonly texts: string[] = [];
  readonly #indices = new Map<string, number>();

  add(text: string): Text {
    const found = text.includes(numberMark) ? null : number.exec(text);
    if (found === null) return [this.#index(text), -1];
    const [whole, before, digits] = found;
    const end = found.index + whole.length;
    const template = `${text.slice(0, found.index)}${before}${numberMark}${text.slice(end)}`;
    return [this.#index(template), Number(digits)];
  }

  /** Of a text that never has a number: an op, a type. */
  addWhole(text: string): number {
    return this.#index(text);
  }

  #index(text: string): number {
    const present = this.#indices.get(text);
    if (present !== undefined) return present;
    this.#indices.set(text, this.texts.length);
    this.texts.push(text);
    return this.texts.length - 1;
  }
}

/** The text again. */
export function textOf(texts: readonly string[], [index, value]: Text): string {
  const template = texts[index]!;
  return value < 0 ? template : template.replace(numberMark, String(value));
}
