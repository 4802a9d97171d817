/**
 * Which characters of a block's `->>` text are which block. The text is the printer's; it is read here beside the block
 * that it was printed from, so nothing has to be looked up and no name can mislead.
 */
import { type AnyBlock, asBlock, type BlockLike, blockEquals, normalize, prettyBlock } from "@weft/dsl";
import type { NotationSpan, NotationView } from "../format/types.ts";

/** Characters of a line: what a column of the page has room for. */
const width = 56;

export function notationOf(block: AnyBlock | BlockLike): NotationView {
  const text = prettyBlock(block, width);
  const reader = new Reader(text);
  reader.chain(normalize(asBlock(block, "notationOf")), { path: "", ranges: [] });
  reader.end();
  return { text, spans: reader.spans };
}

interface Place {
  readonly path: string;
  readonly ranges: NotationSpan["ranges"];
}

const below = (place: Place, name: string): Place => ({
  ...place,
  path: place.path === "" ? name : `${place.path}.${name}`,
});

/** Goes through text and block together. */
class Reader {
  readonly spans: NotationSpan[] = [];
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** A block where a chain may stand without parentheses. */
  chain(block: AnyBlock, place: Place): void {
    const { expression } = block;
    const blocks = expression.tag === "chain" ? expression.blocks : [block];
    blocks.forEach((one, index) => {
      if (index > 0) this.#expect("->>");
      this.#atom(one, place);
    });
  }

  end(): void {
    if (this.#skipSpace() !== this.#text.length) this.#lost("the end");
  }

  #atom(block: AnyBlock, place: Place): void {
    const { expression } = block;
    switch (expression.tag) {
      case "id":
        this.#expect("id");
        break;
      case "leaf": {
        const start = this.#skipSpace();
        this.#shortName(expression.label);
        this.#mark(start, place, expression.op);
        break;
      }
      case "chain":
        this.#enclosed("(", () => this.chain(block, place));
        break;
      case "parallel":
        this.#enclosed(expression.blocks.length === 1 ? "parallel(" : "(", () =>
          this.#branches(expression.blocks, place),
        );
        break;
      case "split":
        this.#enclosed("split(", () => this.#branches(expression.blocks, place));
        break;
      case "merge":
        this.#atom(expression.block, place);
        break;
      case "residual":
        this.#enclosed("residual(", () => this.chain(expression.block, place));
        break;
      case "stage":
        this.#enclosed(`stage(${expression.label},`, () => this.chain(expression.block, place));
        break;
      case "named":
        this.#named(expression.path, expression.block, below(place, expression.path));
        break;
      case "repeat":
        this.#repeat(expression.prefix, expression.blocks, place);
        break;
      default:
        expression satisfies never;
    }
  }

  #named(path: string, block: AnyBlock, place: Place): void {
    const start = this.#skipSpace();
    this.#shortName(path);
    const { tag } = block.expression;
    if (tag !== "leaf") {
      this.#expect(":");
      // In a body everything but these stands in parentheses of its own.
      if (tag === "split" || tag === "residual" || tag === "stage") this.#atom(block, place);
      else this.#enclosed("(", () => this.chain(block, place));
    }
    this.#mark(start, place);
  }

  /**
   * A name is printed by as many of its last segments as tell it from others, and a number where leaves that differ would
   * read alike.
   */
  #shortName(path: string): void {
    const segments = path.split(".");
    for (let first = 0; first < segments.length; first++) {
      if (!this.#accept(segments.slice(first).join("."))) continue;
      this.#at += /^~\d+/.exec(this.#text.slice(this.#at))?.[0].length ?? 0;
      return;
    }
    this.#lost(path);
  }

  #repeat(prefix: string, blocks: readonly AnyBlock[], place: Place): void {
    const start = this.#skipSpace();
    for (let from = 0; from < blocks.length; ) {
      if (from > 0) this.#expect("->>");
      let count = 1;
      while (from + count < blocks.length && blockEquals(blocks[from]!, blocks[from + count]!)) count++;
      const turn = this.#skipSpace();
      const own = below(place, prefix);
      const body = { path: `${own.path}.*`, ranges: [...place.ranges, [from, count] as const] };
      this.#expect(`${prefix}[${count === 1 ? from : `${from}..${from + count - 1}`}]:`);
      this.#enclosed("(", () => this.chain(blocks[from]!, body));
      if (count > 1) this.#expect(`x${count}`);
      this.#mark(turn, body);
      from += count;
    }
    this.#mark(start, below(place, prefix));
  }

  #branches(blocks: readonly AnyBlock[], place: Place): void {
    blocks.forEach((one, index) => {
      if (index > 0) this.#expect("|");
      this.chain(one, place);
    });
  }

  #enclosed(open: string, inside: () => void): void {
    this.#expect(open);
    inside();
    this.#expect(")");
  }

  #mark(start: number, { path, ranges }: Place, op?: string): void {
    this.spans.push({ start, end: this.#at, path, ranges, ...(op === undefined ? {} : { op }) });
  }

  #skipSpace(): number {
    while (/\s/.test(this.#text[this.#at] ?? "")) this.#at++;
    return this.#at;
  }

  #accept(token: string): boolean {
    if (!this.#text.startsWith(token, this.#skipSpace())) return false;
    this.#at += token.length;
    return true;
  }

  #expect(token: string): void {
    if (!this.#accept(token)) this.#lost(token);
  }

  #lost(token: string): never {
    const found = this.#text.slice(this.#at, this.#at + 20);
    throw new Error(`the printed block must have ${JSON.stringify(token)}, found ${JSON.stringify(found)}`);
  }
}
