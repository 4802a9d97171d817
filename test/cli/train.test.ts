/** `weft train`: a tiny model from nothing and from a checkpoint, resumption, memory before it runs, bad input. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { generate, openQwen3, parseMetrics } from "@weft/qwen3";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { durationText, secondsLeft, stepText } from "../../packages/cli/src/train/display.ts";
import { tied, tiny, weft, weftProcess, withFolder } from "./command.ts";

const test = suite("weft train");

function dataIn(folder: string): string {
  const file = join(folder, "sums.tsv");
  const lines = Array.from({ length: 40 }, (_, n) => `${n % 10} plus ${n % 7} is\t${(n % 10) + (n % 7)}`);
  writeFileSync(file, `${lines.join("\n")}\n`);
  return file;
}

const metricsOf = (out: string) => parseMetrics(readFileSync(join(out, "metrics.jsonl"), "utf8"));
const lossesOf = (out: string) => metricsOf(out).map(({ loss }) => loss!);

test("from nothing, with a tokenizer of its own: the loss falls, and the export generates", () =>
  withFolder(async (folder) => {
    const out = join(folder, "run");
    const argv = [
      "--config",
      join(tiny, "config.json"),
      "--train-tokenizer",
      "280",
      "--data",
      dataIn(folder),
    ];
    const { code, stdout, stderr } = await weft(
      "train",
      ...argv,
      "--out",
      out,
      "--steps",
      "12",
      "--sequence",
      "64",
      "--lr",
      "0.01",
      "--accumulate",
      "2",
      "--eval-share",
      "0.2",
      "--threads",
      "2",
      "--sample-every",
      "5",
      "--sample-prompt",
      "3 plus 3 is",
      "--json",
    );
    assert.is(code, 0, stderr);
    const result = JSON.parse(stdout) as { step: number; stopped: string; evaluationLoss: number };
    assert.is(result.step, 12);
    assert.is(result.stopped, "finished");
    assert.ok(result.evaluationLoss > 0);
    const losses = lossesOf(out);
    assert.is(losses.length, 12);
    assert.ok(losses.at(-1)! < 0.7 * losses[0]!, losses.join(" "));
    assert.match(
      stderr,
      /^step 12\/12, loss \d\.\d{4}, held out \d\.\d{4}, lr \d\.\d\de[+-]\d+, norm .*, 0 s left$/m,
    );
    // What it says behind the last step is what the export says.
    const sample = metricsOf(out).at(-1)!.sample!;
    assert.ok(stderr.includes(`step 12 says: ${JSON.stringify(sample)}\n`), stderr);
    using model = await openQwen3(join(out, "model"), { capacity: 64, chunk: 64, planCache: false });
    const generation = generate(model, "3 plus 3 is", { temperature: 0, maxTokens: 64 });
    for await (const _ of generation);
    assert.is(generation.summary!.text, sample);
    const again = await weft("train", ...argv, "--out", out, "--steps", "12", "--sequence", "64");
    assert.is(again.code, 2);
    assert.match(
      again.stderr,
      /checkpoints\] must be empty for a new run; given .*; resume, or choose another folder/,
    );
  }));

test("from a checkpoint in two parts: the same weights as in one", () =>
  withFolder(async (folder) => {
    const data = dataIn(folder);
    const run = async (name: string, ...more: string[]) => {
      const { code, stderr } = await weft(
        "train",
        tiny,
        "--data",
        data,
        "--out",
        join(folder, name),
        "--sequence",
        "64",
        "--schedule",
        "constant",
        "--threads",
        "2",
        ...more,
      );
      assert.is(code, 0, stderr);
      return readFileSync(join(folder, name, "model/model.safetensors"));
    };
    const whole = await run("whole", "--steps", "4");
    await run("parts", "--steps", "2");
    // Samples change nothing of what is learnt.
    const sampling = ["--sample-every", "3", "--sample-prompt", "3 plus"];
    assert.ok(whole.equals(await run("parts", "--steps", "4", "--resume", ...sampling)));
    assert.equal(
      metricsOf(join(folder, "parts")).map(({ step, sample }) => [step, typeof sample]),
      [
        [1, "undefined"],
        [2, "undefined"],
        [3, "string"],
        [4, "string"],
      ],
    );
    const other = await weft(
      "train",
      tiny,
      "--data",
      data,
      "--out",
      join(folder, "parts"),
      "--sequence",
      "64",
      "--schedule",
      "constant",
      "--steps",
      "6",
      "--lr",
      "0.1",
      "--resume",
    );
    assert.is(other.code, 2);
    assert.match(other.stderr, /schedule\.peak must be as in the checkpoint, 0\.0003; given 0\.1/);
  }));

test("SGD on bf16 weights, in two parts as in one; another rule or other weights do not go on", () =>
  withFolder(async (folder) => {
    const data = dataIn(folder);
    const run = (name: string, ...more: string[]) =>
      weft(
        ...["train", tiny, "--data", data, "--out", join(folder, name), "--sequence", "64", "--threads", "2"],
        ...["--schedule", "constant", "--lr", "0.01", ...more],
      );
    const bf16 = ["--optimizer", "sgd", "--momentum", "0.8", "--weights", "bf16"];
    const done = async (name: string, ...more: string[]) => {
      const { code, stderr } = await run(name, ...bf16, ...more);
      assert.is(code, 0, stderr);
      return readFileSync(join(folder, name, "model/model.safetensors"));
    };
    const whole = await done("whole", "--steps", "4");
    await done("parts", "--steps", "2");
    const other = await run("parts", "--steps", "4", "--resume");
    assert.is(other.code, 2);
    assert.match(other.stderr, /optimizer\.kind must be as in the checkpoint, "sgd"; given "adamW"/);
    assert.match(other.stderr, /optimizer\.weights must be as in the checkpoint/);
    assert.ok(whole.equals(await done("parts", "--steps", "4", "--resume")));
    const momentum = await run("none", "--momentum", "0.8", "--steps", "1");
    assert.is(momentum.code, 2);
    assert.match(momentum.stderr, /--momentum\] goes with --optimizer sgd only/);
    const measured = JSON.parse(readFileSync(join(folder, "whole/memory.json"), "utf8")) as Record<
      string,
      unknown
    >;
    assert.equal(JSON.parse((await run("whole", ...bf16, "--dry-run", "--json")).stdout), measured.planned);
    const parameters = JSON.parse((await run("none", ...bf16, "--dry-run", "--json")).stdout) as Record<
      string,
      number
    >;
    const full = JSON.parse((await run("none", "--dry-run", "--json")).stdout) as Record<string, number>;
    // Beside two bytes for each element, a number for each tensor, in a piece of memory of its own.
    const header = whole.subarray(8, 8 + Number(whole.readBigUInt64LE(0))).toString();
    const tensors = Object.keys(JSON.parse(header) as object).filter(
      (name) => name !== "__metadata__",
    ).length;
    assert.is(parameters.parameters!, full.parameters! / 2 + 256 * tensors);
    assert.ok(Math.abs(parameters.optimizer! / full.optimizer! - 0.5) < 0.1);
  }));

test("the last layers only, in bf16, by epochs: the memory is what the dry run says", () =>
  withFolder(async (folder) => {
    const out = join(folder, "run");
    const argv = [
      "train",
      tied,
      "--data",
      dataIn(folder),
      "--out",
      out,
      "--epochs",
      "2",
      "--sequence",
      "64",
      "--batch",
      "2",
      "--last-layers",
      "1",
      "--dtype",
      "bf16",
      "--threads",
      "2",
    ];
    const planned = JSON.parse((await weft(...argv, "--dry-run", "--json")).stdout) as unknown;
    const { code, stdout, stderr } = await weft(...argv);
    assert.is(code, 0, stderr);
    assert.match(stdout, /^\d+ steps, loss \d\.\d{4}\nmodel: .*model\n$/);
    const measured = JSON.parse(readFileSync(join(out, "memory.json"), "utf8")) as { planned: unknown };
    assert.equal(measured.planned, planned);
    assert.equal(readdirSync(join(out, "model")).includes("model.safetensors"), true);
  }));

test("adapters: planned memory, two parts, the merged model, the adapter alone, and another base", () =>
  withFolder(async (folder) => {
    const data = dataIn(folder);
    const argv = (base: string, name: string, steps: number, ...more: string[]) => [
      "train",
      base,
      "--data",
      data,
      "--out",
      join(folder, name),
      "--steps",
      String(steps),
      "--sequence",
      "64",
      "--schedule",
      "constant",
      "--lora",
      "4",
      "--lora-targets",
      "q_proj,mlp.*",
      "--last-layers",
      "1",
      "--threads",
      "2",
      ...more,
    ];
    const run = async (...given: string[]) => {
      const { code, stdout, stderr } = await weft(...given);
      assert.is(code, 0, stderr);
      return stdout;
    };
    const planned = JSON.parse(await run(...argv(tiny, "whole", 4, "--dry-run", "--json")));
    // q, gate, up and down of one layer: A and B, each with two moments.
    const [hidden, q, middle] = [64, 64, 128];
    const elements = 4 * (hidden + q + 3 * (hidden + middle));
    assert.ok(
      planned.optimizer >= 8 * elements && planned.optimizer < 8 * elements + 1024,
      planned.optimizer,
    );
    const output = await run(...argv(tiny, "whole", 4));
    assert.match(output, /^4 steps, loss .*\nmodel: .*model\n$/);
    const measured = JSON.parse(readFileSync(join(folder, "whole/memory.json"), "utf8"));
    assert.equal(measured.planned, planned);
    await run(...argv(tiny, "parts", 2));
    const alone = JSON.parse(await run(...argv(tiny, "parts", 4, "--resume", "--adapter-only", "--json")));
    assert.is(alone.adapter, join(folder, "parts/adapter"));

    const merged = join(folder, "merged");
    const text = await run("merge", tiny, alone.adapter, "--out", merged);
    assert.is(text, `merged 4 weights\nmodel: ${merged}\n`);
    const [one, two] = [merged, join(folder, "whole/model")].map((at) =>
      readFileSync(join(at, "model.safetensors")),
    );
    assert.ok(one!.equals(two!));
    const logits = async (...given: string[]) =>
      JSON.parse(await run("logits", ...given, "--tokens", "5,17,3", "--json")).logits.flat() as number[];
    const [beside, after, before] = [
      await logits(tiny, "--adapter", alone.adapter),
      await logits(merged),
      await logits(tiny),
    ];
    const furthest = (others: readonly number[]) =>
      Math.max(...beside.map((value, at) => Math.abs(value - others[at]!)));
    assert.ok(furthest(after) < 1e-4, String(furthest(after)));
    assert.ok(furthest(before) > 1e-3, String(furthest(before)));

    const refused = await weft(...argv(merged, "parts", 6, "--resume"));
    assert.is(refused.code, 2);
    assert.match(
      refused.stderr,
      /a weight that is not trained must be as the run began with it; given other values; at model\.layers\.1\.self_attn\.q_proj\.weight;/,
    );
    assert.is(refused.stderr.match(/must be as the run began with it/g)!.length, 4);
    const same = await weft("merge", tiny, alone.adapter, "--out", join(tiny, "."));
    assert.is(same.code, 2);
    assert.match(same.stderr, /^\[--out\] must be another directory than that of the model; given/);
  }));

test("a dry run prints the memory by purpose and writes nothing", () =>
  withFolder(async (folder) => {
    const argv = [
      "train",
      tiny,
      "--data",
      dataIn(folder),
      "--out",
      join(folder, "run"),
      "--sequence",
      "64",
      "--dry-run",
    ];
    const { code, stdout } = await weft(...argv);
    assert.is(code, 0);
    assert.match(
      stdout,
      /^parameters +[\d.]+ \w+\ngradients +[1-9][\d.]* \w+ .*\noptimizer .*\nactivations .*\ninputs .*\nscratch .*\ntotal /,
    );
    const { total, ...parts } = JSON.parse((await weft(...argv, "--json")).stdout) as Record<string, number>;
    assert.is(
      Object.values(parts).reduce((sum, one) => sum + one, 0),
      total,
    );
    assert.not(existsSync(join(folder, "run")));
  }));

test("an activation budget is kept by computing more again, and says how", () =>
  withFolder(async (folder) => {
    const argv = ["train", tiny, "--data", dataIn(folder), "--out", join(folder, "run"), "--sequence", "256"];
    const dry = async (...more: string[]) => {
      const { code, stdout, stderr } = await weft(...argv, "--dry-run", "--json", ...more);
      assert.is(code, 0, stderr);
      const { gradients, activations } = JSON.parse(stdout) as Record<string, number>;
      return { bytes: gradients! + activations!, stderr };
    };
    const [rows, all] = [await dry(), await dry("--recompute", "everything")];
    assert.ok(all.bytes < rows.bytes);
    const budget = Math.ceil((rows.bytes + all.bytes) / 2);
    const within = await dry("--activation-budget", `${budget}B`);
    assert.ok(within.bytes <= budget, `${within.bytes} of ${budget}`);
    assert.match(within.stderr, /^\w+ (of )?2 blocks compute (products|everything) again/);
    const refused = await weft(...argv, "--dry-run", "--activation-budget", "1KiB");
    assert.is(refused.code, 2);
    assert.match(
      refused.stderr,
      /^\[activation budget\] .*must be at least [\d.]+ \w+, where .*2 blocks compute \w+ again.*; given 1024 B;/,
    );
    const nonsense = await weft(...argv, "--dry-run", "--activation-budget", "2 rooms");
    assert.match(nonsense.stderr, /It must be an amount of memory, like 800MB or 1\.5GiB\./);
  }));

for (const [what, argv, sentences] of [
  [
    "nothing at all",
    [],
    [
      "[train] needs data; give --data FILE",
      "[train] needs a directory for the run; give --out DIR",
      "[train] needs either a MODEL or --config; give one of the two",
    ],
  ],
  [
    "a configuration without a tokenizer",
    ["--config", "c.json", "--data", tiny, "--out", "x"],
    ["[--config] needs one tokenizer; give --train-tokenizer VOCAB or --tokenizer DIR"],
  ],
  [
    "data that is not there",
    [tiny, "--data", "nowhere.txt", "--out", "x"],
    ["[nowhere.txt] must exist; check the path of the data"],
  ],
  [
    "shares and decay of nonsense",
    [tiny, "--data", tiny, "--out", "x", "--eval-share", "1", "--weight-decay=-1"],
    [
      "[--weight-decay] must be at least 0; leave it out for 0.01",
      "[--eval-share] must be at least 0 and below 1; hold out 0.05, say",
    ],
  ],
  [
    "samples without a text to begin with",
    [tiny, "--data", tiny, "--out", "x", "--sample-every", "2"],
    ["[--sample-every] goes with --sample-prompt; give both, or none"],
  ],
  [
    "options of adapters without adapters",
    [tiny, "--data", tiny, "--out", "x", "--lora-alpha", "2", "--lora-targets", "q_proj", "--adapter-only"],
    [
      "[--lora-alpha] needs adapters; add --lora RANK",
      "[--lora-targets] needs adapters; add --lora RANK",
      "[--adapter-only] needs adapters; add --lora RANK",
    ],
  ],
  [
    "targets that are no linears",
    [tiny, "--data", tiny, "--out", "x", "--lora", "2", "--lora-targets", "qproj", "--dry-run"],
    ['[lora] a target must match a linear; given "qproj"; did you mean "q_proj"?'],
  ],
  [
    "a sequence beyond the model",
    [tiny, "--data", tiny, "--out", "x", "--sequence", "4096", "--dry-run"],
    ["[--sequence] must fit into the 512 positions of the model; given 4096; give a shorter one"],
  ],
  [
    "more layers than there are",
    [tiny, "--data", tiny, "--out", "x", "--last-layers", "3", "--dry-run"],
    ["[--last-layers] must be at most the 2 layers of the model; given 3"],
  ],
] as const) {
  test(`refuses ${what}`, async () => {
    const { code, stdout, stderr } = await weft("train", ...argv);
    assert.is(code, 2);
    assert.is(stdout, "");
    assert.is(stderr, `${sentences.join("\n")}\n`);
  });
}

test("Ctrl-C saves a checkpoint and ends; the run goes on from it", () =>
  withFolder(async (folder) => {
    const out = join(folder, "run");
    const argv = [
      "train",
      tiny,
      "--data",
      dataIn(folder),
      "--out",
      out,
      "--sequence",
      "64",
      "--threads",
      "1",
    ];
    const metrics = join(out, "metrics.jsonl");
    // What a run writes tells best that it is under way.
    let timer: NodeJS.Timeout | undefined;
    const { code, stderr } = await weftProcess([...argv, "--steps", "100000", "--save-every", "50000"], {
      onStart: (kill) => {
        timer = setInterval(() => {
          if (!existsSync(metrics) || !readFileSync(metrics, "utf8").includes("\n")) return;
          clearInterval(timer);
          kill("SIGINT");
        }, 50);
      },
    });
    assert.is(code, 130, stderr);
    const [, step] = /^stopped behind step (\d+) of 100000; the same command with --resume goes on$/m.exec(
      stderr,
    )!;
    assert.equal(readdirSync(join(out, "checkpoints")), [`step-${step!.padStart(8, "0")}`]);
    assert.not(existsSync(join(out, "model")));
  }));

test("a broken line of data: file, line and what to do", () =>
  withFolder(async (folder) => {
    const file = join(folder, "bad.jsonl");
    writeFileSync(file, '{"text": "good"}\n{"text": \n');
    const argv = [
      "train",
      tiny,
      "--data",
      file,
      "--out",
      join(folder, "run"),
      "--sequence",
      "64",
      "--steps",
      "1",
    ];
    const { code, stderr } = await weft(...argv);
    assert.is(code, 2);
    assert.match(stderr, /bad\.jsonl/);
    const skipping = await weft(...argv, "--skip-bad");
    assert.is(skipping.code, 0, skipping.stderr);
    assert.match(skipping.stderr, /^documents left out because they cannot be read: 1$/m);
  }));

test("a step as text, and the time that is left", () => {
  const metrics = {
    step: 10,
    epoch: 0.5,
    loss: 1.25,
    learningRate: 3e-4,
    gradientNorm: null,
    targets: 9,
    tokensPerSecond: 800,
    residentBytes: 1,
    seconds: 20,
  };
  assert.is(secondsLeft(metrics, 100, 1), 180);
  assert.is(secondsLeft(metrics, 100, 6), 360);
  assert.is(
    stepText(metrics, 2048, 180),
    "loss 1.2500, lr 3.00e-4, norm not finite, 800 tokens/s, 2048 B, 3 min 0 s left",
  );
  assert.equal([59, 61, 7300].map(durationText), ["59 s", "1 min 1 s", "2 h 1 min"]);
});

test.run();
