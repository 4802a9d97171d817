/**
 * The type checker and the constructors solve the same equations: random programs are built, and what building found
 * (wires, or a sentence) is what the compiler must find.
 */
import {
  type AnyBlock,
  type BlockLike,
  chain,
  first,
  merge,
  parallel,
  repeat,
  residual,
  second,
  split,
  type WeftError,
} from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "../../support/fast-check.ts";
import { folderOf } from "./compile.ts";
import { leaves, type Program, prelude, typeOf } from "./twin-programs.ts";

type Combinator = (...blocks: readonly AnyBlock[]) => BlockLike;
const combinators: Readonly<
  Record<string, { readonly from: number; readonly to: number; readonly build: Combinator }>
> = {
  chain: { from: 2, to: 3, build: chain as unknown as Combinator },
  parallel: { from: 1, to: 3, build: parallel as unknown as Combinator },
  split: { from: 1, to: 3, build: split as unknown as Combinator },
  first: { from: 1, to: 1, build: first as unknown as Combinator },
  second: { from: 1, to: 1, build: second as unknown as Combinator },
  merge: { from: 1, to: 1, build: merge as unknown as Combinator },
  residual: { from: 1, to: 1, build: residual as unknown as Combinator },
};

interface Outcome {
  readonly text: string;
  readonly block?: AnyBlock;
  readonly sentence?: string;
}

function attempt(name: string, parts: readonly Program[]): Outcome {
  const text = `${name}(${parts.map((one) => one.text).join(", ")})`;
  try {
    return { text, block: combinators[name]!.build(...parts.map((one) => one.block)) };
  } catch (error) {
    const [problem] = (error as WeftError).problems;
    return { text, sentence: `${problem.source}: ${problem.requirement}` };
  }
}

/** Random outcomes: parts are programs that are right, the whole may be wrong. */
function outcomes(count: number, seed: number): readonly Outcome[] {
  const known: Program[] = [...leaves];
  const found = new Map<string, Outcome>();
  const draw = fc.sample(fc.tuple(fc.nat(), fc.nat(), fc.array(fc.nat(), { minLength: 3, maxLength: 3 })), {
    seed,
    numRuns: count,
  });
  const names = Object.keys(combinators);
  for (const [which, length, picks] of draw) {
    // Chains are where wires meet.
    const name = which % 2 === 0 ? "chain" : names[which % names.length]!;
    const { from, to } = combinators[name]!;
    const parts = picks
      .slice(0, from + (length % (to - from + 1)))
      .map((pick) => known[pick % known.length]!);
    const outcome = attempt(name, parts);
    // A text that grows past this is too long to read in a failure.
    if (outcome.text.length > 120 || found.has(outcome.text)) continue;
    // That an axis stands twice depends on values only.
    if (outcome.sentence?.includes("each axis once")) continue;
    found.set(outcome.text, outcome);
    if (outcome.block !== undefined) known.push({ text: outcome.text, block: outcome.block });
  }
  return [...found.values()];
}

const cases = new Map(outcomes(260, 7).map((outcome, index) => [`program${index}`, outcome]));
const programs = new Map<string, string>([["prelude", prelude]]);
for (const [name, { text, block }] of cases) {
  const check =
    block === undefined
      ? `export const built = ${text};`
      : `const built = ${text};\nexport const check: Equal<typeof built, Block<${typeOf(block.input)}, ${typeOf(block.output)}>> = true;`;
  const imports = `import { type Anything, type Block, type Bools, type Ints, cast, chain, first, id, less, merge, mul, parallel, residual, second, silu, split } from "@weft/dsl";
import { embed, type Equal, k, lerp, norm, o, q, turn, up, weights } from "./prelude.ts";`;
  programs.set(name, `${imports}\n${check}\n`);
}

const test = suite("types: twins");

test("there are enough of both kinds", () => {
  const all = [...cases.values()];
  assert.ok(all.filter((one) => one.block !== undefined).length >= 50);
  assert.ok(all.filter((one) => one.sentence !== undefined).length >= 50);
});

test("the compiler finds what building found", () => {
  const folder = folderOf(programs);
  const differences: string[] = [];
  try {
    for (const [name, messages] of folder.compile().errors) {
      const outcome = cases.get(name);
      const expected = outcome?.sentence;
      const right =
        expected === undefined
          ? messages.length === 0
          : messages.length === 1 && messages[0]!.includes(`"${expected}"`);
      if (!right)
        differences.push(
          `${outcome?.text}\n  built: ${expected ?? "a block"}\n  compiled: ${messages.join("\n")}`,
        );
    }
  } finally {
    folder.remove();
  }
  assert.is(differences.join("\n"), "");
});

test("repeat agrees as well", () => {
  const build = () =>
    (repeat as unknown as (...values: unknown[]) => unknown)("layers", 1, () => leaves[3]!.block);
  assert.throws(build, /repeat\] the block must give what it takes/);
});

test.run();
