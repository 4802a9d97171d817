/** `weft train --quantize nvfp4` and `--moments`: memory before it runs, two parts as one, and an export that says what training said. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { generate, openCheckpoint, openQwen3, parseMetrics, storedWeights } from "@weft/qwen3";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { right } from "../qwen3/weights/files.ts";
import { tied, tiny, weft, withFolder } from "./command.ts";

const test = suite("weft train in NVFP4");

function dataIn(folder: string): string {
  const file = join(folder, "sums.tsv");
  const lines = Array.from({ length: 40 }, (_, n) => `${n % 10} plus ${n % 7} is\t${(n % 10) + (n % 7)}`);
  writeFileSync(file, `${lines.join("\n")}\n`);
  return file;
}

test("planned memory, two parts as one, and the export generates what the last sample was", () =>
  withFolder(async (folder) => {
    const data = dataIn(folder);
    const argv = (name: string, ...more: string[]) => [
      ...["train", tiny, "--data", data, "--out", join(folder, name), "--sequence", "32", "--threads", "2"],
      ...["--schedule", "constant", "--lr", "0.0005", "--quantize", "nvfp4", "--four-over-six"],
      ...["--eval-share", "0.2", "--sample-every", "2", "--sample-prompt", "sums", ...more],
    ];
    const run = async (...given: string[]) => {
      const { code, stdout, stderr } = await weft(...given);
      assert.is(code, 0, stderr);
      return stdout;
    };
    const planned = JSON.parse(await run(...argv("whole", "--steps", "4", "--dry-run", "--json")));
    const elements = 2 * (64 * 64 * 2 + 32 * 64 * 2 + 128 * 64 * 3);
    assert.is(planned.blocks, (elements * 9) / 16 + 14 * 8);
    assert.match(
      await run(...argv("whole", "--dry-run")),
      /^blocks +[\d.]+ \w+ +linears of the layers in NVFP4$/m,
    );
    const summary = await run(...argv("whole", "--steps", "4"));
    assert.match(
      summary,
      /^4 steps, loss .*, held out .*\nmodel in NVFP4 \(compressed-tensors\): .*model\n$/,
    );
    const measured = JSON.parse(readFileSync(join(folder, "whole/memory.json"), "utf8"));
    assert.equal(measured.planned, planned);
    await run(...argv("parts", "--steps", "2"));
    await run(...argv("parts", "--steps", "4", "--resume"));
    const [whole, parts] = ["whole", "parts"].map((name) =>
      readFileSync(join(folder, name, "model/model.safetensors")),
    );
    assert.ok(whole!.equals(parts!));
    const metrics = parseMetrics(readFileSync(join(folder, "whole/metrics.jsonl"), "utf8"));
    using model = await openQwen3(join(folder, "whole/model"), { capacity: 64, chunk: 32, planCache: false });
    const generation = generate(model, "sums", { temperature: 0, maxTokens: 31 });
    for await (const _ of generation);
    const { sample } = metrics.at(-1)!;
    assert.ok(sample!.length > 0);
    assert.ok(generation.summary!.text.startsWith(sample!) || sample!.startsWith(generation.summary!.text));
    const other = await weft(
      ...argv("parts", "--steps", "6", "--resume").filter((one) => one !== "--four-over-six"),
    );
    assert.is(other.code, 2);
    assert.match(
      other.stderr,
      /optimizer\.nvfp4\.fourOverSix must be as in the checkpoint, true; given false/,
    );
  }));

test("a checkpoint in NVFP4 learns so, whole or by adapters; what is merged is plain, or in NVFP4 where that is asked for", () =>
  withFolder(async (folder) => {
    const data = dataIn(folder);
    const base = join(folder, "base");
    const of = (name: string) => join(folder, name);
    const run = async (...argv: string[]) => {
      const { code, stdout, stderr } = await weft(...argv);
      assert.is(code, 0, stderr);
      return stdout;
    };
    const train = (model: string, name: string, ...more: string[]) =>
      run(
        ...["train", model, "--data", data, "--out", of(name), "--sequence", "32", "--steps", "2"],
        ...["--threads", "2", ...more],
      );
    const inBlocks = (directory: string) =>
      right(storedWeights(right(openCheckpoint(directory)))).linears.size;
    await run("quantize", tied, "--format", "modelopt", "--out", base);
    const planned = async (...more: string[]) =>
      JSON.parse(await train(base, "none", "--dry-run", "--json", ...more)) as Readonly<
        Record<string, number>
      >;
    assert.ok((await planned()).blocks! > 0);
    assert.match(
      await train(base, "whole", "--four-over-six"),
      /in NVFP4 \(compressed-tensors\): .*model\n$/,
    );
    assert.is(inBlocks(of("whole/model")), 14);
    await train(base, "plain", "--export", "plain");
    assert.is(inBlocks(of("plain/model")), 0);
    // The base of adapters is there in 4.5 bits only, where a plain one takes 16.
    const { parameters, blocks, total } = await planned("--lora", "4");
    assert.is(blocks, undefined);
    const plain = JSON.parse(await train(tied, "none", "--dry-run", "--json", "--lora", "4"));
    assert.ok(plain.parameters - parameters! > 2 * (64 * 64 * 2 + 32 * 64 * 2 + 128 * 64 * 3));
    await train(base, "adapters", "--lora", "4", "--adapter-only");
    const measured = JSON.parse(readFileSync(of("adapters/memory.json"), "utf8"));
    assert.is(measured.planned.total, total);
    assert.match(await train(base, "merged", "--lora", "4"), /\nmodel: /);
    assert.is(inBlocks(of("merged/model")), 0);
    // From the plain weights, encoded where they are read.
    const same = await train(tied, "encoded", "--lora", "4", "--quantize", "nvfp4", "--export", "modelopt");
    assert.match(same, /in NVFP4 \(modelopt\): /);
    assert.is(inBlocks(of("encoded/model")), 14);
    const [one, two] = ["merged", "encoded"].map((name) => readFileSync(of(`${name}/metrics.jsonl`), "utf8"));
    const losses = (text: string) => parseMetrics(text).map(({ loss }) => loss);
    assert.equal(losses(one!), losses(two!));
    await run("merge", base, of("adapters/adapter"), "--out", of("again"), "--export", "modelopt");
    assert.is(inBlocks(of("again")), 14);
    await run("merge", base, of("adapters/adapter"), "--out", of("taken-apart"));
    const files = ["taken-apart", "merged/model"].map((name) =>
      readFileSync(of(`${name}/model.safetensors`)),
    );
    assert.ok(files[0]!.equals(files[1]!));
    for (const [given, message] of [
      [[tied, "--export", "modelopt"], "[merge] only weights in NVFP4 are encoded again"],
      [[base, "--four-over-six"], "[--four-over-six] needs weights that are encoded; add --export"],
    ] as const) {
      const [model, ...more] = given;
      const { code, stderr } = await weft(
        "merge",
        model,
        of("adapters/adapter"),
        "--out",
        of("refused"),
        ...more,
      );
      assert.is(code, 2);
      assert.ok(stderr.includes(message), stderr);
    }
  }));

test("what needs NVFP4 or cannot be with it is refused at once", () =>
  withFolder(async (folder) => {
    const common = ["train", tiny, "--data", dataIn(folder), "--out", join(folder, "run")];
    for (const [given, message] of [
      [["--four-over-six"], "[--four-over-six] needs weights in NVFP4; add --quantize nvfp4"],
      [["--export", "modelopt"], "[--export] of modelopt needs weights in NVFP4; add --quantize nvfp4"],
      [["--quantize", "int3"], "argument 'int3' is invalid. Allowed choices are nvfp4"],
    ] as const) {
      const { code, stderr } = await weft(...common, ...given);
      assert.is(code, 2, stderr);
      assert.ok(stderr.includes(message), stderr);
    }
  }));

test("moments in fewer bits: the memory is what the dry run says, other moments do not go on, SGD has none", () =>
  withFolder(async (folder) => {
    const data = dataIn(folder);
    const run = (...more: string[]) =>
      weft(
        ...[
          "train",
          tiny,
          "--data",
          data,
          "--out",
          join(folder, "run"),
          "--sequence",
          "64",
          "--threads",
          "2",
        ],
        ...["--steps", "2", ...more],
      );
    const planned = async (...more: string[]) =>
      JSON.parse((await run(...more, "--dry-run", "--json")).stdout) as Readonly<Record<string, number>>;
    const [full, int8] = [await planned(), await planned("--moments", "int8")];
    // A byte for what had four, but for what stays in f32: the embedding, k, v and norms.
    assert.ok(int8.optimizer! < 0.55 * full.optimizer!);
    // Streams of random bits: one number for each of the 11 matrices, in a piece of memory of its own.
    assert.is(int8.parameters, full.parameters! + 256 * 11);
    const { code, stderr } = await run("--moments", "int8");
    assert.is(code, 0, stderr);
    const measured = JSON.parse(readFileSync(join(folder, "run/memory.json"), "utf8")) as {
      planned: unknown;
    };
    assert.equal(measured.planned, int8);
    const other = await run("--moments", "nvfp4", "--resume");
    assert.is(other.code, 2);
    assert.match(other.stderr, /optimizer\.moments must be as in the checkpoint, "int8"; given "nvfp4"/);
    const sgd = await run("--moments", "int8", "--optimizer", "sgd");
    assert.is(sgd.code, 2);
    assert.match(sgd.stderr, /--moments\] goes with --optimizer adamw only/);
    const note = (await run("--moments", "nvfp4", "--dry-run")).stdout;
    assert.match(note, /first and second moments, of large matrices in NVFP4/);
  }));

test.run();
