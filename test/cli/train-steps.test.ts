/** `weft train`: how many updates a run makes of its data, how documents are packed, and options that would do nothing. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseMetrics } from "@weft/qwen3";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { tiny, weft, withFolder } from "./command.ts";

const test = suite("weft train, steps and data");

const stepsOf = (out: string) => parseMetrics(readFileSync(join(out, "metrics.jsonl"), "utf8"));

/** Documents of a few tokens. */
function fewIn(folder: string, count = 3): string {
  const file = join(folder, "few.tsv");
  writeFileSync(file, Array.from({ length: count }, (_, n) => `${n} and 1 is\t${n + 1}\n`).join(""));
  return file;
}

test("data that is smaller than a batch: one update with the whole rate, and no more passes than asked for", () =>
  withFolder(async (folder) => {
    const argv = (out: string) =>
      `train ${tiny} --data ${fewIn(folder)} --out ${join(folder, out)} --sequence 128`.split(" ");
    const { code, stderr } = await weft(...argv("one"));
    assert.is(code, 0, stderr);
    const [only, ...more] = stepsOf(join(folder, "one"));
    assert.equal([only!.learningRate, more.length], [3e-4, 0]);
    // Three documents of about ten tokens stand in each sequence four times.
    assert.ok(only!.epoch >= 3 && only!.epoch < 6, String(only!.epoch));
    const many = await weft(...argv("many"), "--epochs", "8");
    assert.is(many.code, 0, many.stderr);
    const last = stepsOf(join(folder, "many")).at(-1)!;
    assert.ok(last.epoch >= 8 && last.epoch < 8 + only!.epoch, String(last.epoch));
  }));

test("--packing concatenate: no place is padding, and a run goes on with the same packing only", () =>
  withFolder(async (folder) => {
    const argv = (packing: string, steps = 2) =>
      `train ${tiny} --data ${fewIn(folder, 40)} --out ${join(folder, "run")} --sequence 64 --schedule constant --steps ${steps} --packing ${packing}`.split(
        " ",
      );
    const { code, stderr } = await weft(...argv("concatenate"));
    assert.is(code, 0, stderr);
    const other = await weft(...argv("documents", 3), "--resume");
    assert.is(other.code, 2);
    assert.match(other.stderr, /data.packing must be as in the checkpoint, "concatenate"; given "documents"/);
    const same = await weft(...argv("concatenate", 3), "--resume");
    assert.is(same.code, 0, same.stderr);
    assert.is(stepsOf(join(folder, "run")).length, 3);
  }));

test("a dry run of a tokenizer that is not learnt yet does not look at the special tokens of config.json", () =>
  withFolder(async (folder) => {
    const config = join(folder, "config.json");
    const given = JSON.parse(readFileSync(join(tiny, "config.json"), "utf8")) as object;
    // The ids of the vocabulary that the file was written for.
    writeFileSync(config, JSON.stringify({ ...given, vocab_size: 151_936, eos_token_id: 151_645 }));
    const argv =
      `train --config ${config} --train-tokenizer 300 --data ${fewIn(folder)} --out ${join(folder, "run")}`.split(
        " ",
      );
    const { code, stdout, stderr } = await weft(...argv, "--dry-run");
    assert.is(code, 0, stderr);
    assert.match(stdout, /^parameters /);
    assert.not(existsSync(join(folder, "run")));
  }));

test("weights that are blown up: the step, the tensor that is to blame, and the state before it are told", () =>
  withFolder(async (folder) => {
    const argv =
      `train ${tiny} --data ${fewIn(folder)} --out ${join(folder, "run")} --sequence 64 --steps 9 --schedule constant --lr 1e36`.split(
        " ",
      );
    const { code, stderr } = await weft(...argv);
    assert.is(code, 2);
    assert.match(
      stderr,
      /first not finite is no weight: values overflow on their way, and the largest weight is -?\d\.\d+e\+3\d in (model|lm_head)\.[\w.]+, flat index \d+; at step 5; .*failed\/step-00000004$/m,
    );
    assert.ok(existsSync(join(folder, "run/failed/step-00000004/model.safetensors")));
  }));

test("a tokenizer of a larger vocabulary is told apart from a broken config.json", () =>
  withFolder(async (folder) => {
    const config = join(folder, "config.json");
    const given = JSON.parse(readFileSync(join(tiny, "config.json"), "utf8")) as object;
    writeFileSync(config, JSON.stringify({ ...given, vocab_size: 100, eos_token_id: 1, bos_token_id: 1 }));
    const argv = `train --config ${config} --tokenizer ${tiny} --data ${fewIn(folder)} --steps 1`.split(" ");
    const { code, stderr } = await weft(...argv, "--out", join(folder, "run"));
    assert.is(code, 2);
    assert.match(
      stderr,
      /tokenizer.json\] ids must be below vocab_size of config.json, 100; given ids up to 319; /,
    );
  }));

test("conversations for a checkpoint without a template: where it belongs", () =>
  withFolder(async (folder) => {
    const data = join(folder, "chat.jsonl");
    writeFileSync(data, '{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}\n');
    const { code, stderr } = await weft("train", tiny, "--data", data, "--out", join(folder, "run"));
    assert.is(code, 2);
    assert.match(
      stderr,
      /must have a chat template; .*; put the chat_template.jinja of the checkpoint there$/m,
    );
  }));

for (const [what, given, sentences] of [
  [
    "evaluations without documents to evaluate on, and a warmup beyond the end",
    "--eval-every 3 --warmup 9 --steps 2",
    [
      "[--eval-every] needs documents that are held out; add --eval-share 0.05, say",
      "[--warmup] must be at most the 2 steps; give fewer of them",
    ],
  ],
  [
    "a format of a model that is not written",
    "--lora 2 --adapter-only --export plain",
    ["[--export] says how the model is written, and --adapter-only writes none; leave one of the two out"],
  ],
  [
    "units of text in other data",
    "--text-unit line",
    ["[--text-unit] divides plain text only; leave it out for JSONL and TSV"],
  ],
  [
    "long documents where there are none",
    "--packing concatenate --long-documents split",
    ["[--long-documents] goes with --packing documents only; one text is cut anyway: leave it out"],
  ],
  [
    "a tokenizer beside a checkpoint, which has one",
    "--train-tokenizer 300",
    ["[--train-tokenizer] goes with --config only; a MODEL has its own: leave it out"],
  ],
] as const) {
  test(`refuses ${what}`, () =>
    withFolder(async (folder) => {
      const out = join(folder, "run");
      const { code, stderr } = await weft(
        ...["train", tiny, "--data", fewIn(folder), "--out", out, ...given.split(" ")],
      );
      assert.equal([code, stderr], [2, `${sentences.join("\n")}\n`]);
      assert.not(existsSync(out));
    }));
}

test.run();
