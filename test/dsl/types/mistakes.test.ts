/**
 * Each mistake is one line at the argument that does not fit, and the same sentence when the block is built. The
 * programs are compiled and then run.
 */
import { WeftError } from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { folderOf } from "./compile.ts";

interface Mistake {
  readonly name: string;
  readonly program: string;
  /** The type of the argument, as the compiler prints it. */
  readonly argument: string;
  readonly sentence: string;
  /** Of a text in notation: its line, and the caret under the spot. */
  readonly excerpt?: readonly [string, string];
}

const mistakes: readonly Mistake[] = [
  {
    name: "wrong-axis-in-a-chain",
    program: `chain(linear("up", hidden, intermediate), rmsNorm("norm", hidden, 1e-6))`,
    argument: `Block<["hidden"], ["hidden"]>`,
    sentence: "chain: left side produces [..., intermediate], right side expects [..., hidden]",
  },
  {
    name: "wrong-axis-deep-in-a-chain",
    program: `chain(q, rope(headDim, 1e6), linear("o", [kvHeads, headDim], hidden), silu)`,
    argument: `Block<["kvHeads", "headDim"], ["hidden"]>`,
    sentence: "chain: left side produces [..., heads, headDim], right side expects [..., kvHeads, headDim]",
  },
  {
    name: "axes-in-the-wrong-order",
    program: `chain(q, linear("o", [headDim, heads], hidden))`,
    argument: `Block<["headDim", "heads"], ["hidden"]>`,
    sentence: "chain: left side produces [..., heads, headDim], right side expects [..., headDim, heads]",
  },
  {
    name: "too-few-parts-in-split",
    program: `chain(parallel(q, k, v), split(silu, silu))`,
    argument: `Block<[["...0"], ["...1"]], [["...0"], ["...1"]]>`,
    sentence:
      "chain: left side produces ([..., heads, headDim], [..., kvHeads, headDim], [..., kvHeads, headDim]), right side expects ([...], [...])",
  },
  {
    name: "too-many-parts-in-split",
    program: `chain(parallel(q, k), split(silu, silu, silu))`,
    argument: `Block<[["...0"], ["...1"], ["...2"]], [["...0"], ["...1"], ["...2"]]>`,
    sentence:
      "chain: left side produces ([..., heads, headDim], [..., kvHeads, headDim]), right side expects ([...], [...], [...])",
  },
  {
    name: "first-of-three",
    program: `chain(parallel(q, k, v), first(silu))`,
    argument: `Block<[[], Anything<"">], [[], Anything<"">]>`,
    sentence:
      "chain: left side produces ([..., heads, headDim], [..., kvHeads, headDim], [..., kvHeads, headDim]), right side expects ([...], anything)",
  },
  {
    name: "wrong-axis-in-second",
    program: `chain(parallel(q, k), second(rmsNorm("norm", hidden, 1e-6)))`,
    argument: `Block<[Anything<"">, ["hidden"]], [Anything<"">, ["hidden"]]>`,
    sentence:
      "chain: left side produces ([..., heads, headDim], [..., kvHeads, headDim]), right side expects (anything, [..., hidden])",
  },
  {
    name: "wrong-arity-of-merge",
    program: `chain(parallel(q, k, v), merge(mul))`,
    argument: `Block<[[], []], []>`,
    sentence:
      "chain: left side produces ([..., heads, headDim], [..., kvHeads, headDim], [..., kvHeads, headDim]), right side expects ([...], [...])",
  },
  {
    name: "merge-of-different-leads",
    program: `chain(parallel(q, k), merge(mul))`,
    argument: `Block<[[], []], []>`,
    sentence:
      "chain: left side produces ([..., heads, headDim], [..., kvHeads, headDim]), right side expects ([...], [...])",
  },
  {
    name: "tuple-into-one",
    program: `chain(parallel(q, k), silu)`,
    argument: `Block<[], []>`,
    sentence:
      "chain: left side produces ([..., heads, headDim], [..., kvHeads, headDim]), right side expects [...]",
  },
  {
    name: "a-pair-of-anything-into-one",
    program: `chain(first(id), linear("up", hidden, intermediate))`,
    argument: `Block<["hidden"], ["intermediate"]>`,
    sentence: "chain: left side produces (anything, anything), right side expects [..., hidden]",
  },
  {
    name: "merge-of-one-wire",
    program: `merge(silu)`,
    argument: `Block<[], []>`,
    sentence: "merge: the block must take a tuple of wires, this one takes [...]",
  },
  {
    name: "merge-into-a-tuple",
    program: `merge(split(silu, silu))`,
    argument: `Block<[["...0"], ["...1"]], [["...0"], ["...1"]]>`,
    sentence: "merge: the block must give one wire, this one gives ([...], [...])",
  },
  {
    name: "branches-that-differ",
    program: `parallel(linear("a", hidden, heads), linear("b", intermediate, heads))`,
    argument: `Block<["intermediate"], ["heads"]>`,
    sentence: "parallel: the branches before expect [..., hidden], this branch expects [..., intermediate]",
  },
  {
    name: "residual-that-changes-its-wire",
    program: `residual(linear("up", hidden, intermediate))`,
    argument: `Block<["hidden"], ["intermediate"]>`,
    sentence:
      "residual: the block must give what it takes, this one takes [..., hidden] and gives [..., intermediate]",
  },
  {
    name: "residual-of-tokens",
    program: `residual(embed)`,
    argument: `Block<Ints<[]>, ["hidden"]>`,
    sentence: "residual: the block must take one float tensor, this one takes int [...]",
  },
  {
    name: "repeat-that-changes-its-wire",
    program: `repeat("layers", 2, () => linear("up", hidden, intermediate))`,
    argument: `Block<["hidden"], ["intermediate"]>`,
    sentence:
      "repeat: the block must give what it takes, this one takes [..., hidden] and gives [..., intermediate]",
  },
  {
    name: "float-into-int",
    program: `chain(linear("up", hidden, intermediate), embed)`,
    argument: `Block<Ints<[]>, ["hidden"]>`,
    sentence: "chain: left side produces [..., intermediate], right side expects int [...]",
  },
  {
    name: "bool-into-float",
    program: `chain(less, silu)`,
    argument: `Block<[], []>`,
    sentence: "chain: left side produces bool [...], right side expects [...]",
  },
  {
    name: "the-method-to",
    program: `q.to(linear("o", hidden, hidden))`,
    argument: `Block<["hidden"], ["hidden"]>`,
    sentence: "chain: left side produces [..., heads, headDim], right side expects [..., hidden]",
  },
  {
    name: "notation-of-an-unknown-name",
    program: `wire("q ->> turn ->> oo", { q, turn: rope(headDim, 1e6) })`,
    argument: `"q ->> turn ->> oo"`,
    sentence: "wire: no block is called oo",
    excerpt: [`q ->> turn ->> oo`, "               ^"],
  },
  {
    name: "notation-of-wires-that-do-not-fit",
    program: `wire("embed ->> (q | k) ->> mul", { embed, q, k, mul })`,
    argument: `"embed ->> (q | k) ->> mul"`,
    sentence:
      "chain: left side produces ([..., heads, headDim], [..., kvHeads, headDim]), right side expects ([...], [...])",
    excerpt: [`embed ->> (q | k) ->> mul`, "                      ^"],
  },
  {
    name: "notation-of-a-residual-that-changes-its-wire",
    program: `wire("embed ->> residual(q)", { embed, q })`,
    argument: `"embed ->> residual(q)"`,
    sentence:
      "residual: the block must give what it takes, this one takes [..., hidden] and gives [..., heads, headDim]",
    excerpt: [`embed ->> residual(q)`, "                   ^"],
  },
  {
    name: "notation-without-its-end",
    program: `wire("embed ->> (q | k", { embed, q, k })`,
    argument: `"embed ->> (q | k"`,
    sentence: "wire: expected | or ) before ''",
    excerpt: [`embed ->> (q | k`, "                ^"],
  },
  {
    name: "notation-without-an-arrow",
    program: `wire("embed q", { embed, q })`,
    argument: `"embed q"`,
    sentence: "wire: expected ->> or the end before 'q'",
    excerpt: [`embed q`, "      ^"],
  },
  {
    name: "notation-with-nothing-between",
    program: `wire("embed ->> ()", { embed, q })`,
    argument: `"embed ->> ()"`,
    sentence: "wire: expected a block before ')'",
    excerpt: [`embed ->> ()`, "           ^"],
  },
  {
    name: "notation-with-two-in-a-residual",
    program: `wire("residual(silu | silu)", { silu })`,
    argument: `"residual(silu | silu)"`,
    sentence: "wire: residual takes one block, without |",
    excerpt: [`residual(silu | silu)`, "                ^"],
  },
  {
    name: "notation-with-a-bracket-too-many",
    program: `wire("embed ->> (q | k))", { embed, q, k })`,
    argument: `"embed ->> (q | k))"`,
    sentence: "wire: expected ->> or the end before ')'",
    excerpt: ["embed ->> (q | k))", "                 ^"],
  },
  {
    name: "notation-with-a-bracket-behind-a-name",
    program: `wire("embed ->> q(k", { embed, q, k })`,
    argument: `"embed ->> q(k"`,
    sentence: "wire: expected ->> or the end before '(k'",
    excerpt: ["embed ->> q(k", "           ^"],
  },
  {
    name: "notation-of-branches-that-differ",
    program: `wire("embed ->> (q | turn ->> o)", { embed, q, turn: rope(headDim, 1e6), o: linear("o", [heads, headDim], hidden) })`,
    argument: `"embed ->> (q | turn ->> o)"`,
    sentence: "parallel: the branches before expect [..., hidden], this branch expects [..., heads, headDim]",
    excerpt: ["embed ->> (q | turn ->> o)", "               ^"],
  },
  {
    name: "notation-with-another-count",
    program: `wire("embed ->> h[0..9]: (silu) x9 ->> q", { embed, silu, q })`,
    argument: `"embed ->> h[0..9]: (silu) x9 ->> q"`,
    sentence: "wire: h[0..9] must be followed by x10",
    excerpt: ["embed ->> h[0..9]: (silu) x9 ->> q", "                          ^"],
  },
  {
    name: "notation-of-layers-without-numbers",
    program: `wire("h[all]: (silu)", { silu })`,
    argument: `"h[all]: (silu)"`,
    sentence:
      "wire: layers are listed as prefix[0..last], or go on where those before them end; h[all] does neither",
    excerpt: ["h[all]: (silu)", "^"],
  },
  {
    name: "notation-of-a-repeat-that-changes-its-wire",
    program: `wire("embed ->> h[0..1]: (q) x2", { embed, q })`,
    argument: `"embed ->> h[0..1]: (q) x2"`,
    sentence:
      "repeat: the block must give what it takes, this one takes [..., hidden] and gives [..., heads, headDim]",
    excerpt: ["embed ->> h[0..1]: (q) x2", "                   ^"],
  },
  {
    name: "notation-of-a-stage-without-a-label",
    program: `wire("stage(silu ->> silu)", { silu })`,
    argument: `"stage(silu ->> silu)"`,
    sentence: "wire: expected a label and a block before 'silu ->> silu)'",
    excerpt: ["stage(silu ->> silu)", "      ^"],
  },
  {
    name: "apply-to-a-value-of-other-axes",
    program: `apply(q, input("x", [seq, intermediate]))`,
    argument: `Value<["seq", "intermediate"]>`,
    sentence: "apply: the value is [seq, intermediate], the block expects [..., hidden]",
  },
  {
    name: "apply-floats-to-tokens",
    program: `apply(embed, input("tokens", seq))`,
    argument: `Value<["seq"]>`,
    sentence: "apply: the value is [seq], the block expects int [...]",
  },
];

const prelude = `
import * as dsl from "@weft/dsl";
const { apply, axis, chain, embedding, first, id, input, less, linear, merge, mul, parallel, repeat } = dsl;
const { residual, rmsNorm, rope, second, silu, split, wire } = dsl;
const hidden = axis("hidden", 64);
const intermediate = axis("intermediate", 128);
const heads = axis("heads", 4);
const kvHeads = axis("kvHeads", 2);
const headDim = axis("headDim", 16);
const seq = axis("seq", { symbol: "seq", max: 8 });
const q = linear("q", hidden, [heads, headDim]);
const k = linear("k", hidden, [kvHeads, headDim]);
const v = linear("v", hidden, [kvHeads, headDim]);
const embed = embedding("embed", axis("vocab", 256), hidden);
`;

const programs = new Map(
  mistakes.map((one) => [one.name, `${prelude}export default () => ${one.program};\n`]),
);
const folder = folderOf(programs);
const test = suite("types: mistakes");
let errors: ReadonlyMap<string, readonly string[]> = new Map();

test.before(() => {
  errors = folder.compile().errors;
});
test.after(() => folder.remove());

for (const { name, argument, sentence, excerpt } of mistakes) {
  test(`${name}: one line at compile time`, () => {
    const [message, ...rest] = errors.get(name) ?? [];
    assert.equal(rest, [], "the error has one line");
    assert.ok(
      [
        `Argument of type '${argument}' is not assignable to parameter of type '"${sentence}"'.`,
        `Type '${argument}' is not assignable to type '"${sentence}"'.`,
      ].includes(message ?? ""),
      `expected ${argument} against "${sentence}", got: ${message}`,
    );
  });

  test(`${name}: the same sentence at run time`, async () => {
    const program = await folder.load(name);
    try {
      program.default();
    } catch (error) {
      assert.instance(error, WeftError);
      const [problem] = (error as WeftError).problems;
      assert.is(`${problem.source}: ${problem.requirement}`, sentence);
      assert.is(problem.excerpt, excerpt?.map((line) => `  ${line}`).join("\n"));
      assert.match(problem.location ?? "", new RegExp(`${name}\\.ts:\\d+:\\d+$`));
      return;
    }
    assert.unreachable("the block was built");
  });
}

test("no mistake anywhere else", () => {
  assert.equal([...errors.keys()].sort(), [...programs.keys()].sort());
});

test.run();
