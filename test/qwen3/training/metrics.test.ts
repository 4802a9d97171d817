/** Metrics lines and the picture of them. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MetricsFile, parseMetrics, type StepMetrics, writeCurves } from "@weft/qwen3";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { inDirectory, right } from "../weights/files.ts";
import { sentences } from "./support.ts";

const test = suite("training metrics");

const line = (step: number, more: Partial<StepMetrics> = {}): StepMetrics => ({
  step,
  epoch: step / 10,
  loss: 5 / step,
  learningRate: 1e-3,
  gradientNorm: 1,
  targets: 30,
  tokensPerSecond: 1000,
  residentBytes: 1e8,
  seconds: step,
  ...more,
});

test("a file that goes on keeps the lines up to its step and nothing else", () =>
  inDirectory((folder) => {
    const file = join(folder, "metrics.jsonl");
    const first = right(MetricsFile.open(file, 0));
    for (const step of [1, 2, 3]) right(first.append(line(step)));
    writeFileSync(file, `${readFileSync(file, "utf8")}{"step": 4, "lo`);
    const again = right(MetricsFile.open(file, 2));
    right(again.append(line(3, { loss: 9 })));
    assert.equal(parseMetrics(readFileSync(file, "utf8")), [line(1), line(2), line(3, { loss: 9 })]);
    assert.equal(again.all, parseMetrics(readFileSync(file, "utf8")));
  }));

test("a file that cannot be written is told", () =>
  inDirectory((folder) => {
    mkdirSync(join(folder, "metrics.jsonl"));
    const text = sentences(MetricsFile.open(join(folder, "metrics.jsonl"), 0), folder)[0]!;
    assert.match(
      text,
      /^\[metrics.jsonl\] must be writable; given EISDIR.*; check the free space and permissions$/,
    );
  }));

test("the picture holds a panel for what there is, of no step, one, and very many", () =>
  inDirectory(async (folder) => {
    const file = join(folder, "curves.svg");
    const drawn = async (metrics: readonly StepMetrics[]) => {
      right(await writeCurves(file, metrics));
      return readFileSync(file, "utf8");
    };
    assert.match(await drawn([]), /^<svg [^>]*>[\s\S]*<\/svg>$/);
    const one = await drawn([line(1, { loss: null, gradientNorm: null })]);
    assert.not.match(one, "gradient norm");
    assert.match(one, "learning rate");
    const many = Array.from({ length: 20_000 }, (_, n) =>
      line(n + 1, n % 100 === 0 ? { evaluationLoss: 3 } : {}),
    );
    const svg = await drawn(many);
    for (const word of ["training", "held out", "tokens/s"]) assert.match(svg, word);
    assert.ok(svg.length < 200_000, String(svg.length));
    assert.not.match(svg, /NaN|undefined|Infinity/);
    const blocked = await writeCurves(join(folder, "no/curves.svg"), many);
    assert.match(sentences(blocked, folder)[0]!, /^\[no\/curves.svg\] must be writable; given ENOENT/);
  }));

test.run();
