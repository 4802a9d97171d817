import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  bindWeights,
  openCheckpoint,
  type RequiredTensor,
  writeSafetensors,
} from "../../../packages/qwen3/src/weights/index.ts";
import { fixtures, inDirectory, left, refusedWith, right } from "./files.ts";

const test = suite("qwen3/weights: checkpoints and binding");

const write = (directory: string, shard: string, names: string[]) =>
  right(
    writeSafetensors(
      join(directory, shard),
      names.map((name) => ({ name, dtype: "F32", shape: [2], data: Float32Array.of(1, 2) })),
    ),
  );
const writeIndex = (directory: string, index: unknown) =>
  writeFileSync(
    join(directory, "model.safetensors.index.json"),
    typeof index === "string" ? index : JSON.stringify(index),
  );
const [first, second] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];

test("one file, by directory or by path", () => {
  const whole = right(openCheckpoint(join(fixtures, "tiny")));
  assert.is(whole.tensors.size, 25);
  assert.is(
    whole.tensorBytes,
    [...whole.tensors.values()].reduce((sum, { begin, end }) => sum + end - begin, 0),
  );
  const file = join(fixtures, "tiny/model.safetensors");
  assert.equal(whole.files, [file]);
  assert.is(right(openCheckpoint(file)).tensors.size, 25);
});

test("shards with an index", async () => {
  await inDirectory((directory) => {
    write(directory, first!, ["a", "b"]);
    write(directory, second!, ["c"]);
    writeIndex(directory, { metadata: { total_size: 24 }, weight_map: { a: first, b: first, c: second } });
    const checkpoint = right(openCheckpoint(directory));
    assert.equal([...checkpoint.tensors.keys()], ["a", "b", "c"]);
    assert.is(checkpoint.tensors.get("c")!.file, join(directory, second!));
    assert.is(checkpoint.tensorBytes, 24);
  });
});

test("no weights: what is there instead decides the advice", async () => {
  refusedWith(openCheckpoint("/nowhere/at/all"), "/nowhere/at/all] must exist");
  const file = join(fixtures, "tiny/config.json");
  refusedWith(openCheckpoint(join(file, "beyond a file")), "must exist");
  refusedWith(openCheckpoint("with a \0 in it"), "must exist");
  await inDirectory((directory) => {
    refusedWith(
      openCheckpoint(directory),
      "must hold model.safetensors, model.safetensors.index.json or a .dat file",
      "given none of them",
    );
    writeFileSync(join(directory, "pytorch_model.bin"), "");
    refusedWith(
      openCheckpoint(directory),
      "given pytorch_model.bin",
      "convert the checkpoint to safetensors",
    );
    write(directory, "weights.safetensors", ["a"]);
    refusedWith(openCheckpoint(directory), "rename weights.safetensors to model.safetensors");
    write(directory, "more.safetensors", ["b"]);
    refusedWith(openCheckpoint(directory), "fetch model.safetensors.index.json");
  });
});

test("a missing shard and a damaged one, together", async () => {
  await inDirectory((directory) => {
    write(directory, first!, ["a"]);
    writeFileSync(join(directory, "x.safetensors"), "short");
    writeIndex(directory, { weight_map: { a: first, b: second, c: second, d: "x.safetensors" } });
    const lines = left(openCheckpoint(directory));
    assert.is(lines.length, 2, lines.join("\n"));
    assert.match(lines[0]!, new RegExp(`${second}\\] must exist`));
    assert.match(lines[1]!, /x\.safetensors\] must begin with the 8-byte length/);
  });
});

test("an index that lies", async () => {
  await inDirectory((directory) => {
    write(directory, first!, ["a", "b"]);
    write(directory, second!, ["c"]);
    writeIndex(directory, { weight_map: { a: first, b: second, c: second, d: second } });
    const lines = left(openCheckpoint(directory));
    assert.is(lines.length, 2, lines.join("\n"));
    assert.match(
      lines[0]!,
      /a listed tensor must be in its shard; given it is in .*00001.* not in .*00002.*; at b/,
    );
    assert.match(lines[1]!, /given .*00002.* does not hold it; at d/);

    write(directory, second!, ["b", "c"]);
    writeIndex(directory, { weight_map: { a: first, b: first, c: second } });
    refusedWith(openCheckpoint(directory), "in one shard only", "at b");
  });
});

test("a broken index", async () => {
  await inDirectory((directory) => {
    const cases: [unknown, string][] = [
      ["{", "must be valid JSON"],
      ["[]", "must hold a JSON object"],
      [{}, "weight_map must be an object"],
      [{ weight_map: [] }, "weight_map must be an object"],
      [{ weight_map: {} }, "weight_map must list tensors"],
      [{ weight_map: { a: 7 } }, "must name a .safetensors file"],
      [{ weight_map: { a: "../other/model.safetensors" } }, "of the same directory"],
      [{ weight_map: { a: "/etc/passwd" } }, "of the same directory"],
      [`{"weight_map":{"a":"${first}","a":"${first}"}}`, "listed once"],
    ];
    for (const [index, message] of cases) {
      writeIndex(directory, index);
      refusedWith(openCheckpoint(directory), "model.safetensors.index.json] ", message);
    }
  });
});

const want = (
  name: string,
  shape: number[],
  ...dtypes: RequiredTensor["dtypes"][number][]
): RequiredTensor => ({
  name,
  shape,
  dtypes: dtypes.length > 0 ? dtypes : ["F32", "BF16"],
});

test("binding returns the entries asked for and lists the others", () => {
  const checkpoint = right(openCheckpoint(join(fixtures, "tiny")));
  const bound = right(
    bindWeights([want("model.norm.weight", [64]), want("model.embed_tokens.weight", [320, 64])], checkpoint),
  );
  assert.equal([...bound.tensors.keys()], ["model.norm.weight", "model.embed_tokens.weight"]);
  assert.is(bound.unused.length, 23);
  assert.ok(bound.unused.includes("lm_head.weight"));
});

test("all that is missing, misshapen or of the wrong type comes at once, with suggestions", () => {
  const checkpoint = right(openCheckpoint(join(fixtures, "tiny")));
  const lines = left(
    bindWeights(
      [
        want("model.layers.0.self_attn.q_projection.weight", [64, 64]),
        want("model.norm.weight", [65]),
        want("model.layers.1.self_attn.k_prox.weight", [32, 64]),
        want("lm_head.weight", [320, 64], "BF16", "F16"),
        want("model.layers.0.mlp.up_proj.weight", [64, 128], "BF16"),
        want("transformer.model.embed_tokens.weight", [320, 64]),
        want("layers.0.mlp.gate_proj.weight", [128, 64]),
        want("a.bias", [3]),
      ],
      checkpoint,
    ),
  );
  const file = join(fixtures, "tiny/model.safetensors");
  const missing = `[${join(fixtures, "tiny")}] a parameter of the model must be in the checkpoint; given no such tensor; at`;
  assert.equal(lines, [
    `${missing} model.layers.0.self_attn.q_projection.weight; add F32 [64, 64], or check that config.json belongs to these weights`,
    `[${file}] must have the shape [65]; given [64]; at model.norm.weight; check that config.json belongs to these weights`,
    `${missing} model.layers.1.self_attn.k_prox.weight; did you mean model.layers.1.self_attn.k_proj.weight?`,
    `[${file}] must be stored as BF16 or F16; given F32; at lm_head.weight; convert the checkpoint`,
    `[${file}] must have the shape [64, 128]; given [128, 64]; at model.layers.0.mlp.up_proj.weight; check that config.json belongs to these weights`,
    `[${file}] must be stored as BF16; given F32; at model.layers.0.mlp.up_proj.weight; convert the checkpoint`,
    `${missing} transformer.model.embed_tokens.weight; did you mean model.embed_tokens.weight?`,
    `${missing} layers.0.mlp.gate_proj.weight; did you mean model.layers.0.mlp.gate_proj.weight?`,
    `${missing} a.bias; add F32 [3], or check that config.json belongs to these weights`,
  ]);
});

test("binding four hundred wrong names stays fast", async () => {
  await inDirectory((directory) => {
    const names = (prefix: string) =>
      Array.from({ length: 400 }, (_, index) => `${prefix}.layers.${index}.self_attn.q_proj.weight`);
    write(directory, "model.safetensors", names("encoder"));
    const checkpoint = right(openCheckpoint(directory));
    const begin = performance.now();
    const lines = left(
      bindWeights(
        names("model").map((name) => want(name, [2])),
        checkpoint,
      ),
    );
    assert.is(lines.length, 400);
    assert.ok(performance.now() - begin < 3000);
  });
});

test("a model.safetensors is preferred to a stale index", async () => {
  await inDirectory((directory) => {
    mkdirSync(join(directory, "model"));
    cpSync(join(fixtures, "tiny/model.safetensors"), join(directory, "model/model.safetensors"));
    writeIndex(join(directory, "model"), { weight_map: { a: "gone.safetensors" } });
    assert.is(right(openCheckpoint(join(directory, "model"))).tensors.size, 25);
    rmSync(join(directory, "model/model.safetensors"));
    refusedWith(openCheckpoint(join(directory, "model")), "gone.safetensors] must exist");
  });
});

test.run();
