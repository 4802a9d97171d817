/** What profiles are made into: figures of steps, shares, the table, the trace. Times are made up. */
import { costOf } from "@weft/compiler";
import { compileBlock } from "@weft/compiler/testing";
import { axis, chain, linear, silu } from "@weft/dsl";
import {
  blockOf,
  type CompleteEvent,
  medianProfile,
  type Profile,
  type StepFigures,
  type StepSpan,
  sharesOf,
  stepFigures,
  tableOfShares,
  totalOf,
  traceOf,
} from "@weft/runtime";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("profiles");

const span = (begin: number, end: number, waited = 0): StepSpan => ({ begin, end, waited });

/** A run of two steps on two threads: `scale` tells runs apart. */
function run(scale: number, origins: readonly (readonly string[])[] = [["up"], ["down"]]): Profile {
  const spans = [
    [span(0, 80), span(10, 50, 20)],
    [span(100, 130), span(100, 190)],
  ];
  return {
    outputs: {},
    lanes: ["thread 0", "thread 1"],
    steps: spans.map((own, step) => ({
      kernel: `kernel_${step}`,
      step,
      origins: origins[step]!,
      nanoseconds: 100 * scale,
      spans: own.map(({ begin, end, waited }) => span(begin * scale, end * scale, waited * scale)),
    })),
  };
}

const [hidden, wide] = [axis("hidden", 16), axis("wide", 64)];
const seq = axis("seq", { symbol: "seq", max: 8 });
const block = chain(linear("up", hidden, wide), silu, linear("down", wide, hidden));
const { plan } = compileBlock(block, { lead: [seq] });
const at = { seq: 4 };

test("figures of steps: medians over the runs, and what the cost model says", () => {
  const steps = stepFigures(plan, "main", at, [run(3), run(1), run(20)]);
  const costs = costOf(plan, plan.programs[0]!, at);
  assert.equal(
    steps.map(({ nanoseconds }) => nanoseconds),
    [300, 300],
  );
  // 80 and 40 - 20, 30 and 90, of the middle run.
  assert.equal(
    steps.map(({ busy }) => busy),
    [
      { mean: 150, most: 240 },
      { mean: 180, most: 270 },
    ],
  );
  assert.equal(
    steps.map(({ bytes, operations }) => [bytes, operations]),
    costs.map(({ readBytes, writtenBytes, operations }) => [readBytes + writtenBytes, operations]),
  );
  assert.equal(
    steps.map(({ name, kind, origins }) => [name, kind, origins]),
    plan.programs[0]!.steps.map(({ kernel, origins }) => [
      plan.kernels[kernel]!.name,
      plan.kernels[kernel]!.kind,
      origins,
    ]),
  );
});

test("an even number of runs has the mean of the two in the middle, and the shorter one as the median run", () => {
  const runs = [run(4), run(1), run(2), run(9)];
  assert.is(stepFigures(plan, "main", at, runs)[0]!.nanoseconds, 300);
  assert.is(medianProfile(runs), runs[2]);
  assert.is(totalOf(runs[2]!), 400);
});

test("one lane has no balance", () => {
  const { steps } = run(1);
  const single = { steps: steps.map((one) => ({ ...one, spans: one.spans.slice(0, 1) })) };
  const figures = stepFigures(plan, "main", at, [single]);
  assert.ok(figures.every((one) => !("busy" in one)));
  const titles = tableOfShares(sharesOf(figures, "kernel"), { title: "kernel" }).columns.map(
    (one) => one.title,
  );
  assert.equal(titles, ["kernel", "µs", "share", "steps", "bytes", "GB/s", "GFLOP/s", "origin"]);
});

test("no run, and a program that is none, are refused", () => {
  assert.throws(
    () => stepFigures(plan, "main", at, []),
    /\[profile\] needs a program .* given "main", 0 runs/,
  );
  assert.throws(() => stepFigures(plan, "mian", at, [run(1)]), /given "mian", 1 runs/);
});

test("the block of a step: where most of its paths lie, of several the longest, layers as one", () => {
  const layer = "model.layers.12";
  const cases: readonly (readonly [readonly string[], string])[] = [
    [
      [`${layer}.input_layernorm`, `${layer}.self_attn.q_proj`, `${layer}.self_attn.q_norm`],
      "model.layers.*.self_attn",
    ],
    [[`${layer}.mlp.down_proj`, layer], "model.layers.*.mlp"],
    [[layer], "model.layers.*"],
    [["model.norm", "lm_head"], "lm_head"],
    [["model.embed_tokens"], "model"],
    [["norm", "up"], "norm, up"],
    [["a", "b", "c", "d"], "a, b, c, ..."],
    [["0", "1"], "*"],
    [["0.up", "1.up"], "*"],
    [[], "-"],
  ];
  for (const [origins, expected] of cases) assert.is(blockOf(origins), expected, origins.join());
});

/** Steps of made-up kernels, so that tables can be read by eye. */
const made = (
  kernel: number,
  microseconds: number,
  origin: string,
  { bytes = 0, operations = 0, busy }: Partial<Pick<StepFigures, "bytes" | "operations" | "busy">> = {},
): StepFigures => ({
  step: 0,
  kernel,
  name: `kernel_${kernel}`,
  kind: kernel === 0 ? "matmul" : "rows",
  origins: [origin],
  nanoseconds: microseconds * 1000,
  bytes,
  operations,
  ...(busy === undefined ? {} : { busy }),
});

const steps: StepFigures[] = [
  made(1, 100, "model.embed_tokens", { bytes: 2048 }),
  made(0, 3000, "model.layers.0.mlp.up_proj", {
    bytes: 30_000_000,
    operations: 60_000_000,
    busy: { mean: 1_500_000, most: 3_000_000 },
  }),
  made(0, 5000, "model.layers.1.mlp.up_proj", {
    bytes: 30_000_000,
    operations: 60_000_000,
    busy: { mean: 2_500_000, most: 5_000_000 },
  }),
  made(2, 1000, "model.layers.1.self_attn.o_proj", {
    operations: 100_000_000,
    busy: { mean: 900_000, most: 1_000_000 },
  }),
  made(3, 20, "model.norm"),
  made(4, 30, "model.norm"),
].map((one, step) => ({ ...one, step }));
const roofline = { bytesPerSecond: 20e9, operationsPerSecond: 200e9 };

test("steps of one kernel are put together in linear time", () => {
  const many = Array.from({ length: 150_000 }, (_, step) => ({ ...made(0, 1, "norm"), step }));
  const before = process.cpuUsage();
  assert.is(sharesOf(many, "kernel", roofline)[0]!.steps, many.length);
  const { user, system } = process.cpuUsage(before);
  assert.ok(user + system < 4e6, `${(user + system) / 1e6} s of the processor`);
});

test("shares by step, kernel and block", () => {
  const named = (by: "step" | "kernel" | "block") =>
    sharesOf(steps, by, roofline).map(({ name, steps: count, nanoseconds }) => [
      name,
      count,
      nanoseconds / 1000,
    ]);
  assert.equal(named("kernel"), [
    ["kernel_0", 2, 8000],
    ["kernel_2", 1, 1000],
    ["kernel_1", 1, 100],
    ["kernel_4", 1, 30],
    ["kernel_3", 1, 20],
  ]);
  assert.equal(named("block"), [
    ["model.layers.*.mlp", 2, 8000],
    ["model.layers.*.self_attn", 1, 1000],
    ["model", 3, 150],
  ]);
  assert.equal(named("step").slice(0, 3), [
    ["2 kernel_0", 1, 5000],
    ["1 kernel_0", 1, 3000],
    ["3 kernel_2", 1, 1000],
  ]);
  // By bytes 2 x 1.5 ms, by operations 2 x 0.3 ms; the third is bound by operations.
  assert.is(sharesOf(steps, "kernel", roofline)[0]!.least, 3e6);
  assert.is(sharesOf(steps, "kernel", roofline)[1]!.least, 0.5e6);
});

/** Cells side by side, as they are. */
const lines = ({ columns, rows }: ReturnType<typeof tableOfShares>) =>
  [columns.map((one) => one.title), ...rows].map((row) => row.join(" | "));

test("the table: small rows are gathered, the last row is all; milliseconds from ten of them on", () => {
  const table = tableOfShares(sharesOf(steps, "kernel", roofline), { title: "kernel" });
  assert.equal(lines(table), [
    "kernel | µs | share | steps | bytes | GB/s | GFLOP/s | % of roofline | balance | origin",
    "kernel_0 | 8000 | 87 % | 2 | 57.22 MiB | 7.50 | 15.0 | 38 % | 50 % | model.layers.*.mlp",
    "kernel_2 | 1000 | 11 % | 1 | 0 B | - | 100 | 50 % | 90 % | model.layers.*.self_attn",
    "kernel_1 | 100 | 1.1 % | 1 | 2048 B | 0.02 | - | 0.1 % |  | model",
    "2 others | 50.0 | 0.5 % | 2 | 0 B | - | - | 0.0 % |  | ",
    "all | 9150 | 100 % | 6 | 57.22 MiB | 6.56 | 24.0 | 38 % | 54 % | ",
  ]);
  assert.equal(
    table.columns.map(({ align }) => align),
    ["left", ...Array.from({ length: 8 }, () => "right"), "left"],
  );
  const slow = steps.map((one) => ({ ...one, nanoseconds: 10 * one.nanoseconds }));
  const chosen = tableOfShares(sharesOf(slow, "block"), {
    title: "block",
    columns: ["kind", "time", "origin"],
  });
  assert.equal(lines(chosen), [
    "block | kind | ms | origin",
    "model.layers.*.mlp | matmul | 80.0 | model.layers.*.mlp",
    "model.layers.*.self_attn | rows | 10.0 | model.layers.*.self_attn",
    "model | rows | 1.50 | model",
    "all |  | 91.5 | ",
  ]);
});

test("a program of no time has a table", () => {
  const table = tableOfShares(sharesOf([made(1, 0, "norm")], "kernel", roofline), { title: "kernel" });
  assert.equal(lines(table).slice(1), [
    "kernel_1 | 0.00 | - | 1 | 0 B | - | - | - | norm",
    "all | 0.00 | - | 1 | 0 B | - | - | - | ",
  ]);
});

test("the trace: a process for each run, a row for each lane, each event within its run, names escaped", () => {
  const odd = 'up"<\n>';
  const first = run(1, [[odd], ["down"]]);
  const figures = stepFigures(plan, "main", at, [first]).map((one) => ({ ...one, name: odd }));
  const trace = traceOf([
    { name: "main seq=4", profile: first, figures },
    { name: odd, profile: run(2), figures },
  ]);
  const text = JSON.stringify(trace);
  assert.equal(JSON.parse(text), trace);
  const { traceEvents } = trace;
  const names = traceEvents.flatMap((one) =>
    one.ph === "M" && "name" in one.args ? [[one.pid, one.tid, one.args.name]] : [],
  );
  assert.equal(names, [
    [1, undefined, "main seq=4"],
    [1, 1, "thread 0"],
    [1, 2, "thread 1"],
    [2, undefined, odd],
    [2, 1, "thread 0"],
    [2, 2, "thread 1"],
  ]);
  const events = traceEvents.filter((one): one is CompleteEvent => one.ph === "X");
  assert.is(events.length, 2 * 2 * 2);
  assert.ok(events.every(({ name }) => name === odd));
  // The second run lies behind the first, whose last thread ends at 190 ns.
  const within = (pid: number, begin: number, end: number) =>
    events.filter((one) => one.pid === pid).every(({ ts, dur }) => ts >= begin && ts + dur <= end + 1e-9);
  assert.ok(within(1, 0, 0.19));
  assert.ok(within(2, 0.19, 0.19 + 0.38));
  const { args, ...second } = events[1]!;
  assert.equal(second, {
    ph: "X",
    name: odd,
    cat: plan.kernels[0]!.kind,
    pid: 1,
    tid: 2,
    ts: 0.01,
    dur: 0.04,
  });
  assert.is(args.origins, odd);
  assert.is(args.waited, 0.02);
  assert.is(args["GB/s"], Number((figures[0]!.bytes / 100).toPrecision(4)));
});

test.run();
