/**
 * Reading `->>` notation back: a recursive descent over the text that `printBlock` writes.
 *
 *     chain    = atom { "->>" atom }
 *     branches = chain { "|" chain }
 *     atom     = "(" branches ")"  |  "split(" branches ")"  |  "parallel(" branches ")"
 *              | "residual(" chain ")"  |  "stage(" label "," chain ")"
 *              | path ":" atom  |  prefix "[" first ".." last "]:" atom "x" count  |  name
 *
 * A name ends at white space, at a parenthesis, at "|" or at "->>". One branch in parentheses only groups. Layers that
 * differ stand one behind the other in a chain: `h[0]: (a) ->> h[1..2]: (b) x2`.
 */
import {
  type AnyBlock,
  asBlock,
  type BlockLike,
  chainBlocks,
  deepest,
  id,
  misfit,
  nameBlock,
  normalize,
  parallelOf,
  repeat,
  residual,
  splitOf,
  stage,
  tooDeep,
} from "../blocks/internal.ts";
import { captureSite, type Site } from "../blocks/source.ts";
import { WeftError } from "../errors.ts";
import { excerptAt } from "./excerpt.ts";
import { leafNames } from "./names.ts";
import { wireSentences } from "./wire-sentences.ts";
import type { Vocabulary, WireBlock, WireChecked } from "./wire-types.ts";

/**
 * The block that a text in `->>` notation describes, with its types: what `printBlock` writes, read back.
 * @throws WeftError when the text is not in the notation, a name is unknown, or wires do not fit; a caret stands under the
 * spot. The type checker says the same sentence before.
 * @example const mlp = wire("norm ->> (gate ->> silu | up) ->> mul ->> down", { norm, gate, silu, up, mul, down });
 */
export function wire<const Text extends string, const Blocks extends Vocabulary>(
  text: Text extends WireChecked<Text, Blocks> ? Text : WireChecked<Text, Blocks>,
  blocks: Blocks,
): WireBlock<Text, Blocks> {
  const reader = new Reader(text, blocks, captureSite(wire));
  return reader.whole() as WireBlock<Text, Blocks>;
}

/**
 * The leaves of a block by the names that `printBlock` gives them: with them, `wire` reads the text back.
 * @example const again = wire(printBlock(model), vocabularyOf(model));
 */
export function vocabularyOf(block: AnyBlock | BlockLike): Vocabulary {
  const found: Record<string, BlockLike> = {};
  for (const [leaf, name] of leafNames(normalize(asBlock(block, "vocabularyOf")))) {
    found[name] ??= leaf as BlockLike;
  }
  return found;
}

/** Some layers of a repeat: where it goes on, they become one. */
interface Layers {
  readonly prefix: string;
  readonly first: number;
  readonly blocks: readonly AnyBlock[];
}

interface Part {
  readonly block: AnyBlock;
  /** Where it begins in the text. */
  readonly at: number;
  readonly layers?: Layers;
}

/** A number that somebody mistyped must not fill the memory. */
const mostLayers = 100_000;

class Reader {
  readonly #text: string;
  #at = 0;
  /** Parts within each other that are being read. */
  #depth = 0;
  readonly #blocks: Vocabulary;
  readonly #site: Site;

  constructor(text: string, blocks: Vocabulary, site: Site) {
    this.#text = text;
    this.#blocks = blocks;
    this.#site = site;
  }

  whole(): AnyBlock {
    const { block } = this.#chain();
    if (this.#at < this.#text.length) throw this.#expected("->> or the end");
    return block;
  }

  #chain(): Part {
    const row = [this.#atom()];
    while (this.#take("->>")) {
      const next = this.#atom();
      const before = row.at(-1)!;
      const joined = this.#continued(before, next);
      if (joined === undefined) row.push(next);
      else row[row.length - 1] = joined;
    }
    for (const part of row) this.#begins(part);
    const { at } = row[0]!;
    if (row.length === 1) return { block: row[0]!.block, at };
    return { block: this.#joined(row, (blocks) => chainBlocks(blocks, this.#site)), at };
  }

  /** Layers of one prefix that go on where those before end. */
  #continued(before: Part, next: Part): Part | undefined {
    const [a, b] = [before.layers, next.layers];
    if (a?.prefix !== b?.prefix || a === undefined || b === undefined) return undefined;
    if (b.first === 0 || b.first !== a.first + a.blocks.length) return undefined;
    const blocks = [...a.blocks, ...b.blocks];
    const block = this.#pointing(next.at, () => repeatOf(a.prefix, blocks));
    return { block, at: before.at, layers: { prefix: a.prefix, first: a.first, blocks } };
  }

  #begins({ at, layers }: Part): void {
    if (layers === undefined || layers.first === 0) return;
    throw this.#misfit(at, wireSentences.layers(/^[^\s:]*/.exec(this.#text.slice(at))![0]));
  }

  #branches(): readonly Part[] {
    const all = [this.#chain()];
    while (this.#take("|")) all.push(this.#chain());
    if (!this.#take(")")) throw this.#expected("| or )");
    return all;
  }

  #one(name: string): Part {
    const all = this.#branches();
    if (all.length > 1) throw this.#misfit(all[1]!.at, wireSentences.one(name), `${all.length} branches`);
    return all[0]!;
  }

  #atom(): Part {
    this.#trim();
    if (++this.#depth > deepest) throw this.#pointed(this.#at, tooDeep("wire"));
    const part = this.#part(this.#at);
    this.#depth--;
    return part;
  }

  #part(at: number): Part {
    if (this.#take("(")) {
      const all = this.#branches();
      return { block: all.length === 1 ? all[0]!.block : this.#parallel(all), at };
    }
    if (this.#take("parallel(")) return { block: this.#parallel(this.#branches()), at };
    if (this.#take("split("))
      return {
        block: splitOf(
          this.#branches().map(({ block }) => block),
          this.#site,
        ),
        at,
      };
    // The signatures below check types that only the text knows; their run-time halves check the same.
    if (this.#take("residual(")) {
      const inner = this.#one("residual");
      return { block: this.#pointing(inner.at, () => residual(inner.block as never) as AnyBlock), at };
    }
    if (this.#take("stage(")) {
      const label = /^([\w-]+),/.exec(this.#text.slice(this.#at));
      if (label === null) throw this.#expected("a label and a block");
      this.#at += label[0].length;
      return { block: stage(label[1]!, this.#one("stage").block as never) as AnyBlock, at };
    }
    return this.#named();
  }

  #parallel(branches: readonly Part[]): AnyBlock {
    return this.#joined(branches, (blocks) => parallelOf(blocks, this.#site));
  }

  #named(): Part {
    const at = this.#at;
    const rest = this.#text.slice(at);
    const name = /^(?:(?!->>)[^\s()|:])*:?/.exec(rest)![0];
    if (name === "") throw this.#expected("a block");
    this.#at += name.length;
    if (name.endsWith("]:")) return this.#layers(name.slice(0, -1), at);
    if (name.endsWith(":")) {
      const inner = this.#atom();
      this.#begins(inner);
      return { block: this.#pointing(at, () => nameBlock(name.slice(0, -1), inner.block, this.#site)), at };
    }
    if (Object.hasOwn(this.#blocks, name)) return { block: asBlock(this.#blocks[name], "wire", name), at };
    if (name === "id") return { block: id, at };
    throw this.#misfit(
      at,
      wireSentences.unknown(name),
      `blocks ${Object.keys(this.#blocks).join(", ") || "of no name"}`,
    );
  }

  #layers(range: string, at: number): Part {
    const found = /^(.*)\[(\d+)(?:\.\.(\d+))?\]$/.exec(range);
    const first = Number(found?.[2]);
    const count = Number(found?.[3] ?? first) - first + 1;
    if (found === null || !(count >= 1 && count <= mostLayers))
      throw this.#misfit(at, wireSentences.layers(range));
    const inner = this.#atom();
    this.#begins(inner);
    const layers = { prefix: found[1]!, first, blocks: Array.from({ length: count }, () => inner.block) };
    const block = this.#pointing(inner.at, () => repeatOf(layers.prefix, layers.blocks));
    this.#trim();
    const behind = this.#at;
    const times = /^x(\d+)(?![\w.])/.exec(this.#text.slice(behind));
    if (times !== null) this.#at += times[0].length;
    if (Number(times?.[1] ?? 1) !== count) {
      throw this.#misfit(behind, wireSentences.times(range, String(count)), times?.[0] ?? "nothing");
    }
    return { block, at, layers };
  }

  /** Joins parts; what does not fit is found by trying one part more each time. */
  #joined(parts: readonly Part[], join: (blocks: readonly AnyBlock[]) => AnyBlock): AnyBlock {
    const blocks = parts.map(({ block }) => block);
    try {
      return join(blocks);
    } catch (error) {
      for (const [index, { at }] of parts.entries()) {
        this.#pointing(at, () => join(blocks.slice(0, index + 1)));
      }
      throw error;
    }
  }

  /** What is thrown gets a caret, unless it has one. */
  #pointing(at: number, build: () => AnyBlock): AnyBlock {
    try {
      return build();
    } catch (error) {
      throw error instanceof WeftError ? this.#pointed(at, error) : error;
    }
  }

  #pointed(at: number, { problems }: WeftError): WeftError {
    const [first, ...rest] = problems;
    return new WeftError([{ excerpt: excerptAt(this.#text, at), ...first }, ...rest]);
  }

  #misfit(at: number, sentence: string, given?: string): WeftError {
    return this.#pointed(at, misfit(sentence, given));
  }

  #expected(what: string): WeftError {
    return this.#misfit(this.#at, wireSentences.expected(what, this.#text.slice(this.#at)));
  }

  #take(token: string): boolean {
    this.#trim();
    if (!this.#text.startsWith(token, this.#at)) return false;
    this.#at += token.length;
    return true;
  }

  #trim(): void {
    while (/\s/.test(this.#text[this.#at] ?? "")) this.#at++;
  }
}

function repeatOf(prefix: string, blocks: readonly AnyBlock[]): AnyBlock {
  return repeat(prefix, blocks.length, (index) => blocks[index] as never) as AnyBlock;
}
