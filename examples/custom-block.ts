// A block of your own: built, printed, compiled, and run on the CPU with random weights.
//
//   npx tsx examples/custom-block.ts
//   npx weft dump examples/custom-block.ts --stage kernels
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { compile, expandBlock, printProgram } from "@weft/compiler";
import {
  axis,
  chain,
  linear,
  maxSize,
  merge,
  mul,
  orThrow,
  parallel,
  parametersOf,
  pointwise,
  prettyBlock,
  residual,
  rmsNorm,
  silu,
  tanh,
} from "@weft/dsl";
import type { Weight } from "@weft/runtime";
import { cpuDevice } from "@weft/runtime-cpu";

const hidden = axis("hidden", 64);
const wide = axis("wide", 256);

// An ordinary function, traced once; it is fused into a kernel like any built-in.
const softcap = pointwise("softcap", (x) => tanh(x.div(30)).mul(30));

/** A gated layer whose values never leave (-30, 30). */
export const gated = residual(
  chain(
    rmsNorm("norm", hidden, 1e-6),
    parallel(chain(linear("gate", hidden, wide), silu), linear("up", hidden, wide)),
    merge(mul),
    softcap,
    linear("down", wide, hidden),
  ),
);

export default gated;

/** Small numbers that are the same on every run. */
function randomValues(count: number, seed: number): Float32Array {
  let state = seed >>> 0;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 32 - 0.5) * 0.2;
  });
}

async function main(): Promise<void> {
  console.log(prettyBlock(gated));

  const seq = axis("seq", { symbol: "seq", max: 128 });
  const graph = expandBlock(gated, { name: "gated", lead: [seq] });
  const { plan } = orThrow(compile([{ name: "main", graph, passes: [] }], { name: "gated" }));
  console.log(`\n${printProgram(plan, plan.programs[0]!)}\n`);

  const weights: Record<string, Weight> = {};
  for (const [index, { name, axes }] of orThrow(parametersOf(gated)).entries()) {
    const shape = axes.map(({ size }) => maxSize(size));
    const count = shape.reduce((a, b) => a * b, 1);
    const data = name === "norm.weight" ? new Float32Array(count).fill(1) : randomValues(count, index);
    weights[name] = { kind: "data", data, dtype: "f32", shape };
  }

  using device = cpuDevice();
  using executable = await device.load(plan, weights);
  const rows = 3;
  const input = randomValues(rows * 64, 7);
  const { outputs } = await executable.run("main", { symbols: { seq: rows }, inputs: { input } });
  const output = outputs.output as Float32Array;
  console.log(`in:  ${[...input.subarray(0, 4)].map((x) => x.toFixed(4)).join(" ")} ...`);
  console.log(`out: ${[...output.subarray(0, 4)].map((x) => x.toFixed(4)).join(" ")} ...`);
}

// Imported for its block, the file only exports; run by itself, it shows what became of it.
if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url))
  await main();
