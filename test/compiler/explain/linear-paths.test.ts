/** Which path each linear takes: decisions, the reasons beside them, and that the native code has the same limit. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  compile,
  cpuStreamedRows,
  cpuStreamedRowsBeforeTiles,
  type DeviceKind,
  describeLinearPath,
  explain,
  type FormatReasons,
  type LinearPath,
  linearPaths,
  printExplanation,
} from "@weft/compiler";
import { orThrow } from "@weft/dsl";
import { qwen3Programs } from "@weft/qwen3";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { threeLayers } from "../../support/qwen3-config.ts";

const test = suite("paths of linears");

const root = join(import.meta.dirname, "../../..");
const inBlocks = "model.layers.1.mlp.";

/** The MLP of one layer in NVFP4, of which `down_proj` quantises its input as well; all else in bf16. */
const quantized = (name: string) =>
  name.startsWith(inBlocks) && name.endsWith("proj.weight")
    ? {
        hasTensorScale: true,
        activations: name.includes("down") ? ("nvfp4" as const) : ("none" as const),
      }
    : undefined;

const reasons = (name: string): FormatReasons =>
  name.startsWith(inBlocks) ? { weight: "a pattern", activations: "an option" } : { weight: "no pattern" };

const compiled = orThrow(
  compile(
    qwen3Programs(threeLayers, {
      capacity: 1024,
      chunk: 512,
      policy: "bf16",
      storage: () => "bf16",
      logits: "last",
      quantized,
      reasons,
    }),
    { name: "paths" },
  ),
);

const paths = (device: DeviceKind) =>
  new Map(linearPaths(compiled, device).map((one) => [`${one.program} ${one.path}`, one]));

const kindsOf = ({ ways }: LinearPath) => ways.map(({ kind, leastRows }) => `${kind} from ${leastRows}`);

test("each linear of each program has a path", () => {
  assert.is(paths("cpu").size, 2 * (7 * threeLayers.layers + 1));
});

test("storage and activations are those of the plan", () => {
  const found = paths("cpu");
  const facts = (path: string) => {
    const { parameter, storage, activations, inputDtype } = found.get(`decode ${path}`)!;
    return [parameter, storage, activations, inputDtype];
  };
  const gate = "model.layers.1.mlp.gate_proj";
  assert.equal(facts(gate), [`${gate}.weight`, "nvfp4", "plain", "bf16"]);
  const down = "model.layers.1.mlp.down_proj";
  assert.equal(facts(down), [`${down}.weight`, "nvfp4", "nvfp4", "bf16"]);
  const other = "model.layers.0.mlp.down_proj";
  assert.equal(facts(other), [`${other}.weight`, "bf16", "plain", "bf16"]);
  assert.equal(facts("lm_head").slice(1), ["bf16", "plain", "bf16"]);
});

test("kernels by rows: the CPU streams few and tiles many, a GPU has a library besides", () => {
  const [cpu, cuda] = [paths("cpu"), paths("cuda")];
  for (const found of [cpu, cuda])
    for (const path of ["model.layers.1.mlp.up_proj", "model.layers.0.mlp.up_proj", "lm_head"])
      assert.equal(kindsOf(found.get(`decode ${path}`)!), ["streamed from 1"]);
  assert.equal(kindsOf(cpu.get("prefill model.layers.1.mlp.up_proj")!), ["streamed from 1", "tiles from 9"]);
  assert.equal(kindsOf(cuda.get("prefill model.layers.1.mlp.up_proj")!), [
    "tiles from 1",
    "dequantised from 256",
  ]);
  assert.equal(kindsOf(cuda.get("prefill model.layers.0.mlp.up_proj")!), [
    "tiles from 1",
    "library from 128",
  ]);
  // Only the last position's logits are computed.
  assert.equal(kindsOf(cuda.get("prefill lm_head")!), ["streamed from 1"]);
});

test("reasons are those that the pass was given, and the text has them", () => {
  const found = paths("cpu");
  assert.equal(found.get("decode model.layers.1.mlp.down_proj")!.reasons, [
    "stored as nvfp4: a pattern",
    "both sides in nvfp4: an option",
  ]);
  assert.equal(found.get("decode model.layers.1.mlp.up_proj")!.reasons, [
    "stored as nvfp4: a pattern",
    "dequantised exactly in the product: an option",
  ]);
  assert.equal(describeLinearPath(found.get("prefill model.layers.0.self_attn.o_proj")!), [
    "model.layers.0.self_attn.o_proj.weight: bf16 times rows of bf16",
    "streamed product: up to 8 rows, 4 with AMX",
    "tiles: more than 8 rows, more than 4 with AMX",
    "not quantised: no pattern",
  ]);
  const text = printExplanation(explain(compiled, "model.layers.1.mlp.down_proj", "cuda")!);
  assert.match(text, "nvfp4 times rows in nvfp4, as the bf16 values that their codes mean");
  assert.match(text, "a library's product of weights that become bf16 in scratch: from 256 rows on");
});

test("the CPU's kernels change from streams to tiles at the same number of rows", () => {
  const native = (name: string) =>
    readFileSync(join(root, "packages/runtime-cpu/native/kernels", name), "utf8");
  const [, blocks] = /nvfp4_streamed_rows = (\d+);/.exec(native("nvfp4_gemv.h"))!;
  const [, tiled, plain] = /bool prefer_gemv\([^)]*\) \{[^}]*return rows <= \(.* \? (\d+) : (\d+)\);/.exec(
    native("gemm.h"),
  )!;
  assert.equal([Number(blocks), Number(plain)], [cpuStreamedRows, cpuStreamedRows]);
  const [, blocksTiled] = /nvfp4_streamed_before_tiles = (\d+);/.exec(native("nvfp4_tile_gemm.h"))!;
  const before = cpuStreamedRowsBeforeTiles;
  assert.equal([Number(blocksTiled), Number(tiled)], [before, before]);
});

test.run();
