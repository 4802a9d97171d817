/** `weft profile`: what is run, what is printed and written, and clear words where nothing can be measured. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { CompleteEvent, Trace } from "@weft/runtime";
import type { Measured, View } from "@weft/viewer";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { root, tiny, weft, withFolder } from "./command.ts";

const test = suite("weft profile");
const block = join(root, "examples/custom-block.ts");
/** Rates that are given need no measurement. */
const rates = ["--bandwidth=10", "--arithmetic=0.1"];
const quick = [...rates, "--repeat=2", "--threads=2"];

interface Figures {
  readonly plan: string;
  readonly device: string;
  readonly note?: string;
  readonly roofline: { readonly bytesPerSecond: number; readonly source: string };
  readonly programs: readonly {
    readonly name: string;
    readonly at: Readonly<Record<string, number>>;
    readonly nanoseconds: number;
    readonly shares: readonly {
      readonly name: string;
      readonly nanoseconds: number;
      readonly shareOfRoofline: number;
    }[];
    readonly steps: readonly {
      readonly nanoseconds: number;
      readonly bytes: number;
      readonly block: string;
    }[];
  }[];
}

async function figures(...argv: readonly string[]): Promise<Figures> {
  const { code, stdout, stderr } = await weft("profile", ...argv, "--json");
  assert.is(code, 0, stderr);
  return JSON.parse(stdout) as Figures;
}

test("a block: a line on the run, the table by kernel, and a roofline that was measured here", async () => {
  const { code, stdout, stderr } = await weft("profile", block, "--lead=seq=16", "--repeat=2", "--threads=2");
  assert.is(code, 0, stderr);
  const [line, blank, head, ...rows] = stdout.trimEnd().split("\n");
  assert.match(
    line!,
    /^main at seq=16 on cpu, 2 threads, medians of 2 runs; roofline [\d.]+ [GT]B\/s, [\d.]+ [GT]FLOP\/s \(measured here: memory read, f32 multiply-adds\)$/,
  );
  assert.is(blank, "");
  assert.match(
    head!,
    /^kernel +[mµ]s +share +steps +bytes +GB\/s +GFLOP\/s +% of roofline +balance +origin$/,
  );
  assert.is(rows.length, 3);
  assert.match(rows.join("\n"), / norm, gate, up$/m);
  assert.match(rows[2]!, /^all .* 100 % +2 /);
});

test("rows by step and by block; one run has no median", async () => {
  const step = await weft("profile", block, ...rates, "--by=step", "--repeat=1", "--threads=1");
  assert.match(step.stdout, /on cpu, 1 thread, one run; roofline 10\.0 GB\/s, 100 GFLOP\/s \(as given\)\n/);
  assert.match(step.stdout, /^step /m);
  assert.match(step.stdout, /^0 rms_norm/m);
  assert.match(step.stdout, /^1 matmul/m);
  assert.not.match(step.stdout, "balance");
  const model = await weft("profile", tiny, ...quick, "--by=block", "--program=decode");
  assert.match(model.stdout, /^model\.layers\.\*\.mlp .* 4 /m);
  assert.match(model.stdout, /^model\.layers\.\*\.self_attn /m);
  assert.not.match(model.stdout, "prefill");
});

test("a model: prefill of a prompt, and decode behind it", async () => {
  const both = await figures(tiny, ...quick, "--prompt-tokens=8");
  assert.equal(
    both.programs.map(({ name, at }) => [name, at.seq, at.past]),
    [
      ["prefill", 8, 0],
      ["decode", 1, 8],
    ],
  );
  assert.is(both.roofline.source, "as given");
  for (const { nanoseconds, shares, steps } of both.programs) {
    const sum = (of: readonly { readonly nanoseconds: number }[]) =>
      of.reduce((total, one) => total + one.nanoseconds, 0);
    assert.ok(nanoseconds > 0);
    assert.ok(Math.abs(sum(shares) - nanoseconds) < 1 && Math.abs(sum(steps) - nanoseconds) < 1);
    assert.ok(steps.every((one) => one.nanoseconds > 0 && one.bytes > 0));
    assert.ok(shares.every((one) => one.shareOfRoofline > 0));
  }
  const late = await figures(tiny, ...quick, "--program=decode", "--position=200");
  assert.equal(
    late.programs.map(({ name, at }) => [name, at.past]),
    [["decode", 200]],
  );
});

test("the trace has a process for each program, a row for each thread, and all steps on each", async () => {
  await withFolder(async (folder) => {
    const file = join(folder, "deep/trace.json");
    const { code, stdout, stderr } = await weft("profile", tiny, ...quick, "--trace", file);
    assert.is(code, 0, stderr);
    assert.ok(stdout.endsWith(`trace: ${file}\n`));
    assert.equal(readdirSync(join(folder, "deep")), ["trace.json"]);
    const { traceEvents } = JSON.parse(readFileSync(file, "utf8")) as Trace;
    const named = (what: string) =>
      traceEvents.flatMap((one) =>
        one.ph === "M" && one.name === what && "name" in one.args ? [one.args.name] : [],
      );
    assert.equal(
      named("process_name").map((name) => name.split(" ", 2).join(" ")),
      ["prefill seq=128", "decode seq=1"],
    );
    assert.equal(named("thread_name"), ["thread 0", "thread 1", "thread 0", "thread 1"]);
    const events = traceEvents.filter((one): one is CompleteEvent => one.ph === "X");
    for (const pid of [1, 2]) {
      for (const tid of [1, 2]) {
        const row = events.filter((one) => one.pid === pid && one.tid === tid);
        assert.ok(row.length > 0);
        assert.equal(
          row.map(({ args }) => args.step),
          row.map((_, step) => step),
        );
        // Within a row nothing overlaps; to a rounding of the sum of a beginning and a duration.
        assert.ok(row.every(({ ts }, at) => at === 0 || row[at - 1]!.ts + row[at - 1]!.dur <= ts + 1e-6));
      }
    }
  });
});

test("weft inspect reads the times of a block, and of a model with the same options", async () => {
  await withFolder(async (folder) => {
    const file = join(folder, "times.json");
    const trip = async (target: string, options: readonly string[], run: readonly string[]) => {
      const written = await weft("profile", target, ...options, ...run, "--out", file);
      assert.is(written.code, 0, written.stderr);
      assert.ok(written.stdout.endsWith(`times: ${file}\n`));
      const { programs } = JSON.parse(readFileSync(file, "utf8")) as Measured;
      const { code, stdout, stderr } = await weft("inspect", target, ...options, "--profile", file, "--json");
      assert.is(code, 0, stderr);
      const shown = (JSON.parse(stdout) as View).programs.filter((one) => one.measured !== undefined);
      assert.equal(
        shown.map(({ name, at, measured }) => ({ name, at, nanoseconds: measured })),
        programs,
      );
      return shown.map(({ name }) => name);
    };
    assert.equal(await trip(block, ["--lead=seq=32"], quick), ["main"]);
    assert.equal(await trip(tiny, [], [...quick, "--prompt-tokens=4"]), ["prefill", "decode"]);
    const options = ["--capacity=64", "--chunk=16", "--dtype=bf16", "--quantize=nvfp4"];
    assert.equal(await trip(tiny, options, [...quick, "--program=decode", "--four-over-six"]), ["decode"]);
    const training = ["--train", "--sequence=16"];
    assert.equal(await trip(tiny, training, quick), ["train"]);
    assert.equal(await trip(join(tiny, "config.json"), [...training, "--dtype=bf16"], quick), ["train"]);
    const refused = await weft("inspect", tiny, "--profile", file, "--json");
    assert.match(refused.stderr, /the times must be those of this plan/);
  });
});

test("on the simulated GPU there is one stream, and its times are said to mean nothing", async () => {
  await withFolder(async (folder) => {
    const file = join(folder, "trace.json");
    const argv = ["--device=cuda-sim", "--repeat=1", "--lead=seq=4"];
    const { code, stdout, stderr } = await weft("profile", block, ...argv, "--trace", file);
    assert.is(code, 0, stderr);
    assert.match(
      stdout,
      /^main at seq=4 on cuda-sim, one run; roofline 3\.35 TB\/s, 989 TFLOP\/s \(peaks of an H100/,
    );
    assert.match(stdout, "they say nothing of a GPU");
    assert.not.match(stdout, "balance");
    const { traceEvents } = JSON.parse(readFileSync(file, "utf8")) as Trace;
    const rows = traceEvents.flatMap((one) =>
      one.ph === "M" && one.name === "thread_name" && "name" in one.args ? [one.args.name] : [],
    );
    assert.equal(rows, ["stream 0"]);
  });
  const argv = ["--device=cuda-sim", "--repeat=1", "--prompt-tokens=2", "--capacity=8", "--program=decode"];
  const model = await figures(tiny, ...argv);
  assert.is(model.device, "cuda-sim");
  assert.match(model.note!, "say nothing of a GPU");
  assert.ok(model.programs[0]!.steps.every((one) => one.nanoseconds >= 0));
});

test("indices of a graph stay within their tables, and random weights are stored as they are asked for", async () => {
  await withFolder(async (folder) => {
    const file = join(folder, "table.ts");
    writeFileSync(
      file,
      `import { axis, chain, embedding, linear } from "@weft/dsl";
       const [rows, hidden] = [axis("vocab", 3), axis("hidden", 32)];
       export default chain(embedding("table", rows, hidden), linear("up", hidden, axis("wide", 48)));`,
    );
    for (const more of [[], ["--dtype=bf16"]]) {
      const { code, stderr } = await weft("profile", file, ...quick, "--lead=seq=64", ...more);
      assert.is(code, 0, stderr);
    }
  });
});

test("a graph that a pass has left is run at its own symbols, weights in NVFP4 included", async () => {
  const quantized = join(root, "test/fixtures/nvfp4/compressed-tensors");
  const graphs: readonly (readonly [readonly string[], RegExp])[] = [
    [[quantized, "--program=decode", "--print-after=quantize"], /^main at seq=1, past=256, dropped=0 on cpu/],
    [[tiny, "--program=prefill", "--print-after=kvCache"], /^main at seq=512, past=0, dropped=0 on cpu/],
  ];
  await withFolder(async (folder) => {
    for (const [argv, line] of graphs) {
      const file = join(folder, `${argv.at(-1)!.split("=")[1]}.ts`);
      writeFileSync(file, (await weft("dump", ...argv, "--format=ts")).stdout);
      const { code, stdout, stderr } = await weft("profile", file, ...quick);
      assert.is(code, 0, stderr);
      assert.match(stdout, line);
      assert.match((await weft("profile", file, "--lead=seq=4")).stderr, /^\[--lead\] must be left out/);
    }
  });
});

test("a training step, of a checkpoint and of a configuration alone", async () => {
  for (const target of [tiny, join(tiny, "config.json")]) {
    const { code, stdout, stderr } = await weft("profile", target, "--train", "--sequence=16", ...quick);
    assert.is(code, 0, stderr);
    assert.match(stdout, /^train at length=16 on cpu, 2 threads, /);
    assert.match(stdout, /model\.layers\.\*\.mlp/);
  }
});

const mistakes: readonly (readonly [string, readonly string[], RegExp])[] = [
  ["a target that is not there", ["nowhere"], /^\[TARGET\] must exist/],
  [
    "a configuration alone",
    [join(tiny, "config.json")],
    /^\[TARGET\] must be a model with weights; given .*config\.json; .*--train/,
  ],
  [
    "an unknown program of a model",
    [tiny, "--program=decod"],
    /^\[--program\] must be one of prefill, decode; given decod; did you mean decode\?/,
  ],
  [
    "an unknown program of a block",
    [block, "--program=prefill"],
    /^\[--program\] must be one of main; given prefill/,
  ],
  ["an unknown grouping", [tiny, "--by=layer"], /Allowed choices are step, kernel, block/],
  ["a lead that is no size", [block, "--lead=seq"], /AXIS=SIZE/],
  [
    "a lead of a model",
    [tiny, "--lead=seq=4"],
    /^\[--lead\] must be left out for this TARGET; .*--prompt-tokens/,
  ],
  ["an axis twice", [block, "--lead=seq=4", "--lead=seq=5"], /^\[--lead\] each axis must be given once/],
  ["a prompt of a block", [block, "--prompt-tokens=4"], /^\[--prompt-tokens\] must be left out .*--lead/],
  [
    "a position of a block",
    [block, "--position=4"],
    /^\[--position\] must be left out .*only models have a KV cache/,
  ],
  ["an adapter of a block", [block, "--adapter=x"], /^\[--adapter\] must be left out/],
  [
    "a prompt beyond the chunk",
    [tiny, "--prompt-tokens=9", "--chunk=8"],
    /^\[--prompt-tokens\] must be at most 8, .*; given 9; raise it with --chunk/,
  ],
  [
    "a prompt beyond the cache",
    [tiny, "--prompt-tokens=9", "--capacity=8"],
    /must be at most 8, .*raise it with --capacity/,
  ],
  [
    "a position beyond the cache",
    [tiny, "--position=8", "--capacity=8"],
    /^\[--position\] must be below 8, /,
  ],
  [
    "a capacity beyond the model",
    [tiny, "--capacity=100000"],
    /^\[open\] the context capacity must be at most/,
  ],
  ["a length without a training step", [tiny, "--sequence=8"], /^\[--sequence\] must be left out .*--train/],
  [
    "a prompt of a training step",
    [tiny, "--train", "--prompt-tokens=8"],
    /^\[--prompt-tokens\] must be left out .*--sequence/,
  ],
  [
    "a length beyond the model",
    [tiny, "--train", "--sequence=100000"],
    /^\[--sequence\] must fit into the 512 positions/,
  ],
  ["threads of a GPU", [block, "--device=cuda-sim", "--threads=2"], /^\[--threads\] must be left out/],
  ["a limit without a GPU", [block, "--gpu-limit-gb=1"], /^\[--gpu-limit-gb\] must go with a GPU/],
  [
    "units for FP4 without a GPU",
    [tiny, "--fp4=hardware"],
    /^\[--fp4\] must go with a GPU; given --device cpu; add --device cuda/,
  ],
  ["no runs", [tiny, "--repeat=0"], /integer from 1 to 1000/],
];

for (const [name, argv, message] of mistakes) {
  test(`${name}: exit code 2, nothing on stdout`, async () => {
    const { code, stdout, stderr } = await weft("profile", ...argv);
    assert.is(code, 2);
    assert.is(stdout, "");
    assert.match(stderr, message);
  });
}

test("files that cannot be written are told before anything is opened", async () => {
  await withFolder(async (folder) => {
    writeFileSync(join(folder, "file"), "");
    mkdirSync(join(folder, "traces"));
    for (const option of ["--trace", "--out"]) {
      const within = await weft("profile", "nowhere", option, join(folder, "file/x.json"));
      assert.is(within.code, 2);
      assert.ok(within.stderr.startsWith(`[${option}] the folder must be writable; given E`), within.stderr);
      assert.match(within.stderr, `name another file with ${option}`);
      const taken = await weft("profile", "nowhere", option, join(folder, "traces"));
      assert.ok(taken.stderr.startsWith(`[${option}] must name a file; given the folder `), taken.stderr);
      // Nobody, not even root, can make a file here.
      if (existsSync("/proc/self"))
        assert.match(
          (await weft("profile", block, option, "/proc/x.json")).stderr,
          "the folder must be writable",
        );
    }
    const both = join(folder, "both.json");
    const same = await weft("profile", "nowhere", "--trace", both, "--out", both);
    assert.match(same.stderr, /^\[--trace\] must be another file than --out/);
    assert.equal(readdirSync(folder).sort(), ["file", "traces"]);
  });
});

test("without a driver, the places that were tried are named", async () => {
  const before = process.env.WEFT_LIBCUDA;
  process.env.WEFT_LIBCUDA = join(root, "no-such-library.so");
  try {
    for (const target of [block, tiny]) {
      const { code, stderr } = await weft("profile", target, "--device=cuda");
      assert.is(code, 2);
      assert.match(stderr, "no-such-library.so");
    }
  } finally {
    if (before === undefined) delete process.env.WEFT_LIBCUDA;
    else process.env.WEFT_LIBCUDA = before;
  }
});

test.run();
