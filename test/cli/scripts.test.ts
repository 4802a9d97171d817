/** TARGETs that are scripts of somebody's own: what they throw, end, wait for or hand over is told in a sentence. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Outcome, weft, weftProcess, withFolder } from "./command.ts";

const onFile = (text: string, argv: readonly string[] = []): Promise<Outcome> =>
  withFolder((folder) => {
    const file = join(folder, "target.ts");
    writeFileSync(file, text);
    return weft("dump", file, ...argv);
  });

/** For scripts that end the process that they are loaded in. */
const processOn = (text: string): Promise<Outcome> =>
  withFolder((folder) => {
    const file = join(folder, "target.ts");
    writeFileSync(file, text);
    return weftProcess(["dump", file]);
  });

const thrown: readonly (readonly [what: string, text: string, message: RegExp])[] = [
  [
    "an error with its cause",
    'throw new Error("outer", { cause: new TypeError("inner") });\nexport {};',
    /target\.ts threw an error:\nError: outer\n {4}at .*target\.ts:1:7\)?\ncaused by TypeError: inner\n/,
  ],
  [
    "a rejected await",
    "export default await Promise.reject(new RangeError('late'));",
    /RangeError: late\n {4}at .*target\.ts:1/,
  ],
  [
    "a rejection that nobody waits for",
    "void Promise.reject(new Error('alone'));\nexport default 3;",
    /threw an error:\nError: alone\n {4}at .*target\.ts:1/,
  ],
  [
    "an error of a later turn",
    "setTimeout(() => { throw new Error('turn'); }, 1);\nawait new Promise((resolve) => setTimeout(resolve, 50));\nexport default 3;",
    /threw an error:\nError: turn\n {4}at .*target\.ts:1/,
  ],
  ["a text", 'throw "no error";\nexport {};', /threw an error:\n'no error'\n$/],
  ["an object", "throw { code: 3 };\nexport {};", /threw an error:\n\{ code: 3 \}\n$/],
  ["nothing", "throw undefined;\nexport {};", /threw an error:\nundefined\n$/],
  [
    "a package that is not there",
    'import x from "no-such-package";\nexport default x;',
    /Cannot find package 'no-such-package' imported from .*target\.ts/,
  ],
  ["what is no TypeScript", "export default (;", /target\.ts:1:16: ERROR: Unexpected ";"/],
];

for (const [what, text, message] of thrown) {
  test(`thrown: ${what}`, async () => {
    const { code, stdout, stderr } = await onFile(text);
    assert.is(code, 1);
    assert.is(stdout, "");
    assert.match(stderr, message);
    assert.not.match(stderr, /packages\/cli|node:internal|internal:/);
  });
}

const exported: readonly (readonly [text: string, message: RegExp])[] = [
  [
    "export default Promise.resolve(3);",
    /given default \(a promise\); export what the promise gives: `export default await \.\.\.`/,
  ],
  ["export default class Model {}", /given default \(a class\); add `export default` before the block/],
  ["export default async () => 3;", /given default \(a function\); call the function in the file/],
  ["export const [a, b] = [null, [1]];", /given a \(null\), b \(an array\); add `export default`/],
  ["", /given no exports/],
];

for (const [text, message] of exported) {
  test(`exported: ${text}`, async () => {
    const { code, stderr } = await onFile(text);
    assert.is(code, 2);
    assert.match(stderr, message);
  });
}

test("types are the editor's business: what runs is taken", async () => {
  const { code, stdout } = await onFile(
    'import { silu } from "@weft/dsl";\nexport const width: number = "none";\nexport default silu;',
  );
  assert.is(code, 0);
  assert.is(stdout, "silu\n");
});

test("a script that ends the process does not end the command as if all were well", async () => {
  const { code, stdout, stderr } = await processOn("process.exit(0);\nexport default 3;");
  assert.is(code, 2);
  assert.is(stdout, "");
  assert.match(
    stderr,
    /^\[TARGET\] the file must not end the process while it is loaded; given exit code 0; at .*target\.ts; export the block, and leave process\.exit out\n$/,
  );
});

test("a script that waits for what never comes is told so", async () => {
  const { code, stderr } = await processOn("await new Promise(() => {});\nexport default 3;");
  assert.is(code, 2);
  assert.match(
    stderr,
    /^\[TARGET\] the file must come to its end when it is loaded; given an await of something/,
  );
});

test("Ctrl-C ends a script that never ends", () =>
  withFolder(async (folder) => {
    const [file, begun] = [join(folder, "target.ts"), join(folder, "begun")];
    writeFileSync(
      file,
      `import { writeFileSync } from "node:fs";\nwriteFileSync(${JSON.stringify(begun)}, "");\nwhile (true) {}\nexport {};`,
    );
    const { existsSync } = await import("node:fs");
    let timer: ReturnType<typeof setInterval> | undefined;
    const started = performance.now();
    await weftProcess(["dump", file], {
      onStart: (kill) => {
        timer = setInterval(() => {
          if (existsSync(begun)) kill("SIGINT");
        }, 50);
      },
    }).finally(() => clearInterval(timer));
    assert.ok(performance.now() - started < 60_000);
  }));

const builder = `import { axis, GraphBuilder } from "@weft/dsl";
const builder = new GraphBuilder();
const axes = [axis("seq", 4)];
const x = builder.add("input", [], { name: "x", dtype: "f32", axes });
const y = builder.add("exp", [builder.add("tanh", [x], {})], {});
const graph = JSON.parse(JSON.stringify(builder.finish("g", [{ name: "y", node: y }])));
`;

const made: readonly (readonly [what: string, change: string, message: RegExp])[] = [
  ["a cycle", "graph.nodes[1].inputs = [2];", /\[tanh\] must not depend on itself: %1 reads %2 reads %1/],
  [
    "a node that reads itself",
    "graph.nodes[1].inputs = [1];",
    /\[tanh\] must not depend on itself: %1 reads %1/,
  ],
  [
    "a node that is not there",
    "graph.nodes[1].inputs = [7];",
    /\[tanh\] reads %7, which must exist; there are 3 nodes/,
  ],
  ["an id twice", "graph.nodes[2].id = 1;", /a node's id must be its index, 2, not 1/],
  ["another type", "graph.nodes[1].type.dtype = 'i32';", /the type must be f32\[seq=4\]; given i32\[seq=4\]/],
  ["a hole", "delete graph.nodes[1];", /node 1 must be an object, not undefined/],
  [
    "no number",
    "graph.nodes[0].attributes.axes[0].size = NaN;",
    /size must be an integer of at least 1, not NaN/,
  ],
  [
    "lists that are missing",
    "delete graph.states; delete graph.symbols;",
    /the graph's symbols must be a list.*\n.*the graph's states must be a list/,
  ],
  [
    "a getter that throws",
    "Object.defineProperty(graph.nodes[1], 'inputs', { get() { throw new Error('mine'); } });",
    /the graph must be plain data that can be read; given Error: mine/,
  ],
  [
    "more bytes than there are numbers",
    "for (const one of [...graph.nodes, { type: graph.nodes[0].attributes }]) (one.type ?? one).axes = [{ name: 'a', size: 2 ** 50 }, { name: 'b', size: 2 ** 50 }];",
    /\[emit\] a value must take less than 2\^53 bytes; given f32\[1125899906842624, 1125899906842624\]/,
  ],
];

for (const [what, change, message] of made) {
  test(`a graph made by hand, with ${what}`, async () => {
    const { code, stderr } = await onFile(`${builder}${change}\nexport default graph;`, ["--stage", "plan"]);
    assert.is(code, 2);
    assert.match(stderr, message);
    if (!stderr.startsWith("[emit]")) assert.match(stderr, /target\.ts, export default/);
    assert.not.match(stderr, /\n\s+at /);
  });
}

test.run();
