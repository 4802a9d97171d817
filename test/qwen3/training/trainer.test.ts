/** The training loop: it learns, is interrupted, breaks and goes on. */
import { spawn } from "node:child_process";
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import {
  latestCheckpoint,
  parseMetrics,
  type TrainEvent,
  type TrainOptions,
  train,
  uniformAt,
} from "@weft/qwen3";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { inDirectory, right } from "../weights/files.ts";
import { Bigram } from "./bigram.ts";
import { runOptions } from "./run.ts";
import { sentences } from "./support.ts";

const test = suite("trainer");
const checkpointsOf = (folder: string) => readdirSync(join(folder, "run/checkpoints")).sort();
const metricsOf = (folder: string) => parseMetrics(readFileSync(join(folder, "run/metrics.jsonl"), "utf8"));

/** What two runs of the same must have in common: all but times and memory. */
const numbersOf = (folder: string) =>
  metricsOf(folder).map(({ step, epoch, loss, learningRate, gradientNorm, targets, evaluationLoss }) => [
    step,
    epoch,
    loss,
    learningRate,
    gradientNorm,
    targets,
    evaluationLoss,
  ]);

test("it learns, evaluates, keeps the newest checkpoints, and writes metrics, curves and memory", () =>
  inDirectory(async (folder) => {
    const options = await runOptions(folder);
    const result = right(await train(options));
    assert.equal([result.step, result.stopped, result.skippedSteps], [12, "finished", 0]);
    assert.equal(checkpointsOf(folder), ["step-00000006", "step-00000009", "step-00000012"]);
    const metrics = metricsOf(folder);
    assert.equal(
      metrics.map(({ step }) => step),
      Array.from({ length: 12 }, (_, n) => n + 1),
    );
    assert.ok(metrics[11]!.loss! < 0.7 * metrics[0]!.loss!, `${metrics[0]!.loss} to ${metrics[11]!.loss}`);
    assert.equal(
      metrics.filter(({ evaluationLoss }) => evaluationLoss !== undefined).map(({ step }) => step),
      [5, 10, 12],
    );
    assert.ok(result.evaluationLoss! < metrics[4]!.evaluationLoss!);
    const svg = readFileSync(join(folder, "run/curves.svg"), "utf8");
    assert.match(svg, /^<svg /);
    for (const word of ["loss", "held out", "learning rate", "gradient norm", "tokens/s", "step"])
      assert.match(svg, word);
    const memory = JSON.parse(readFileSync(join(folder, "run/memory.json"), "utf8"));
    assert.equal(
      memory.phases.map(({ phase }: { phase: string }) => phase),
      ["start", "step", "checkpoint", "evaluation"],
    );
    assert.is(memory.planned.parameters, 320 * 320 * 4);
  }));

test("interrupted by the signal it saves and ends; resumed it ends with the same bits and the same metrics", () =>
  inDirectory(async (whole) => {
    const straight = await runOptions(whole);
    right(await train(straight));
    await inDirectory(async (folder) => {
      const stop = new AbortController();
      const first = right(
        await train(
          await runOptions(folder, {
            signal: stop.signal,
            onEvent: (event) => event.kind === "step" && event.metrics.step === 4 && stop.abort(),
          }),
        ),
      );
      assert.equal([first.step, first.stopped], [4, "interrupted"]);
      const events: TrainEvent[] = [];
      const options = await runOptions(folder, { resume: true, onEvent: (event) => events.push(event) });
      const result = right(await train(options));
      assert.is(options.model.steps, 8);
      assert.is(events[0]!.kind, "resumed");
      assert.is(result.stopped, "finished");
      assert.equal(options.model.weight, straight.model.weight);
      assert.equal(numbersOf(folder), numbersOf(whole));
      // Finished already: nothing is done and nothing is written.
      const again = await runOptions(folder, { resume: true });
      assert.is(right(await train(again)).step, 12);
      assert.is(again.model.steps, 0);
    });
  }));

test("metrics behind the last checkpoint, torn lines included, are written again", () =>
  inDirectory(async (folder) => {
    right(await train(await runOptions(folder, { steps: 6 })));
    const file = join(folder, "run/metrics.jsonl");
    appendFileSync(file, '{"step":7,"loss":1}\n{"step":8,"lo');
    right(await train(await runOptions(folder, { resume: true })));
    assert.equal(
      metricsOf(folder).map(({ step }) => step),
      Array.from({ length: 12 }, (_, n) => n + 1),
    );
  }));

test("epochs end a run too", () =>
  inDirectory(async (folder) => {
    const result = right(await train(await runOptions(folder, { steps: 1000, epochs: 1, accumulate: 1 })));
    assert.ok(result.epochs >= 1 && result.epochs < 1.2, String(result.epochs));
    assert.is(result.stopped, "finished");
  }));

test("a few steps that are not finite are skipped and counted", () =>
  inDirectory(async (folder) => {
    const model = new Bigram({ nonFiniteSteps: [2, 3, 7] });
    const result = right(await train(await runOptions(folder, { model })));
    assert.is(result.skippedSteps, 3);
    assert.equal(
      metricsOf(folder)
        .filter(({ skipped }) => skipped === true)
        .map(({ step, loss }) => [step, loss]),
      [
        [2, null],
        [3, null],
        [7, null],
      ],
    );
  }));

test("a loss that stays not finite ends the run: which tensor, which step, and the state before it is saved", () =>
  inDirectory(async (folder) => {
    const many = new Bigram({ nonFiniteSteps: [5, 6, 7, 8] });
    assert.equal(sentences(await train(await runOptions(folder, { model: many })), folder), [
      "[train] loss and gradients must be finite; given loss NaN and gradient norm Infinity in step 8, number 4 in a row; first not finite is the gradient of bigram.weight; at step 8; lower the learning rate or look at the data; the state before the step is in run/failed/step-00000007",
    ]);
    assert.ok(existsSync(join(folder, "run/failed/step-00000007/model.safetensors")));
    assert.equal(checkpointsOf(folder), ["step-00000003", "step-00000006"]);
    rmSync(join(folder, "run"), { recursive: true });
    const broken = new Bigram({ breakAfter: 4 });
    assert.match(
      sentences(
        await train(
          await runOptions(folder, {
            model: broken,
            data: (await runOptions(folder, { batches: { length: 256 } })).data,
          }),
        ),
        folder,
      )[0]!,
      "in step 5, number 1 in a row; first not finite is the weight bigram.weight, flat index 15367; at step 5;",
    );
  }));

test("a new run does not write over an old one", () =>
  inDirectory(async (folder) => {
    right(await train(await runOptions(folder, { steps: 3 })));
    assert.equal(sentences(await train(await runOptions(folder)), folder), [
      "[run/checkpoints] must be empty for a new run; given run/checkpoints/step-00000003; resume, or choose another folder",
    ]);
  }));

test("a checkpoint of another model, optimizer, schedule or data: every difference is named", () =>
  inDirectory(async (folder) => {
    right(await train(await runOptions(folder, { steps: 3 })));
    const other = await runOptions(folder, {
      resume: true,
      model: new Bigram({ vocab: 330, beta2: 0.95 }),
      schedule: { kind: "constant" },
      seed: 4,
      accumulate: 1,
      batches: { length: 64 },
    });
    const before = other.model.weight.slice();
    const lines = sentences(await train(other), folder);
    const place = "[run/checkpoints/step-00000003]";
    const rest = "resume with the same settings, or start a new run";
    assert.equal(lines.slice(0, 8), [
      `${place} model.vocab must be as in the checkpoint, 320; given 330; ${rest}`,
      `${place} optimizer.betas.1 must be as in the checkpoint, 0.99; given 0.95; ${rest}`,
      `${place} schedule.kind must be as in the checkpoint, "inverse square root"; given "constant"; ${rest}`,
      `${place} schedule.peak must be as in the checkpoint, 0.3; given nothing; ${rest}`,
      `${place} seed must be as in the checkpoint, 3; given 4; ${rest}`,
      `${place} accumulate must be as in the checkpoint, 2; given 1; ${rest}`,
      `${place} data.length must be as in the checkpoint, 32; given 64; ${rest}`,
      `${place} data.context must be as in the checkpoint, 32; given 64; ${rest}`,
    ]);
    assert.equal(
      lines.slice(8).map((line) => line.replace(/; check.*/, "")),
      [
        "[run/checkpoints/step-00000003/model.safetensors] must have the shape [330, 330]; given [320, 320]; at bigram.weight",
        "[run/checkpoints/step-00000003/optimizer.safetensors] must have the shape [330, 330]; given [320, 320]; at bigram.weight.first_moment",
        "[run/checkpoints/step-00000003/optimizer.safetensors] must have the shape [330, 330]; given [320, 320]; at bigram.weight.second_moment",
      ],
    );
    assert.equal(other.model.weight, before);
  }));

const damages: readonly [string, (directory: string) => void, RegExp][] = [
  [
    "truncated",
    (directory) => truncateSync(join(directory, "optimizer.safetensors"), 1000),
    /optimizer.safetensors\] must be as it was saved, \d+ bytes; given 1000 bytes; use another checkpoint$/,
  ],
  [
    "a changed byte",
    (directory) => {
      const file = join(directory, "model.safetensors");
      const bytes = readFileSync(file);
      bytes[bytes.length - 1]! ^= 1;
      writeFileSync(file, bytes);
    },
    /model.safetensors\] must be as it was saved, \d+ bytes; given other bytes than were written; use another checkpoint$/,
  ],
  [
    "a lost file",
    (directory) => rmSync(join(directory, "model.safetensors")),
    /given no such file; use another checkpoint$/,
  ],
  [
    "no state",
    (directory) => rmSync(join(directory, "trainer.json")),
    /trainer.json\] must exist; given no such file; it was not finished: use another checkpoint$/,
  ],
  [
    "another format",
    (directory) => change(directory, { format: "x" }),
    /must be the state of a training run \(weft-training-checkpoint\); given "x"; use another checkpoint$/,
  ],
  [
    "a state of nonsense",
    (directory) => change(directory, { state: { step: -1 }, files: {} }),
    /state.step must be an integer of at least 0; given -1; use another checkpoint\n(.*\n){6}.*files must be an object with at least one file; given \{\}; use another checkpoint$/,
  ],
];

function change(directory: string, values: object): void {
  const file = join(directory, "trainer.json");
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, "utf8")), ...values }));
}

for (const [what, damage, sentence] of damages) {
  test(`a damaged checkpoint is named and the one before it is used: ${what}`, () =>
    inDirectory(async (folder) => {
      right(await train(await runOptions(folder, { steps: 6 })));
      damage(join(folder, "run/checkpoints/step-00000006"));
      const events: TrainEvent[] = [];
      const options = await runOptions(folder, {
        resume: true,
        steps: 6,
        onEvent: (event) => events.push(event),
      });
      right(await train(options));
      assert.equal(
        events.slice(0, 2).map(({ kind }) => kind),
        ["damaged", "resumed"],
      );
      const { refused } = { refused: events[0] as Extract<TrainEvent, { kind: "damaged" }> };
      const text = sentences({ _tag: "Left", left: refused.problems }, folder).join("\n");
      assert.match(text, sentence);
      assert.is(options.model.steps, 3);
      // It was made again.
      const { found, refused: none } = await latestCheckpoint(join(folder, "run/checkpoints"));
      assert.is(found!.manifest.state.step, 6);
      assert.is(none.length, 0);
      assert.equal(checkpointsOf(folder), ["step-00000003", "step-00000006"]);
    }));
}

test("a checkpoint of a newer version is neither passed over nor written over", () =>
  inDirectory(async (folder) => {
    right(await train(await runOptions(folder, { steps: 6 })));
    const newest = join(folder, "run/checkpoints/step-00000006");
    change(newest, { version: 2, weft: "9.0.0" });
    const before = readFileSync(join(newest, "trainer.json"), "utf8");
    const options = await runOptions(folder, { resume: true, steps: 9 });
    assert.equal(sentences(await train(options), folder), [
      '[run/checkpoints/step-00000006/trainer.json] must be of version 1; given version 2, written by Weft "9.0.0"; resume with that Weft or a newer one, or remove this checkpoint to go on from the one before it',
    ]);
    assert.is(options.model.steps, 0);
    assert.is(readFileSync(join(newest, "trainer.json"), "utf8"), before);
  }));

test("where no checkpoint is whole, all are named and nothing begins anew", () =>
  inDirectory(async (folder) => {
    right(await train(await runOptions(folder, { steps: 6 })));
    for (const name of checkpointsOf(folder)) rmSync(join(folder, "run/checkpoints", name, "trainer.json"));
    const options = await runOptions(folder, { resume: true });
    assert.is(sentences(await train(options), folder).length, 2);
    assert.is(options.model.steps, 0);
  }));

test("numbers of nonsense are all named", () =>
  inDirectory(async (folder) => {
    const options = await runOptions(folder, {
      steps: 0,
      epochs: -1,
      accumulate: 1.5,
      seed: -1,
      mostSkipped: -1,
      learningRate: () => Number.NaN,
      checkpoints: { everySteps: 0, everyMinutes: 0, keep: 0 },
    });
    const lines = sentences(await train(options), folder);
    assert.equal(
      lines.map((line) => line.split("]")[0]!.slice(1)),
      [
        "steps",
        "accumulate",
        "seed",
        "checkpoints.everySteps",
        "checkpoints.keep",
        "mostSkipped",
        "epochs",
        "checkpoints.everyMinutes",
        "learningRate",
      ],
    );
    assert.is(lines[0], "[steps] must be an integer of at least 1; given 0; correct the option");
    assert.not(existsSync(join(folder, "run")));
  }));

const script = join(import.meta.dirname, "run.ts");
const root = join(import.meta.dirname, "../../..");

interface Ended {
  readonly code: number | null;
  readonly output: string;
  readonly errors: string;
}

/** Runs the process, killed so many milliseconds after its first output. */
function runProcess(
  folder: string,
  steps: number,
  killAfter?: number,
  wrap: readonly string[] = [],
): Promise<Ended> {
  const command = [
    ...wrap,
    process.execPath,
    "--conditions=source",
    "--import",
    "tsx",
    script,
    folder,
    String(steps),
  ];
  return new Promise((resolve, reject) => {
    const child = spawn(command[0]!, command.slice(1), { cwd: root });
    let [output, errors] = ["", ""];
    let timer: NodeJS.Timeout | undefined;
    child.stdout.on("data", (chunk) => {
      output += chunk;
      if (killAfter !== undefined) timer ??= setTimeout(() => child.kill("SIGKILL"), killAfter);
    });
    child.stderr.on("data", (chunk) => {
      errors += chunk;
    });
    child.on("error", reject);
    child.on("close", (code) => {
      clearTimeout(timer);
      resolve({ code, output, errors });
    });
  });
}

test("killed at random moments twenty times, it always resumes and ends with the same weights", async () => {
  const steps = 40;
  await inDirectory(async (whole) => {
    const straight = await runOptions(whole, { steps, checkpoints: { everySteps: 1, keep: 2 } });
    right(await train(straight));
    await inDirectory(async (folder) => {
      let kills = 0;
      for (let trial = 0; kills < 20; trial++) {
        const { code, errors } = await runProcess(folder, steps, Math.floor(uniformAt(99, trial) * 120));
        if (code === null) kills++;
        else {
          assert.is(code, 0, errors);
          // Finished before its time: a further run of the same kind, from the beginning, takes the rest of the kills.
          assertSame(folder);
          rmSync(join(folder, "run"), { recursive: true });
        }
      }
      const last = await runProcess(folder, steps);
      assert.is(last.code, 0, last.errors);
      assertSame(folder);
      assert.equal(numbersOf(folder), numbersOf(whole));
      function assertSame(one: string) {
        for (const name of ["model.safetensors", "optimizer.safetensors"]) {
          const file = join("run/checkpoints", `step-000000${steps}`, name);
          assert.ok(readFileSync(join(one, file)).equals(readFileSync(join(whole, file))), name);
        }
        assert.equal(checkpointsOf(one), [`step-000000${steps - 1}`, `step-000000${steps}`]);
      }
    });
  });
});

test("a disk that takes no more while a checkpoint is saved: the former one is as it was, nothing is left behind", async () => {
  // A limit on the size of files stops a write in its midst, as a full disk does, on a machine that nobody may change.
  await inDirectory(async (folder) => {
    right(await train(await runOptions(folder, { steps: 2, checkpoints: { everySteps: 1, keep: 2 } })));
    const before = checkpointsOf(folder);
    const { code, errors } = await runProcess(folder, 4, undefined, [
      "sh",
      "-c",
      'ulimit -f 1000; exec "$@"',
      "sh",
    ]);
    assert.is(code, 1);
    assert.match(
      errors,
      /the checkpoint must be writable","given":"EFBIG: file too large, write","remedy":"check the free space and permissions; earlier checkpoints are as they were"/,
    );
    assert.equal(checkpointsOf(folder), before);
    const { found, refused } = await latestCheckpoint(join(folder, "run/checkpoints"));
    assert.equal([found!.manifest.state.step, refused.length], [2, 0]);
    const result = await runProcess(folder, 4);
    assert.is(result.code, 0, result.errors);
  });
});

test("what a killed run left unfinished is taken away by the next save, what belongs to nobody stays", () =>
  inDirectory(async (folder) => {
    right(await train(await runOptions(folder, { steps: 2 })));
    const checkpoints = join(folder, "run/checkpoints");
    mkdirSync(join(checkpoints, ".step-00000009.4194304999-0123abcd.tmp"));
    mkdirSync(join(checkpoints, "notes"));
    copyFileSync(join(checkpoints, "step-00000002/trainer.json"), join(checkpoints, "notes/trainer.json"));
    right(await train(await runOptions(folder, { steps: 3, resume: true } satisfies Partial<TrainOptions>)));
    assert.equal(checkpointsOf(folder), ["notes", "step-00000002", "step-00000003"]);
  }));

test.run();
