/** Opening: what is wrong with a directory is said at once, by name, with what to do; what is not needed is not read. */
import { existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { orThrow } from "@weft/dsl";
import { generate, logitsOf, openQwen3, prepareQwen3, writeSafetensors } from "@weft/qwen3";
import { cpuDevice } from "@weft/runtime-cpu";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { addTokenizer, type CheckpointShape, configOf, writeCheckpoint } from "../../support/checkpoints.ts";
import { inDirectory, rejectsWith } from "./support.ts";

const shape: CheckpointShape = {
  hidden: 16,
  layers: 2,
  heads: 2,
  kvHeads: 1,
  headDim: 8,
  intermediate: 24,
  vocab: 320,
};

const inCheckpoint = (work: (directory: string) => Promise<void>, given: CheckpointShape = shape) =>
  inDirectory(async (directory) => {
    writeCheckpoint(directory, given);
    addTokenizer(directory);
    await work(directory);
  });

const editConfig = (directory: string, changes: object) =>
  writeFileSync(join(directory, "config.json"), JSON.stringify({ ...configOf(shape), ...changes }));

test("a sound directory opens; the memory is as predicted; progress is told", async () => {
  await inCheckpoint(async (directory) => {
    const stages: string[] = [];
    using model = await openQwen3(directory, {
      threads: 2,
      withTokenizer: true,
      onProgress: ({ stage, milliseconds }) => {
        assert.ok(milliseconds >= 0);
        stages.push(stage);
      },
    });
    assert.equal(stages, ["checkpoint", "compile", "load", "tokenizer", "ready"]);
    assert.is(model.capacity, 512, "what the model was trained for");
    assert.is(model.options.chunk, 512);
    assert.is(model.options.dtype, "f32");
    const { predicted, measured } = model.memory();
    assert.equal(measured, predicted);
    assert.ok(predicted.total > 0 && predicted.weightsMapped > 0);
    assert.equal(model.plan.programs.map(({ name }) => name).sort(), ["decode", "prefill"]);
    // The tokenizer's end of text counts, too; the others name none here.
    assert.equal(model.stopTokenIds, [319]);
  });
});

test("everything wrong with the files is reported together", async () => {
  await inCheckpoint(async (directory) => {
    editConfig(directory, { hidden_size: -1, num_attention_heads: "two" });
    writeFileSync(join(directory, "generation_config.json"), '{"temperature": "hot"}');
    truncateSync(join(directory, "model.safetensors"), 1000);
    const message = await rejectsWith(
      () => openQwen3(directory),
      "hidden_size must be",
      "num_attention_heads must be",
      "temperature must be",
      "model.safetensors",
    );
    assert.ok(message.split("\n").length >= 4);
    rmSync(directory, { recursive: true });
    const absent = await rejectsWith(() => openQwen3(directory), "must exist; given no such directory");
    assert.is(absent.split("\n").length, 1);
    writeFileSync(directory, "");
    await rejectsWith(() => openQwen3(directory), "config.json");
  });
});

test("all missing, misshapen and oddly stored weights are listed at once, with suggestions", async () => {
  await inDirectory(async (directory) => {
    const tensors = writeCheckpoint(directory, shape);
    const changed = tensors
      .filter(({ name }) => name !== "model.norm.weight")
      .map((tensor) =>
        tensor.name === "model.layers.0.mlp.up_proj.weight"
          ? { ...tensor, shape: [16, 24] }
          : tensor.name === "model.layers.1.self_attn.k_norm.weight"
            ? { ...tensor, dtype: "I32" as const }
            : tensor.name === "model.layers.1.mlp.gate_proj.weight"
              ? { ...tensor, name: "model.layers.1.mlp.gate_porj.weight" }
              : tensor,
      );
    orThrow(writeSafetensors(join(directory, "model.safetensors"), changed));
    const message = await rejectsWith(
      () => openQwen3(directory),
      "model.norm.weight",
      "must have the shape [24, 16]; given [16, 24]",
      "must be stored as F32 or BF16 or F16; given I32",
      "did you mean model.layers.1.mlp.gate_porj.weight?",
    );
    assert.is(message.split("\n").length, 4);
  });
});

test("a config that does not belong to the weights is refused by their shapes", async () => {
  await inCheckpoint(async (directory) => {
    editConfig(directory, { num_hidden_layers: 3, intermediate_size: 25 });
    const message = await rejectsWith(
      () => openQwen3(directory),
      "model.layers.2.mlp.up_proj.weight",
      "[25, 16]",
    );
    // Eleven parameters of the third layer and three matrices in each of the first two.
    assert.is(message.split("\n").length, 11 + 6);
  });
});

test("options that make no sense are refused together", async () => {
  await inCheckpoint(async (directory) => {
    const message = await rejectsWith(
      () =>
        openQwen3(directory, {
          capacity: 513,
          chunk: 0,
          threads: 0,
          memoryLimitBytes: -1,
          dtype: "f8" as never,
          logits: "some" as never,
          device: "gpu" as never,
        }),
      "at most max_position_embeddings",
      "512; given 513",
      "prefill chunk",
      "threads",
      "memory limit",
      "dtype must be f32 or bf16",
      "logits must be last or all",
      "device must be cpu",
    );
    assert.is(message.split("\n").length, 7);
    await rejectsWith(() => openQwen3(directory, { capacity: 2.5 }), "capacity must be an integer");
    await rejectsWith(() => openQwen3(directory, { threads: 1e9 }), "threads", "1000000000");
    await rejectsWith(
      () => openQwen3(directory, { observe: ["model.layer.0"] }),
      '"model.layer.0"',
      "model.layers.0",
    );
    await rejectsWith(
      () => openQwen3(directory, { fp4: "fast" as never }),
      "fp4 must be emulated or hardware",
    );
    await rejectsWith(
      () =>
        openQwen3(directory, {
          fp4: "hardware",
          quantize: [{ pattern: "*.q_proj", format: "nvfp4" }],
          activations: "nvfp4",
        }),
      "fp4 hardware must go with a GPU",
      'given "cpu"',
    );
    await rejectsWith(
      () => openQwen3(directory, { fp4: "hardware", device: "cuda-sim" }),
      "fp4 hardware must go with activations in nvfp4",
    );
    using device = cpuDevice();
    await rejectsWith(() => openQwen3(directory, { device, threads: 2 }), "threads must be left out");
    await rejectsWith(
      () => openQwen3(directory, { device, fp4: "hardware" }),
      "or give fp4 when making the device",
    );
    using model = await openQwen3(directory, { device, capacity: 16 });
    assert.is(model.device, device);
    assert.is(model.options.chunk, 16, "the chunk is clipped to the capacity");
  });
});

test("one thread and very many", async () => {
  await inCheckpoint(async (directory) => {
    for (const threads of [1, 64]) {
      using model = await openQwen3(directory, { threads, capacity: 8 });
      assert.is(
        (await generate(model, [1, 2], { maxTokens: 2, text: false, ignoreEos: true }).finish()).tokens
          .length,
        2,
      );
    }
  });
});

test("a memory limit is held before anything is loaded", async () => {
  await inCheckpoint(async (directory) => {
    using small = await openQwen3(directory, { capacity: 8 });
    const { total } = small.memory().predicted;
    await rejectsWith(
      () => openQwen3(directory, { capacity: 8, memoryLimitBytes: total - 1 }),
      "state",
      "activations",
    );
    using model = await openQwen3(directory, { capacity: 8, memoryLimitBytes: total });
    assert.is(model.memory().measured.total, total);
  });
});

test("the tokenizer is needed for text only", async () => {
  await inCheckpoint(async (directory) => {
    const file = join(directory, "tokenizer.json");
    const text = readFileSync(file, "utf8");
    writeFileSync(file, text.slice(0, 500));
    using broken = await openQwen3(directory, { capacity: 16 });
    assert.throws(() => broken.tokenizer(), /tokenizer\.json/);
    await rejectsWith(() => generate(broken, "text").finish(), "tokenizer.json");
    await rejectsWith(() => openQwen3(directory, { withTokenizer: true }), "tokenizer.json");
    const ids = await generate(broken, [1, 2, 3], { text: false, maxTokens: 2, ignoreEos: true }).finish();
    assert.is(ids.tokens.length, 2);
    rmSync(file);
    using absent = await openQwen3(directory, { capacity: 16 });
    assert.throws(() => absent.tokenizer(), /must exist/);
    assert.is((await logitsOf(absent, [1, 2], { mode: "step" })).logits.length, 2);
  });
});

test("a tokenizer of another model is refused", async () => {
  await inCheckpoint(
    async (directory) => {
      using model = await openQwen3(directory, { capacity: 16 });
      assert.throws(() => model.tokenizer(), /vocab_size.*300/);
      assert.equal(model.stopTokenIds, [], "an id beyond the vocabulary can never be picked");
    },
    { ...shape, vocab: 300 },
  );
});

test("logits of every position need a model that was opened for them", async () => {
  await inCheckpoint(async (directory) => {
    using model = await openQwen3(directory, { capacity: 16, chunk: 4 });
    await rejectsWith(
      () => logitsOf(model, [1, 2, 3, 4, 5, 6], { hidden: true }),
      "chunk of 4",
      'logits "all"',
      "no observed paths",
    );
    await rejectsWith(() => logitsOf(model, []), "at least one token");
    await rejectsWith(() => logitsOf(model, [320]), "0 to 319");
    await rejectsWith(() => logitsOf(model, [1], { mode: { chunk: 0 } }), "chunk must be");
  });
});

test("preparing reads no weights and needs no device", async () => {
  await inCheckpoint(async (directory) => {
    const prepared = orThrow(prepareQwen3(directory, { dtype: "bf16", capacity: 32 }));
    using device = cpuDevice({ threads: 2 });
    const memory = device.predictMemory(prepared.compiled.plan, { weights: prepared.weights });
    // Matrices in F32 are converted to bf16, norms are mapped.
    assert.ok(memory.weightsCopied > 0 && memory.weightsMapped > 0);
    assert.is(prepared.compiled.plan.memory.state, memory.state);
  });
});

test("a disposed model says so; disposing twice does nothing", async () => {
  await inCheckpoint(async (directory) => {
    const model = await openQwen3(directory, { capacity: 16 });
    const context = model.createContext();
    await context.append([1, 2, 3]);
    model[Symbol.dispose]();
    model[Symbol.dispose]();
    await rejectsWith(() => context.append([4]), "after it was disposed");
    assert.ok(existsSync(join(directory, "model.safetensors")));
  });
});

test.run();
