/**
 * Products of bf16 rows with weights in bf16, FP8 and NVFP4 against the interpreter, on every instruction set and several
 * team sizes: with numbers of rows on both sides of where another kernel takes them, and with a rest behind a tile of 512.
 */
import { compile, grad, interpret, type ProgramInput } from "@weft/compiler";
import { assertOutputsClose } from "@weft/compiler/testing";
import { type Axis, axis, type Dtype, GraphBuilder, orThrow } from "@weft/dsl";
import { cpuDevice, describeCpu } from "@weft/runtime-cpu";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { randomValues } from "../support/random-values.ts";
import { weightsOf } from "../support/run-plan.ts";

const test = suite("products of bf16 rows");

// No whole number of steps of 32; columns that are no whole groups of 16.
const [hidden, wide, narrow] = [axis("hidden", 208), axis("wide", 150), axis("narrow", 21)];

/** Two weights that share their rows, and one that stands alone. */
function products(dtype: Dtype, rows: number): ProgramInput {
  const builder = new GraphBuilder();
  const input = builder.add("input", [], { name: "x", dtype: "f32", axes: [axis("seq", rows), hidden] });
  const x = builder.add("cast", [input], { dtype: "bf16" });
  const linear = (name: string, to: Axis) => {
    const weight = builder.add("parameter", [], { name: `${name}.${dtype}`, dtype, axes: [to, hidden] });
    return builder.add("linear", [x, weight], { from: ["hidden"], to: [to.name] });
  };
  const name = `${dtype} ${rows}`;
  const gated = builder.add("mul", [linear("gate", wide), linear("up", wide)], {});
  const outputs = { gated, alone: linear("alone", narrow) };
  const graph = builder.finish(
    name,
    Object.entries(outputs).map(([output, node]) => ({ name: output, node })),
  );
  return { name, graph, passes: [] };
}

for (const dtype of ["bf16", "f8e4m3", "nvfp4"] as const)
  test(`weights in ${dtype}`, async () => {
    const programs = [1, 3, 4, 5, 8, 9, 40, 514].map((rows) => products(dtype, rows));
    const { plan } = orThrow(compile(programs, { name: `products of ${dtype}` }));
    const values = programs.map(({ graph }, index) => randomValues(graph, 5 + index));
    const weights = values[0]!;
    const runs = programs.map(({ name, graph }, index) => {
      const { inputs } = values[index]!;
      const expected = interpret(graph, { ...values[index]!, parameters: weights.parameters });
      return { name, x: Float32Array.from(inputs.get("x")!.data), expected };
    });
    for (const isa of describeCpu().available) {
      const first = new Map<string, Uint8Array>();
      for (const threads of [1, 2, 3]) {
        using device = cpuDevice({ threads, isa });
        using executable = await device.load(plan, weightsOf(weights));
        for (const { name, x, expected } of runs) {
          const { outputs } = await executable.run(name, { symbols: {}, inputs: { x } });
          const actual = [...expected].map(
            ([output, array]) => [output, { ...array, data: Float64Array.from(outputs[output]!) }] as const,
          );
          try {
            assertOutputsClose(new Map(actual), expected, { absolute: 2e-5, relative: 2e-5 });
          } catch (error) {
            throw new Error(`${isa}, ${name}: ${(error as Error).message}`);
          }
          for (const [output, array] of Object.entries(outputs)) {
            const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
            const before = first.get(`${name} ${output}`);
            if (before === undefined) first.set(`${name} ${output}`, bytes.slice());
            else assert.equal(bytes, before, `${isa}, ${name}: ${threads} threads give other bits`);
          }
        }
      }
    }
  });

/** A gain that is trained before weights in NVFP4 that are not, and the same without the gradient. */
function trained(rows: number, trains: boolean): ProgramInput {
  const builder = new GraphBuilder();
  const input = builder.add("input", [], { name: "x", dtype: "f32", axes: [axis("seq", rows), hidden] });
  const gain = builder.add("parameter", [], { name: "gain", dtype: "f32", axes: [hidden] });
  const x = builder.add("cast", [builder.add("mul", [input, gain], {})], { dtype: "bf16" });
  const weight = builder.add("parameter", [], { name: "frozen", dtype: "nvfp4", axes: [wide, hidden] });
  const y = builder.add("linear", [x, weight], { from: ["hidden"], to: ["wide"] });
  const loss = builder.add(
    "reduceSum",
    [builder.add("reduceSum", [builder.add("mul", [y, y], {})], { axis: "wide" })],
    {
      axis: "seq",
    },
  );
  const name = trains ? "train" : "decode";
  const outputs = trains ? { y, loss } : { y };
  const graph = builder.finish(
    name,
    Object.entries(outputs).map(([output, node]) => ({ name: output, node })),
  );
  return { name, graph, passes: trains ? [grad({ loss: "loss", parameters: ["gain"] })] : [] };
}

for (const rows of [4, 5, 9, 40])
  test(`weights in nvfp4: ${rows} rows of a training step have the bits of one row at a time`, async () => {
    const programs = [trained(rows, true), trained(1, false)];
    const { plan } = orThrow(compile(programs, { name: "frozen" }));
    const values = randomValues(programs[0]!.graph, 3);
    const x = Float32Array.from(values.inputs.get("x")!.data);
    const width = x.length / rows;
    for (const isa of describeCpu().available) {
      using device = cpuDevice({ threads: 2, isa });
      using executable = await device.load(plan, weightsOf(values));
      const { outputs } = await executable.run("train", { symbols: {}, inputs: { x } });
      assert.ok(outputs["gradient.gain"]!.some((value) => value !== 0));
      for (let row = 0; row < rows; row++) {
        const inputs = { x: x.slice(row * width, (row + 1) * width) };
        const alone = (await executable.run("decode", { symbols: {}, inputs })).outputs.y!;
        assert.equal(
          alone,
          outputs.y!.slice(row * alone.length, (row + 1) * alone.length),
          `${isa}, row ${row}`,
        );
      }
    }
  });

test.run();
