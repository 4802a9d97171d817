/** Commands that look at a TARGET without running it: summary, dump, explain, memory, doctor. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { graphFromJson, orThrow, parseGraph } from "@weft/dsl";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { folderOf } from "../dsl/types/compile.ts";
import { fixtures } from "../support/models.ts";
import { type Outcome, root, tied, tiny, weft, withFolder } from "./command.ts";

const block = join(root, "examples/custom-block.ts");

test("summary counts parameters and bytes as the checkpoint stores them", async () => {
  const { code, stdout } = await weft("summary", tiny);
  assert.is(code, 0);
  assert.match(stdout, /model\.layers\[0\.\.1\]\.self_attn\.q_proj +linear/);
  const whole = JSON.parse((await weft("summary", tiny, "--json")).stdout);
  assert.is(whole.parameters, 115072);
  assert.is(whole.bytes, 4 * 115072);
  // A tied head is no further parameter, and bf16 takes two bytes.
  const shared = JSON.parse((await weft("summary", tied, "--json", "--no-fold")).stdout);
  assert.is(shared.parameters, 115072 - 320 * 64);
  assert.is(shared.bytes, 2 * shared.parameters);
  assert.is(shared.rows.filter((row: { operation: string }) => row.operation === "attend").length, 2);
});

test("summary of a file's block and of a file's graph", async () => {
  const { code, stdout } = await weft("summary", block);
  assert.is(code, 0);
  assert.match(stdout, /softcap/);
  await withFolder(async (folder) => {
    const file = join(folder, "graph.ts");
    writeFileSync(
      file,
      `import { expandBlock } from "@weft/compiler";
import { axis, linear } from "@weft/dsl";
const up = linear("up", axis("a", 4), axis("b", 8));
export default expandBlock(up, { name: "up", lead: [axis("seq", { symbol: "seq", max: 16 })] });`,
    );
    const graph = JSON.parse((await weft("summary", file, "--json")).stdout);
    assert.is(graph.parameters, 32);
    assert.match((await weft("dump", file, "--stage", "graph")).stdout, /linear\(%0, %1\)/);
    assert.match((await weft("dump", file)).stderr, /\[--stage\] expr needs a block/);
  });
});

test("dump prints the block in ->> notation", async () => {
  const { code, stdout } = await weft("dump", tiny);
  assert.is(code, 0);
  assert.match(stdout, "->> (q_proj ->> q_norm ->> rope | k_proj ->> k_norm ->> rope | v_proj)");
  assert.match(
    JSON.parse((await weft("dump", block, "--format=json")).stdout).expression,
    "->> softcap ->> down",
  );
});

test("dump of a graph reads back, as text and as JSON", async () => {
  const text = await weft("dump", block, "--stage", "graph", "--no-fold");
  assert.is(text.code, 0);
  const parsed = orThrow(parseGraph(text.stdout));
  const json = await weft("dump", block, "--stage", "graph", "--format", "json");
  assert.is(orThrow(graphFromJson(json.stdout)).nodes.length, parsed.nodes.length);
  assert.match(text.stdout, "seq=seq<=512");
  assert.match((await weft("dump", block, "--stage", "graph", "--lead=time=64")).stdout, "time=time<=64");
});

test("dump --format ts prints source that is type-checked and gives the same graph, after any pass", async () => {
  const passes = [[], ["--print-after=kvCache"], ["--print-after=simplify", "--program=decode"]];
  const sources: Outcome[] = [];
  for (const options of passes) sources.push(await weft("dump", tiny, "--format=ts", ...options));
  const programs = new Map(sources.map(({ stdout }, index) => [`graph${index}`, stdout]));
  const folder = folderOf(programs);
  try {
    assert.equal([...folder.compile().errors.values()].flat(), []);
  } finally {
    folder.remove();
  }
  assert.match(sources[0]!.stdout, 'builder.add("attend", [');
  await withFolder(async (directory) => {
    for (const [index, options] of passes.entries()) {
      const file = join(directory, `graph${index}.ts`);
      writeFileSync(file, sources[index]!.stdout);
      const again = await weft("dump", file, "--stage=graph", "--format=json");
      assert.is(again.stderr, "");
      const first = options.some((one) => one.startsWith("--program"))
        ? options
        : [...options, "--program=prefill"];
      const expected = await weft("dump", tiny, "--stage=graph", "--format=json", ...first);
      assert.is(again.stdout, expected.stdout);
    }
  });
});

test("dump prints the graph after any pass, and lists the passes for an unknown one", async () => {
  const { code, stdout } = await weft("dump", tiny, "--print-after", "kvCache", "--program", "decode");
  assert.is(code, 0);
  assert.match(stdout, "stateAppend");
  assert.not.match(stdout, "graph qwen3-prefill");
  const wrong = await weft("dump", tiny, "--print-after", "kvcahe");
  assert.is(wrong.code, 2);
  assert.match(
    wrong.stderr,
    /kvCache, lastPosition, precision, decompose, simplify; given kvcahe; did you mean kvCache\?/,
  );
});

test("dump has every stage in every form that suits it", async () => {
  const forms: Record<string, readonly string[]> = {
    graph: ["text", "json", "dot", "mermaid", "ts"],
    fused: ["text", "json"],
    plan: ["text", "json", "dot", "mermaid"],
    memory: ["text", "json"],
    kernels: ["text", "json"],
  };
  for (const [stage, formats] of Object.entries(forms)) {
    for (const format of ["text", "json", "dot", "mermaid", "ts"]) {
      const { code, stdout, stderr } = await weft("dump", tiny, "--stage", stage, "--format", format);
      if (!formats.includes(format)) {
        assert.is(code, 2, `${stage} ${format}`);
        assert.match(stderr, /^unsupported: \[--format\] /);
        continue;
      }
      assert.is(code, 0, `${stage} ${format}`);
      if (format === "json") assert.ok(JSON.parse(stdout));
      if (format === "dot") assert.match(stdout, /^digraph /);
      if (format === "mermaid") assert.match(stdout, /^flowchart /);
      if (format === "ts") assert.match(stdout, /^export default /m);
    }
  }
});

test("dump folds equal layers unless told otherwise", async () => {
  const folded = (await weft("dump", tiny, "--stage", "plan")).stdout;
  const whole = (await weft("dump", tiny, "--stage", "plan", "--no-fold")).stdout;
  assert.match(folded, / x2, \d+ steps each/);
  assert.not.match(whole, / x2, /);
  assert.ok(whole.length > folded.length);
});

test("dump --program chooses a program, and names them for an unknown one", async () => {
  const { stdout } = await weft("dump", tiny, "--stage", "kernels", "--program", "decode");
  assert.not.match(stdout, "$seq");
  const wrong = await weft("dump", tiny, "--stage", "plan", "--program", "decod");
  assert.is(wrong.code, 2);
  assert.match(
    wrong.stderr,
    /\[--program\] must be one of prefill, decode; given decod; did you mean decode\?/,
  );
});

test("explain names kernels, neighbours, buffers and refusals", async () => {
  const { code, stdout } = await weft("explain", tiny, "model.layers.0.self_attn.q_norm");
  assert.is(code, 0);
  assert.match(stdout, /in decode:\n {4}step \d+, kernel rms_norm_matmul/);
  assert.match(stdout, "model.layers.0.self_attn.q_norm.weight: 64 B of weights");
  assert.match(stdout, "passes: decompose: rmsNorm");
  const json = JSON.parse(
    (await weft("explain", tiny, "model.layers.1", "--json", "--program=decode")).stdout,
  );
  assert.equal(
    json.programs.map((one: { program: string }) => one.program),
    ["decode"],
  );
  assert.ok(json.programs[0].refusals.length > 0);
});

test("explain says why a kernel is not one with those before and behind it", async () => {
  const argv = ["explain", tiny, "model.layers.0.self_attn.o_proj", "--program=decode"];
  const { code, stdout } = await weft(...argv);
  assert.is(code, 0);
  assert.match(
    stdout,
    [
      "      begins with dot of model.layers.0.self_attn.o_proj",
      "      from step 3 (attend_3): attend of model.layers.0, f32[seq=1, heads=4, headDim=16], 256 B; for dot of model.layers.0.self_attn.o_proj",
      "        not one kernel: attention kernel: the kernel of attention takes in nothing that follows",
    ].join("\n"),
  );
  // Bytes decided that the next norm is computed by the product that reads it.
  assert.match(stdout, /mul: its value would take 256 B to store, what it is computed from is stored anyway/);
  const [{ steps }] = JSON.parse((await weft(...argv, "--json")).stdout).programs;
  assert.equal(steps[0].begins, { op: "dot", path: "model.layers.0.self_attn.o_proj" });
  const [before] = steps[0].boundaries;
  assert.equal([before.side, before.step, before.value.bytes], ["from", 3, 256]);
  assert.equal(before.reasons, [
    { rule: "attention kernel", reason: "the kernel of attention takes in nothing that follows" },
  ]);
});

test("explain says which path each linear takes, and who decided it", async () => {
  const quantized = join(root, "test/fixtures/nvfp4/compressed-tensors");
  const mlp = ["explain", quantized, "model.layers.0.mlp", "--program=decode"];
  const plain = (await weft(...mlp)).stdout;
  assert.match(
    plain,
    [
      "    linear model.layers.0.mlp.down_proj.weight: nvfp4 times rows of f32",
      "      streamed product: one row",
      "      stored as nvfp4: the checkpoint has it so (compressed-tensors)",
      "      dequantised exactly in the product: nothing asks for activations in nvfp4",
    ].join("\n"),
  );
  assert.not.match(plain, "passes: quantize");
  assert.match(
    (await weft(...mlp, "--activations=nvfp4")).stdout,
    "both sides in nvfp4: asked for by *=nvfp4",
  );
  const head = ["explain", quantized, "lm_head", "--json"];
  const json = JSON.parse((await weft(...head, "--device=cuda", "--program=prefill")).stdout);
  const [linear] = json.programs[0].linears;
  assert.is(linear.storage, "bf16");
  assert.equal(linear.reasons, ["not quantised: the checkpoint has it in F32, and no pattern asks for it"]);
});

test("explain says where products of two NVFP4 matrices are computed", async () => {
  const argv = ["explain", join(fixtures, "nvfp4/compressed-tensors"), "model.layers.0.self_attn.o_proj"];
  const lines = async (...more: string[]) => {
    const { code, stdout, stderr } = await weft(...argv, "--capacity=192", "--chunk=128", ...more);
    assert.is(code, 0, stderr);
    return stdout.split("\n").flatMap((line) => /products of two NVFP4 matrices: (.*)/.exec(line)?.[1] ?? []);
  };
  assert.equal(await lines("--device=cuda"), []);
  assert.equal(await lines("--activations=nvfp4"), [], "a CPU has no units for FP4");
  const few =
    "by the values of their codes: at most 1 row, and units for FP4 are worth their while from 128 on";
  assert.equal(await lines("--device=cuda", "--activations=nvfp4"), [
    "by the values of their codes; with --fp4 hardware in units for FP4, from 128 rows on",
    few,
  ]);
  assert.equal(await lines("--device=cuda", "--activations=nvfp4", "--fp4=hardware"), [
    "in units for FP4, from 128 rows on; fewer by the values of their codes",
    few,
  ]);
});

test("explain of a file without symbols does not say at which values", async () => {
  await withFolder(async (folder) => {
    const file = join(folder, "graph.ts");
    writeFileSync(
      file,
      `import { expandBlock } from "@weft/compiler";
import { axis, linear } from "@weft/dsl";
const up = linear("up", axis("a", 4), axis("b", 8));
export default expandBlock(up, { name: "up", lead: [] });`,
    );
    const { code, stdout, stderr } = await weft("explain", file, "up");
    assert.is(code, 0, stderr);
    assert.match(stdout, /^ +\d+ B read, \d+ B written$/m);
  });
});

test("explain of an unknown path says which was meant", async () => {
  const near = await weft("explain", tiny, "model.layers.0.self_attn.q_nrm");
  assert.is(near.code, 2);
  assert.match(near.stderr, /did you mean model\.layers\.0\.self_attn\.q_norm\?/);
  const far = await weft("explain", block, "nothing.like.it.at.all");
  assert.match(far.stderr, /paths here: norm, gate, up, down/);
});

test("memory is known before anything runs", async () => {
  const { code, stdout } = await weft("memory", tiny, "--json", "--capacity=128", "--chunk", "16");
  assert.is(code, 0);
  const report = JSON.parse(stdout);
  // Two layers, keys and values, two heads of 16, f32.
  assert.is(report.state, 2 * 2 * 128 * 2 * 16 * 4);
  assert.is(report.weights, 4 * 115072);
  assert.is(report.activations, report.activationsLowerBound);
  assert.ok(report.peak >= report.weights + report.state + report.activations);
  const narrow = JSON.parse((await weft("memory", tiny, "--json", "--capacity=128", "--dtype=bf16")).stdout);
  assert.is(narrow.state, report.state / 2);
  assert.match((await weft("memory", block, "--lead", "seq=64")).stdout, /activations .* lower bound/);
});

test("memory refuses what the model has no room for", async () => {
  const { code, stderr } = await weft("memory", tiny, "--capacity", "513");
  assert.is(code, 2);
  assert.match(stderr, /max_position_embeddings of .*config\.json, 512; given 513/);
  assert.match((await weft("memory", block, "--capacity", "16")).stderr, /\[--capacity\] must be left out/);
});

test("doctor says what is here and what will be used", async () => {
  const { code, stdout } = await weft("doctor", "--json");
  assert.is(code, 0);
  const findings = JSON.parse(stdout);
  assert.is(findings.node, process.versions.node);
  assert.equal(
    findings.devices.map((one: { name: string }) => one.name),
    ["cpu", "cuda", "cuda-sim"],
  );
  assert.is(findings.uses.device, "cpu");
  assert.is(findings.matmulLibraries[0].name, "cuBLASLt");
  // With or without a GPU: what it is, or where a driver was looked for.
  assert.match(
    (await weft("doctor")).stdout,
    /device cuda +(available: .+multiprocessors|not available: .+)[\s\S]*cuBLASLt +(available: .+libcublasLt|not available: .+tried)/,
  );
});

test("doctor names each place once, on a line of its own", async () => {
  const kept = { ...process.env };
  const set = (environment: NodeJS.ProcessEnv) => {
    for (const name of Object.keys(process.env)) delete process.env[name];
    Object.assign(process.env, environment);
  };
  await withFolder(async (folder) => {
    const library = join(folder, "no-driver.so");
    const path = ["a", "b"].map((name) => join(folder, name)).join(":");
    set({ ...kept, PATH: path, CUDA_HOME: join(folder, "toolkit"), WEFT_LIBCUDA: library });
    for (const name of ["WEFT_NVCC", "VIRTUAL_ENV"]) delete process.env[name];
    try {
      const text = (await weft("doctor")).stdout;
      const lines = text.split("\n").map((line) => line.trim());
      assert.is(text.split(library).length - 1, 1);
      // A machine with a toolkit in the usual folder has nothing to list.
      if (!/^nvcc +available/m.test(text)) {
        assert.ok(lines.includes("PATH (2 folders): nothing there"), text);
        assert.ok(lines.includes(`${join(folder, "toolkit/bin/nvcc")}: nothing there`), text);
      }
    } finally {
      set(kept);
    }
  });
});

test("dump prints the CUDA text of a plan, and its launches as JSON", async () => {
  const text = (await weft("dump", tiny, "--stage", "cuda", "--dtype", "bf16")).stdout;
  assert.match(text, /^#include "device.cuh"/);
  assert.match(text, /\/\/ of model\.layers\.\*\.input_layernorm/);
  assert.match(text, /^WEFT_KERNEL\(k\d+_attend\w*, \d+, \d+, \d+\)$/m);
  const json = await weft("dump", tiny, "--stage", "cuda", "--format", "json", "--program", "decode");
  const { programs, functions } = JSON.parse(json.stdout);
  assert.equal(
    programs.map((one: { name: string }) => one.name),
    ["decode"],
  );
  for (const { function: called } of programs[0].launches) assert.ok(called < functions.length);
  assert.is((await weft("dump", tiny, "--stage", "cuda", "--program", "decode")).code, 2);
});

test("a program that is not there is answered alike by explain", async () => {
  const { code, stderr } = await weft("explain", tiny, "model.norm", "--program=decod");
  assert.is(code, 2);
  assert.match(stderr, /^\[--program\] must be one of prefill, decode; given decod; did you mean decode\?/);
});

test("options that a stage would ignore are refused", async () => {
  const ignored: readonly (readonly [argv: readonly string[], message: RegExp])[] = [
    [
      ["dump", tiny, "--stage=plan", "--fp4=hardware"],
      /^\[--fp4\] .*CUDA kernels; given --stage plan; add --stage cuda/,
    ],
    [["dump", tiny, "--fp4=emulated"], /^\[--fp4\] .*given --stage expr/],
    [["explain", tiny, "model.norm", "--fp4=hardware"], /^\[--fp4\] must go with a GPU; given --device cpu/],
    [
      ["dump", tiny, "--program=nope"],
      /^\[--program\] is of what a block is compiled to; .* name another --stage/,
    ],
    [["dump", tiny, "--train"], /^\[--train\] is of what a block is compiled to/],
    [["dump", tiny, "--batch=2"], /^\[--batch\] goes with --train/],
    [["dump", block, "--lead=seq=4"], /^\[--lead\] is of what a block is compiled to/],
    [["dump", tiny, "--no-rescore"], /^\[--no-rescore\] is of what a block is compiled to/],
    [
      ["dump", tiny, "--stage=plan", "--format=json", "--program=decode"],
      /^\[--program\] must be left out for a plan in JSON/,
    ],
  ];
  for (const [argv, message] of ignored) {
    const { code, stdout, stderr } = await weft(...argv);
    assert.is(code, 2, argv.join(" "));
    assert.is(stdout, "");
    assert.match(stderr, message);
  }
});

test.run();
