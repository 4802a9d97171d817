/** Adapters under training: what learns and what stays, resumption to the bit, and the merged model. */
import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import {
  type AdapterOptions,
  adapterOf,
  adapterParameters,
  batchOf,
  compileTrainingModel,
  exportHuggingFace,
  filesBeside,
  initialAdapter,
  mergedModel,
  openAdapter,
  openCheckpoint,
  openTrainingModel,
  prepareQwen3,
  readCheckpointWeights,
  readTensor,
  requiredTensors,
  TrainableModel,
  type TrainingModel,
  train,
  writeAdapter,
  writeSafetensors,
} from "@weft/qwen3";
import type { Weight } from "@weft/runtime";
import { cpuDevice } from "@weft/runtime-cpu";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { largestDifference as largestOfRows } from "../../support/largest-difference.ts";
import { devicesHere, openInterpreted, openOn } from "../../support/models.ts";
import { configOf } from "../../support/qwen3-config.ts";
import { runOptions } from "../training/run.ts";
import { fixtures, inDirectory, left, right } from "../weights/files.ts";

const test = suite("adapters under training");

const tiny = join(fixtures, "tiny");
const tied = join(fixtures, "tiny-tied");
const devices = await devicesHere();
const text = [5, 17, 3, 44, 21, 8, 60, 2, 33, 12, 7, 19];
const lora: AdapterOptions = { rank: 4, alpha: 8 };

async function withTraining<A>(
  directory: string,
  options: AdapterOptions,
  work: (training: TrainingModel, weights: (name: string) => Weight | undefined) => Promise<A>,
  policy: "f32" | "bf16" = "f32",
): Promise<A> {
  const { config, weights } = right(readCheckpointWeights(directory));
  using device = cpuDevice({ threads: 2 });
  using training = await openTrainingModel(config, weights, device, {
    sequence: 32,
    lora: { ...options, seed: 3 },
    policy,
    programs: ["train", "accumulate", "update", "loss"],
    generation: { capacity: 32, chunk: 32, logits: "all" },
  });
  return await work(training, (name) => weights[name]);
}

async function learn(training: TrainingModel, steps: number): Promise<number[]> {
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    const { loss, skipped } = await training.step(batchOf([{ tokens: text }]), { learningRate: 0.01 });
    assert.not(skipped);
    losses.push(loss);
  }
  return losses;
}

const largestDifference = (a: ArrayLike<number>, b: ArrayLike<number>) => largestOfRows([a], [b]);

const prefill = async (
  executable: TrainingModel["executable"],
  symbols: Readonly<Record<string, number>> = {},
): Promise<Float32Array> => {
  const given = {
    symbols: { seq: text.length, past: 0, dropped: 0, ...symbols },
    inputs: { tokens: Int32Array.from(text) },
  };
  return (await executable.run("prefill", given)).outputs.logits as Float32Array;
};

test("it begins with the base's loss and learns; no state and no kernel of an update belongs to the base", async () => {
  for (const [directory, policy] of [
    [tiny, "f32"],
    [tied, "bf16"],
  ] as const) {
    const check = async (training: TrainingModel) => {
      const { config, weights } = right(readCheckpointWeights(directory));
      using device = cpuDevice({ threads: 2 });
      using base = await openTrainingModel(config, weights, device, {
        sequence: 32,
        policy,
        programs: ["loss"],
      });
      const batch = batchOf([{ tokens: text }]);
      const [own, of] = [await training.loss(batch), await base.loss(batch)];
      assert.ok(Math.abs(own.loss - of.loss) <= 1e-6 * of.loss, `${own.loss} and ${of.loss}`);
      const losses = await learn(training, 20);
      assert.ok(losses.at(-1)! < 0.3 * losses[0]!, losses.join(" "));

      const names = adapterParameters(training.adapter!).map(({ name }) => name);
      assert.is(names.length, 2 * 7 * config.layers);
      assert.equal(training.trained, names);
      const { plan } = training.executable;
      const states = plan.buffers.flatMap((one) => (one.class === "state" ? [one.name] : []));
      const isOfAdapter = (name: string) => names.some((one) => name.endsWith(one));
      const others = states.filter((name) => !isOfAdapter(name) && !/\.cache\.(key|value)$/.test(name));
      assert.equal(others.sort(), ["optimizer.loss", "optimizer.skipped", "optimizer.tokens"]);
      // Weight, two moments, and the sum over several passes.
      assert.is(states.filter(isOfAdapter).length, 4 * names.length);
      // The base is mapped as it is stored.
      for (const one of plan.buffers.filter(({ class: kind }) => kind === "weights"))
        assert.is(one.dtype, weights[one.name]!.dtype, one.name);
      const steps = plan.programs.find(({ name }) => name === "train")!.steps;
      const updates = steps.filter(({ kernel }) => plan.kernels[kernel]!.name.startsWith("adam_w"));
      assert.equal(
        updates.map(({ origins }) => origins[0]!).sort(),
        names.map((name) => name.slice(0, -".weight".length)).sort(),
      );
    };
    await withTraining(directory, lora, check, policy);
  }
});

test("kernels of a layer with adapters on all its linears", () => {
  const shape = { hidden: 64, heads: 4, kvHeads: 2, headDim: 16, intermediate: 128, vocab: 320 };
  const counted = (layers: number) => {
    const { plan } = compileTrainingModel(configOf({ ...shape, layers }), () => undefined, {
      sequence: 16,
      lora,
      programs: ["train"],
      generation: { capacity: 32, chunk: 16, logits: "all" },
    });
    return new Map(plan.programs.map(({ name, steps }) => [name, steps.length]));
  };
  const [few, more] = [counted(3), counted(4)];
  const perLayer = [...more].map(([name, count]) => [name, count - few.get(name)!]);
  // Of training: 14 forward; backward five products for each of seven linears, none of which is the gradient of a weight
  // of the base, seven small products scaled, and nine of rows and attention; 15 for the norm, 14 updates.
  assert.equal(perLayer, [
    ["train", 94],
    ["prefill", 12],
    ["decode", 12],
  ]);
});

test("A is uniform within 1 / sqrt(in), the same for the same seed; B is 0", () => {
  const { config } = right(readCheckpointWeights(tiny));
  const adapter = adapterOf(config, { rank: 16 });
  const [one, again, other] = [1, 1, 2].map((seed) => initialAdapter(adapter, seed));
  for (const { a, b } of adapter.linears) {
    const values = one!(a.name)!.data as Float32Array;
    const bound = Math.sqrt(16 / values.length);
    assert.ok(Math.max(...values.map(Math.abs)) <= bound);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const square = values.reduce((sum, value) => sum + value * value, 0) / values.length;
    assert.ok(Math.abs(mean) < 0.1 * bound, `mean ${mean}`);
    // Of a uniform distribution: bound^2 / 3.
    assert.ok(Math.abs(square / (bound * bound) - 1 / 3) < 0.05, `square ${square}`);
    assert.equal(again!(a.name)!.data, values);
    assert.not.equal(other!(a.name)!.data, values);
    assert.ok((one!(b.name)!.data as Float32Array).every((value) => value === 0));
  }
  assert.is(one!("model.norm.weight"), undefined);
});

test("six steps are three steps, a checkpoint and three more, bit for bit; a checkpoint is an adapter", () =>
  inDirectory(async (folder) => {
    const run = (name: string, steps: number, resume: boolean) =>
      withTraining(tiny, { ...lora, targets: ["q_proj", "down_proj"] }, async (training, weights) => {
        const model = new TrainableModel(training, weights, { maxNorm: 1 }, "base");
        const options = await runOptions(folder, {
          learningRate: (step: number) => 1e-2 / step,
          checkpoints: { everySteps: 3 },
          steps,
          resume,
        });
        const result = right(await train({ ...options, folder: join(folder, name), model }));
        const directory = join(folder, `${name}-adapter`);
        right(await writeAdapter({ directory, model }));
        return result;
      });
    const whole = await run("whole", 6, false);
    await run("parts", 3, false);
    const parts = await run("parts", 6, true);
    assert.is(parts.loss, whole.loss);
    for (const file of ["adapter_model.safetensors", "adapter_config.json", "optimizer.safetensors"]) {
      const [one, two] = [whole, parts].map(({ checkpoint }) => readFileSync(join(checkpoint, file)));
      assert.ok(one!.equals(two!), file);
      if (file !== "optimizer.safetensors")
        assert.ok(one!.equals(readFileSync(join(folder, "whole-adapter", file))), file);
    }
    const { config } = right(readCheckpointWeights(tiny));
    const { adapter } = right(openAdapter(whole.checkpoint, config));
    assert.equal(adapter, adapterOf(config, { ...lora, targets: ["q_proj", "down_proj"] }));
    const told = JSON.parse(readFileSync(join(whole.checkpoint, "adapter_config.json"), "utf8"));
    assert.equal(told.target_modules, ["q_proj", "down_proj"]);
    assert.is(told.base_model_name_or_path, "base");
  }));

test("another base and other adapters are refused before anything is put back, all of them at once", () =>
  inDirectory(async (folder) => {
    const other = join(folder, "other");
    cpSync(tiny, other, { recursive: true });
    const { tensors } = right(openCheckpoint(tiny));
    const changed = ["model.norm.weight", "model.layers.1.mlp.up_proj.weight"];
    right(
      writeSafetensors(
        join(other, "model.safetensors"),
        [...tensors.values()].map((entry) => {
          const data = readTensor(entry);
          if (changed.includes(entry.name)) data[5]! += 1e-3;
          return { name: entry.name, dtype: entry.dtype, shape: entry.shape, data };
        }),
      ),
    );
    const run = (directory: string, options: AdapterOptions) =>
      withTraining(directory, options, async (training, weights) => {
        const model = new TrainableModel(training, weights);
        const before = await training.parameter(training.trained[0]!);
        const result = await train({
          ...(await runOptions(folder, { steps: 1, evaluation: undefined as never })),
          model,
          resume: true,
        });
        return { result, untouched: before, after: await training.parameter(training.trained[0]!) };
      });
    right((await run(tiny, lora)).result);
    const { result, untouched, after } = await run(other, { ...lora, alpha: 4 });
    const checkpoint = join(folder, "run/checkpoints/step-00000001");
    const frozen = (name: string) =>
      `[${checkpoint}] a weight that is not trained must be as the run began with it; given other values; at ${name}; resume with the model that the run began with`;
    assert.equal(left(result), [
      `[${checkpoint}] optimizer.lora.alpha must be as in the checkpoint, 8; given 4; resume with the same settings, or start a new run`,
      ...requiredTensors(right(readCheckpointWeights(tiny)).config)
        .map(({ name }) => name)
        .filter((name) => changed.includes(name))
        .map(frozen),
    ]);
    assert.equal(after, untouched);
  }));

for (const directory of [tiny, tied]) {
  test(`${directory.endsWith("tied") ? "bf16, tied" : "f32"}: logits of training, of base and adapter, and of the merged model`, () =>
    inDirectory(async (folder) => {
      const adapterDirectory = join(folder, "adapter");
      const merged = join(folder, "merged");
      const trained = await withTraining(directory, lora, async (training, weights) => {
        await learn(training, 6);
        const model = new TrainableModel(training, weights);
        right(await writeAdapter({ directory: adapterDirectory, model }));
        right(
          await exportHuggingFace({
            directory: merged,
            model: model.merged(),
            copy: filesBeside(directory),
          }),
        );
        return prefill(training.executable, { length: 0 });
      });
      const common = { capacity: 32, logits: "all" } as const;
      using base = await openOn("cpu", directory, common);
      const scale = Math.max(...trained.map(Math.abs));
      assert.ok(largestDifference(await prefill(base.executable), trained) > 0.05 * scale);
      using beside = await openInterpreted(directory, { ...common, adapter: adapterDirectory });
      const exact = await prefill(beside.executable);
      assert.ok(largestDifference(exact, trained) < 1e-4 * scale);
      for (const on of devices) {
        using opened = await openOn(on, directory, { ...common, adapter: adapterDirectory });
        assert.ok(largestDifference(await prefill(opened.executable), exact) < 1e-4 * scale, on);
      }
      // Every tensor is there, in the base's dtype.
      const [was, is] = [directory, merged].map((one) => right(openCheckpoint(one)).tensors);
      for (const { name } of requiredTensors(base.config)) {
        assert.is(is!.get(name)!.dtype, was!.get(name)!.dtype);
        const isSame = largestDifference(readTensor(is!.get(name)!), readTensor(was!.get(name)!)) === 0;
        assert.is(isSame, !/_proj\.weight$/.test(name), name);
      }
      using whole = await openOn("cpu", merged, common);
      // A weight of bf16 is rounded once more when it is merged.
      const tolerance = directory === tied ? 0.03 : 1e-4;
      assert.ok(largestDifference(await prefill(whole.executable), exact) < tolerance * scale);
      // The same from the adapter's files.
      const { config, weights } = right(readCheckpointWeights(directory));
      const { adapter, values } = right(openAdapter(adapterDirectory, config));
      const again = mergedModel({ config, weights: (name) => weights[name], adapter, values });
      right(await exportHuggingFace({ directory: join(folder, "again"), model: again, copy: [] }));
      const [one, two] = [merged, join(folder, "again")].map((at) =>
        readFileSync(join(at, "model.safetensors")),
      );
      assert.ok(one!.equals(two!));
    }));
}

test("lora is not for use with trainable; a rank that does not fit names the weights", () => {
  const { config, weights } = right(readCheckpointWeights(tiny));
  const compiling = (options: object) => () =>
    compileTrainingModel(config, (name) => weights[name], { sequence: 8, ...options });
  assert.throws(
    compiling({ lora, trainable: () => true }),
    "[training] lora trains adapters only, so it cannot be used with trainable; choose linears by the targets of lora",
  );
  assert.throws(
    compiling({ lora: { rank: 33, targets: ["k_proj"] } }),
    /the rank must be at most 32, .*; given 33; at model\.layers\.0\.self_attn\.k_proj;/,
  );
  assert.throws(compiling({ lora: { rank: 2, targets: ["lm_head", "qproj"] } }), /did you mean "q_proj"\?/);
});

test("an adapter of another scale is another plan, though its tensors are alike", () =>
  inDirectory(async (folder) => {
    const hashes = new Set<string>();
    for (const alpha of [1, 2]) {
      const directory = join(folder, `adapter-${alpha}`);
      await withTraining(tiny, { rank: 2, alpha, targets: ["v_proj"] }, async (training, weights) => {
        right(await writeAdapter({ directory, model: new TrainableModel(training, weights) }));
      });
      for (const _ of [1, 2]) {
        const planCache = join(folder, "plans");
        const options = { capacity: 16, chunk: 1, adapter: directory, record: false, planCache };
        hashes.add(right(prepareQwen3(tiny, options)).compiled.plan.hash);
      }
    }
    assert.is(hashes.size, 2);
  }));

test.run();
