/**
 * Text from token ids as they arrive. A token may end in the middle of a UTF-8 character: its bytes wait until the
 * rest of the character arrives or turns out not to come.
 */
import type { DecodeOptions, Tokenizer } from "./tokenizer.ts";

/**
 * Decodes ids one by one. The concatenation of all pieces and of `flush()` is `tokenizer.decode` of all ids; no
 * piece ends within a character, and U+FFFD appears only for bytes that no continuation can make valid.
 *
 * @example
 * const stream = new TextStream(tokenizer);
 * for (const id of ids) process.stdout.write(stream.push(id));
 * process.stdout.write(stream.flush());
 */
export class TextStream {
  readonly #tokenizer: Tokenizer;
  readonly #skipSpecial: boolean;
  #utf8 = newDecoder();
  /** Only without a byte-level vocabulary: all ids, and how much of their text is out. */
  readonly #ids: number[] = [];
  #emitted = 0;

  constructor(tokenizer: Tokenizer, { skipSpecial = true }: DecodeOptions = {}) {
    this.#tokenizer = tokenizer;
    this.#skipSpecial = skipSpecial;
  }

  /** The text that is certain now that `id` has arrived; often empty. */
  push(id: number): string {
    if (!this.#tokenizer.byteLevel) return this.#pushWhole(id);
    if (this.#skipSpecial && this.#tokenizer.specialIds.has(id)) return "";
    const bytes = this.#tokenizer.bytesOf(id);
    return bytes === undefined ? "" : this.#utf8.decode(bytes, { stream: true });
  }

  /** The rest, with U+FFFD for a character that was never completed. The stream can be used again afterwards. */
  flush(): string {
    if (!this.#tokenizer.byteLevel) {
      const rest = this.#whole().slice(this.#emitted);
      this.#ids.length = 0;
      this.#emitted = 0;
      return rest;
    }
    const rest = this.#utf8.decode();
    this.#utf8 = newDecoder();
    return rest;
  }

  /** Other decoders look at neighbours, so the whole is decoded again and what it adds is new. */
  #pushWhole(id: number): string {
    this.#ids.push(id);
    const whole = this.#whole();
    let end = whole.length;
    // A character that is still incomplete shows as U+FFFD at the end.
    while (end > this.#emitted && whole.charCodeAt(end - 1) === 0xfffd) end--;
    const piece = whole.slice(this.#emitted, end);
    this.#emitted = Math.max(this.#emitted, end);
    return piece;
  }

  #whole(): string {
    return this.#tokenizer.decode(this.#ids, { skipSpecial: this.#skipSpecial });
  }
}

/** Keeps a byte order mark: it is text like any other here. */
const newDecoder = () => new TextDecoder("utf-8", { ignoreBOM: true });
