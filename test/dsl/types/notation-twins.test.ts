/**
 * The type checker and `wire` read the same texts: random ones, right and wrong, are read, and what reading found (wires,
 * or a sentence) is what the compiler must find.
 */
import { type AnyBlock, type BlockLike, WeftError, wire } from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "../../support/fast-check.ts";
import { folderOf } from "./compile.ts";
import { leaves, prelude, typeOf } from "./twin-programs.ts";

/** Blocks by their names; `cast("bf16")` is no name. */
const words = leaves.filter(({ text }) => /^\w+$/.test(text) && text !== "id").map(({ text }) => text);
const vocabulary = Object.fromEntries(
  leaves.filter(({ text }) => words.includes(text)).map(({ text, block }) => [text, block as BlockLike]),
);

/** A text as its words and marks. */
type Tokens = readonly string[];
const { chain } = fc.letrec<{ chain: Tokens; atom: Tokens }>((tie) => ({
  chain: fc.array(tie("atom"), { minLength: 1, maxLength: 3 }).map((all) => joined(all, "->>")),
  atom: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc
      .constantFrom(...words, "id", "norm", "norm", "silu", "silu", "silu", "silu", "silu")
      .map((word): Tokens => [word]),
    fc
      .tuple(
        fc.constantFrom("(", "(", "split(", "parallel("),
        fc.array(tie("chain"), { minLength: 1, maxLength: 3 }),
      )
      .map(([open, all]): Tokens => [open, ...joined(all, "|"), ")"]),
    fc
      .tuple(fc.constantFrom("residual(", "stage(label,", "("), tie("chain"))
      .map(([open, inner]): Tokens => [open, ...inner, ")"]),
    tie("atom").map((inner): Tokens => ["model.mlp:", ...inner]),
    fc
      .tuple(
        fc.constantFrom(["h[0..1]:", "x2"], ["h[0..9]:", "x10"], ["h[0]:", "x1"]),
        fc.constantFrom("norm", "norm", "silu", "silu", "silu", "up"),
      )
      .map(([[range, times], inner]): Tokens => [range!, "(", inner, ")", times!]),
  ),
}));

const joined = (all: readonly Tokens[], between: string): Tokens =>
  all.flatMap((one, at) => (at === 0 ? one : [between, ...one]));

/** What a slip of the hand does: a word or mark left out, or one too many. */
const slip = fc.option(
  fc.record({
    at: fc.nat({ max: 30 }),
    leaveOut: fc.boolean(),
    extra: fc.constantFrom("(", ")", "|", "->>", "oops", "x3", "residual(", "split(", "silu"),
  }),
  { freq: 2 },
);

const text = fc.tuple(chain, slip, fc.infiniteStream(fc.boolean())).map(([tokens, mistake, spaces]) => {
  const all = [...tokens];
  if (mistake !== null)
    all.splice(
      mistake.at % (all.length + 1),
      mistake.leaveOut ? 1 : 0,
      ...(mistake.leaveOut ? [] : [mistake.extra]),
    );
  return all.reduce((written, token) => {
    const apart = /[\w:,]$/.test(written) && /^\w/.test(token);
    return `${written}${written !== "" && (apart || spaces.next().value === true) ? " " : ""}${token}`;
  }, "");
});

interface Outcome {
  readonly text: string;
  readonly block?: AnyBlock;
  readonly sentence?: string;
}

function read(one: string): Outcome {
  try {
    return { text: one, block: wire(one, vocabulary) };
  } catch (error) {
    assert.instance(error, WeftError, String(error));
    const [problem] = (error as WeftError).problems;
    assert.match(problem.excerpt ?? "", /\n *\^$/, one);
    return { text: one, sentence: `${problem.source}: ${problem.requirement}` };
  }
}

// That an axis stands twice depends on values only; a text that is too long is cut short in a message.
const outcomes = [...new Set(fc.sample(text, { seed: 11, numRuns: 500 }))]
  .filter((one) => one.length < 110)
  .map(read)
  .filter(({ sentence = "" }) => !sentence.includes("each axis once") && sentence.length < 200);

const cases = new Map(outcomes.map((outcome, index) => [`text${index}`, outcome]));
const imports = `import { type Anything, type Block, type Bools, type Ints, less, mul, silu, wire } from "@weft/dsl";
import { embed, type Equal, k, lerp, norm, o, q, turn, up, weights } from "./prelude.ts";
const blocks = { ${words.join(", ")} };`;
const programs = new Map<string, string>([["prelude", prelude]]);
for (const [name, { text, block }] of cases) {
  const built = `${imports}\nexport const built = wire(${JSON.stringify(text)}, blocks);\n`;
  const check =
    block === undefined
      ? ""
      : `export const check: Equal<typeof built, Block<${typeOf(block.input)}, ${typeOf(block.output)}>> = true;\n`;
  programs.set(name, built + check);
}

const test = suite("types: twins of the notation");

test("there are enough of both kinds, and of every kind of mistake", () => {
  assert.ok(outcomes.filter((one) => one.block !== undefined).length >= 60);
  const sentences = outcomes.flatMap(({ sentence }) => sentence ?? []);
  assert.ok(sentences.length >= 80);
  for (const part of [
    "chain: ",
    "parallel: ",
    "residual: ",
    "repeat: ",
    "takes one block",
    "no block is called",
    "followed by x",
    "| or )",
    "a block before",
    "the end before",
  ]) {
    assert.ok(
      sentences.some((one) => one.includes(part)),
      part,
    );
  }
});

test("the compiler finds what reading found", () => {
  const folder = folderOf(programs);
  const differences: string[] = [];
  try {
    for (const [name, messages] of folder.compile().errors) {
      const { text, sentence } = cases.get(name) ?? { text: name };
      const right =
        sentence === undefined
          ? messages.length === 0
          : messages.length === 1 && messages[0]!.includes(JSON.stringify(sentence));
      if (!right)
        differences.push(`${text}\n  read: ${sentence ?? "a block"}\n  compiled: ${messages.join("\n")}`);
    }
  } finally {
    folder.remove();
  }
  assert.is(differences.join("\n"), "");
});

test.run();
