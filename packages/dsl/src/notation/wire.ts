/**
 * Reading `->>` notation back: a recursive descent over the text that `printBlock` writes.
 *
 *     chain    = atom { "->>" atom }
 *     branches = chain { "|" chain }
 *     atom     = "(" branches ")"  |  "split(" branches ")"  |  "residual(" chain ")"  |  "stage(" label ", " chain ")"
 *              | path ":" atom     |  prefix "[0.." last "]:" atom "x" count           |  name
 *
 * Words end at white space or at ")". One branch in parentheses only groups.
 */
import {
  type AnyBlock,
  asBlock,
  type BlockLike,
  blockError,
  chainBlocks,
  childrenOf,
  id,
  misfit,
  nameBlock,
  normalize,
  parallelOf,
  repeat,
  residual,
  splitOf,
  stage,
} from "../blocks/internal.ts";
import { captureSite, type Site } from "../blocks/source.ts";
import { shortNames } from "./names.ts";
import { wireSentences } from "./wire-sentences.ts";
import type { Vocabulary, WireBlock, WireChecked } from "./wire-types.ts";

/**
 * The block that a text in `->>` notation describes, with its types: what `printBlock` writes, read back.
 * @throws WeftError when the text is not in the notation, a name is unknown, or wires do not fit. The type checker says
 * the same before.
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
 * The leaves of a block by the names that `printBlock` gives them: with them, `wire` reads the text back. Of two leaves
 * that print alike the first counts.
 * @example const again = wire(printBlock(model), vocabularyOf(model));
 */
export function vocabularyOf(block: AnyBlock | BlockLike): Vocabulary {
  const normal = normalize(asBlock(block, "vocabularyOf"));
  const found: Record<string, BlockLike> = {};
  const names = shortNames(normal);
  const visit = (one: AnyBlock): void => {
    const { expression } = one;
    if (expression.tag === "leaf") {
      found[expression.label] ??= one as BlockLike;
    } else if (expression.tag === "named" && expression.block.expression.tag === "leaf") {
      found[names.get(expression.path) ?? expression.path] ??= one as BlockLike;
    } else {
      for (const child of childrenOf(one)) visit(child.block);
    }
  };
  visit(normal);
  return found;
}

class Reader {
  #rest: string;
  readonly #blocks: Vocabulary;
  readonly #site: Site;

  constructor(text: string, blocks: Vocabulary, site: Site) {
    this.#rest = text;
    this.#blocks = blocks;
    this.#site = site;
  }

  whole(): AnyBlock {
    const block = this.#chain();
    if (this.#rest !== "") throw this.#expected("->> or the end");
    return block;
  }

  #chain(): AnyBlock {
    const row = [this.#atom()];
    while (this.#take("->>")) row.push(this.#atom());
    return row.length === 1 ? row[0]! : chainBlocks(row, this.#site);
  }

  #branches(): readonly AnyBlock[] {
    const all = [this.#chain()];
    while (this.#take("|")) all.push(this.#chain());
    if (!this.#take(")")) throw this.#expected("| or )");
    return all;
  }

  #one(name: string): AnyBlock {
    const all = this.#branches();
    if (all.length > 1) throw misfit(wireSentences.one(name), `${all.length} branches`);
    return all[0]!;
  }

  #atom(): AnyBlock {
    if (this.#take("(")) {
      const all = this.#branches();
      return all.length === 1 ? all[0]! : parallelOf(all, this.#site);
    }
    if (this.#take("split(")) return splitOf(this.#branches(), this.#site);
    // The signatures below check types that only the text knows; their run-time halves check the same.
    if (this.#take("residual(")) return residual(this.#one("residual") as never) as AnyBlock;
    const label = /^stage\(([\w-]+), /.exec(this.#rest);
    if (label !== null) {
      this.#rest = this.#rest.slice(label[0].length);
      return stage(label[1]!, this.#one("stage") as never) as AnyBlock;
    }
    return this.#named();
  }

  #named(): AnyBlock {
    this.#trim();
    const name = /^[^\s)]*/.exec(this.#rest)![0];
    if (name === "") throw this.#expected("a block");
    this.#rest = this.#rest.slice(name.length);
    if (name.endsWith("]:")) return this.#repeat(name.slice(0, -1));
    if (name.endsWith(":")) return nameBlock(name.slice(0, -1), this.#atom(), this.#site);
    if (Object.hasOwn(this.#blocks, name)) return asBlock(this.#blocks[name], "wire", name);
    if (name === "id") return id;
    throw misfit(
      wireSentences.unknown(name),
      `blocks ${Object.keys(this.#blocks).join(", ") || "of no name"}`,
    );
  }

  #repeat(range: string): AnyBlock {
    const found = /^(.*)\[0(?:\.\.(\d+))?\]$/.exec(range);
    if (found === null) throw blockError("wire", "layers must be listed as prefix[0..last]", range);
    const count = Number(found[2] ?? 0) + 1;
    const block = this.#atom();
    this.#trim();
    const times = /^x(\d+)/.exec(this.#rest);
    if (times !== null) this.#rest = this.#rest.slice(times[0].length);
    if (Number(times?.[1] ?? 1) !== count) {
      throw blockError("wire", `${range} must be followed by x${count}`, times?.[0] ?? "nothing");
    }
    return repeat(found[1]!, count, () => block as never) as AnyBlock;
  }

  #take(token: string): boolean {
    this.#trim();
    if (!this.#rest.startsWith(token)) return false;
    this.#rest = this.#rest.slice(token.length);
    return true;
  }

  #trim(): void {
    this.#rest = this.#rest.trimStart();
  }

  #expected(what: string): Error {
    return misfit(wireSentences.expected(what, this.#rest));
  }
}
