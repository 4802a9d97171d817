/** What an editor shows of texts in `->>` notation: types on hover, and one sentence under the text that is wrong. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { folderOf } from "./compile.ts";
import { LanguageServer } from "./language-server.ts";

const test = suite("types: in the editor");

const program = `import { attend, axis, linear, mul, rmsNorm, rope, silu, wire } from "@weft/dsl";

const [hidden, wide] = [axis("hidden", 64), axis("wide", 128)];
const [heads, kvHeads, headDim] = [axis("heads", 4), axis("kvHeads", 2), axis("headDim", 16)];
const norm = rmsNorm("norm", hidden, 1e-6);
const q = linear("q", hidden, [heads, headDim]);
const k = linear("k", hidden, [kvHeads, headDim]);
const v = linear("v", hidden, [kvHeads, headDim]);
const o = linear("o", [heads, headDim], hidden);
const [up, down] = [linear("up", hidden, wide), linear("down", wide, hidden)];
const parts = { norm, q, k, v, o, up, down, turn: rope(headDim, 1e6), attend: attend({ heads, kvHeads, headDim, causal: true }), silu, mul };

const heads4 = wire("norm ->> (q ->> turn | k ->> turn | v)", parts);
const layers = wire("h[0..35]: (residual(norm ->> (q ->> turn | k ->> turn | v) ->> attend ->> o) ->> residual(norm ->> up ->> silu ->> down)) x36", parts);
`;

/** A mistake in a text, and the sentence that the type checker gives for it. */
const mistakes: Readonly<Record<string, readonly [text: string, sentence: string]>> = {
  unknown: ["norm ->> (q | kk | v)", "wire: no block is called kk"],
  misfit: ["up ->> norm", "chain: left side produces [..., wide], right side expects [..., hidden]"],
  bracket: ["norm ->> (q | k", "wire: expected | or ) before ''"],
  residual: [
    "residual(norm ->> up)",
    "residual: the block must give what it takes, this one takes [..., hidden] and gives [..., wide]",
  ],
  // In the last of 36 layers of one text.
  late: [
    `${"residual(norm ->> up ->> silu ->> down) ->> ".repeat(35)}residual(norm ->> up ->> silu ->> don)`,
    "wire: no block is called don",
  ],
};

const files = new Map([
  ["right", program],
  ...Object.entries(mistakes).map(([name, [text]]): [string, string] => [
    name,
    `${program}\nconst wrong = wire("${text}", parts);\n`,
  ]),
]);
const folder = folderOf(files);
let server: LanguageServer;

test.before(async () => {
  server = await LanguageServer.start(folder.path);
  for (const [name, text] of files) server.open(name, text);
});
test.after(async () => {
  await server.stop();
  folder.remove();
});

test("a block shows its wires, whatever text it was made of", async () => {
  assert.equal(await server.diagnostics("right", program), []);
  const hover = (word: string) => server.hover("right", program, word);
  assert.match(
    await hover("heads4"),
    'const heads4: Block<["hidden"], [["heads", "headDim"], ["kvHeads", "headDim"], ["kvHeads", "headDim"]]>',
  );
  assert.match(await hover("layers"), 'const layers: Block<["hidden"], ["hidden"]>');
  assert.match(await hover("up,"), 'const up: Block<["hidden"], ["wide"]>');
});

test("`wire` shows what it does and an example", async () => {
  const shown = await server.hover("right", program, "wire(");
  assert.match(shown, "The block that a text in `->>` notation describes, with its types");
  assert.match(shown, "norm ->> (gate ->> silu | up) ->> mul ->> down");
});

for (const [name, [text, sentence]] of Object.entries(mistakes)) {
  test(`${name}: the text is underlined, with one sentence`, async () => {
    const [found, ...others] = await server.diagnostics(name, files.get(name)!);
    assert.equal(others, []);
    assert.is(found!.text, JSON.stringify(text));
    // The checker cuts a long text short, but not what it says of it.
    const [given, said] = found!.message.split(" is not assignable to ");
    assert.ok(given!.startsWith(`Argument of type '${JSON.stringify(text).slice(0, 100)}`), given);
    assert.is(said, `parameter of type '"${sentence}"'.`);
  });
}

test.run();
