// How to test a model's graph: what its blocks take and give, which kernels they become, what memory that takes, and that
// a rewrite computes the same. No value would show that a kernel was split in two or that a buffer was added.
//
//   npx tsx examples/graph-test.ts
//   WEFT_UPDATE_GOLDEN=1 npx tsx examples/graph-test.ts      writes the snapshot anew
import { expandBlock } from "@weft/compiler";
import {
  assertEquivalent,
  assertGraph,
  assertKernels,
  assertPeakBytes,
  assertWires,
  compileBlock,
  gradCheck,
} from "@weft/compiler/testing";
import { axis, chain, linear, merge, mul, parallel, residual, rmsNorm, silu, wire } from "@weft/dsl";
import { cpuDevice } from "@weft/runtime-cpu";
import { test } from "uvu";

const hidden = axis("hidden", 64);
const wide = axis("wide", 128);
const lead = [axis("seq", { symbol: "seq", max: 32 })];

const norm = rmsNorm("norm", hidden, 1e-6);
const gate = linear("gate", hidden, wide);
const up = linear("up", hidden, wide);
const down = linear("down", wide, hidden);
const mlp = residual(chain(norm, parallel(chain(gate, silu), up), merge(mul), down));

test("the gated layer gives what it takes", () => {
  assertWires(mlp, "[..., hidden=64] -> [..., hidden=64]");
});

test("its graph is the one that was looked at and kept", () => {
  const graph = expandBlock(mlp, { name: "mlp", lead });
  assertGraph(graph, new URL("snapshots/mlp.graph", import.meta.url));
});

test("it is two kernels: norm with gate and up, down with the residual", () => {
  assertKernels(
    compileBlock(mlp, { lead }),
    `
      matmul: norm + gate + silu + up + mul
      matmul: down + add
    `,
  );
});

test("without fusion every operation is a kernel of its own", () => {
  assertKernels(
    compileBlock(mlp, { lead, fusion: false }),
    `
      x7:
        rows: norm
      contract: gate
      x2:
        rows: silu
      contract: up
      rows: mul
      contract: down
      rows: add
    `,
  );
});

test("only the product of gate and up is ever stored: 32 positions of 128 floats", () => {
  assertPeakBytes(compileBlock(mlp, { lead }), 32 * 128 * 4);
});

test("written in notation it is the same function, here and compiled for this processor", async () => {
  const again = wire("residual(norm ->> (gate ->> silu | up) ->> mul ->> down)", {
    norm,
    gate,
    silu,
    up,
    mul,
    down,
  });
  using device = cpuDevice();
  await assertEquivalent(mlp, again, { lead, device });
});

test("its gradients are the slopes of what it computes", () => {
  gradCheck(mlp, { lead: [axis("seq", 2)], most: 8 });
});

test.run();
