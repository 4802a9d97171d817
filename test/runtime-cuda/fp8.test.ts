/**
 * Matrices of E4M3 in every place where kernels read them, on the CPU and the simulated GPU beside the interpreter: products
 * of few and of many rows with whatever stands beside them, products that contract the other axis, and look-ups.
 */
import { compile, interpret, type ProgramInput } from "@weft/compiler";
import { assertOutputsClose, type GraphValues } from "@weft/compiler/testing";
import { type Axis, axis, type Dtype, decodeE4m3, GraphBuilder, type NodeId, orThrow } from "@weft/dsl";
import { cpuDevice } from "@weft/runtime-cpu";
import { type CudaExecutable, openSimulator } from "@weft/runtime-cuda";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { randomValues } from "../support/random-values.ts";
import { weightsOf } from "../support/run-plan.ts";

const test = suite("FP8 in kernels");

type Policy = "f32" | "bf16";
const policies = ["f32", "bf16"] as const;

/** One linear of `to` columns, or two that share their rows; scales of rows behind them. */
function products(policy: Policy, rows: number, depth: number, beside?: Dtype): ProgramInput {
  const builder = new GraphBuilder();
  const add = builder.add.bind(builder);
  const [hidden, inner] = [axis("hidden", depth), axis("inner", 56)];
  const x = add("input", [], { name: "x", dtype: "f32", axes: [axis("seq", rows), hidden] });
  const rounded = policy === "bf16" ? add("cast", [x], { dtype: "bf16" }) : x;
  const parameter = (name: string, dtype: Dtype, axes: readonly Axis[]): NodeId =>
    add("parameter", [], { name: `${name}.${depth}`, dtype, axes });
  const linear = (name: string, dtype: Dtype) =>
    add("linear", [rounded, parameter(name, dtype, [inner, hidden])], { from: ["hidden"], to: ["inner"] });
  const scaled = add("mul", [linear("coded", "f8e4m3"), parameter("scales", "f32", [inner])], {});
  const y = beside === undefined ? scaled : add("add", [scaled, linear(beside, beside)], {});
  const name = `${policy} ${rows} x ${depth} ${beside ?? ""}`;
  return { name, graph: builder.finish(name, [{ name: "y", node: y }]), passes: [] };
}

/** Rows of a table, and products of a matrix along its other axis. */
function others(policy: Policy, rows: number): ProgramInput {
  const builder = new GraphBuilder();
  const add = builder.add.bind(builder);
  const [seq, hidden, inner] = [axis("seq", rows), axis("hidden", 48), axis("inner", 40)];
  const rounded = (id: NodeId) => (policy === "bf16" ? add("cast", [id], { dtype: "bf16" }) : id);
  const cotangent = rounded(add("input", [], { name: "dy", dtype: "f32", axes: [seq, inner] }));
  const back = add("parameter", [], { name: "back", dtype: "f8e4m3", axes: [inner, hidden] });
  const tokens = add("input", [], { name: "tokens", dtype: "i32", axes: [seq] });
  const table = add("parameter", [], { name: "table", dtype: "f8e4m3", axes: [axis("vocab", 7), hidden] });
  const outputs = {
    right: add("dot", [cotangent, back], { contract: ["inner"] }),
    left: add("dot", [back, cotangent], { contract: ["inner"] }),
    looked: add("neg", [add("embedding", [tokens, table], { axis: "vocab" })], {}),
  };
  const name = `${policy} others of ${rows}`;
  const named = Object.entries(outputs).map(([output, node]) => ({ name: output, node }));
  return { name, graph: builder.finish(name, named), passes: [] };
}

const devices = {
  cpu: async () => cpuDevice({ threads: 2 }),
  simulator: (matmulLibrary: "own" | "auto") => openSimulator({ matmulLibrary, overlapLaunches: true }),
};

/** @returns of each device by what each product that a library could take was computed */
async function compare(
  programs: readonly ProgramInput[],
  matmulLibrary: "own" | "auto" = "own",
  change: (weights: GraphValues) => void = () => {},
): Promise<readonly string[]> {
  const { plan } = orThrow(compile(programs, { name: "fp8" }));
  const all = programs.map(({ graph }, index) => randomValues(graph, 21 + index));
  const weights: GraphValues = {
    ...all[0]!,
    parameters: (name) => all.find((one) => one.weights.has(name))?.parameters(name),
  };
  change(weights);
  const steps: string[] = [];
  for (const open of Object.values(devices)) {
    using device = await open(matmulLibrary);
    using executable = await device.load(plan, weightsOf(weights), { checkWeights: false });
    for (const [index, { name, graph }] of programs.entries()) {
      const values = { ...all[index]!, parameters: weights.parameters };
      const inputs = Object.fromEntries(
        [...values.inputs].map(([input, { dtype, data }]) => [
          input,
          dtype === "i32" ? Int32Array.from(data) : Float32Array.from(data),
        ]),
      );
      const { outputs } = await executable.run(name, { symbols: {}, inputs });
      const expected = interpret(graph, values);
      const actual = new Map(
        [...expected].map(([output, array]) => [
          output,
          { ...array, data: Float64Array.from(outputs[output]!) },
        ]),
      );
      try {
        assertOutputsClose(actual, expected, { absolute: 2e-5, relative: 2e-5 });
      } catch (error) {
        throw new Error(`${device.name}, ${name}: ${(error as Error).message}`);
      }
    }
    const { matmulSteps = [] } = executable as Partial<CudaExecutable>;
    steps.push(...matmulSteps.map(({ by, reason }) => `${by}: ${reason}`));
  }
  return steps;
}

for (const policy of policies) {
  test(`products of few and of many rows, ${policy}`, async () => {
    // Whole pieces of 16 codes, of 8, and none.
    const depths = [272, 40, 21];
    await compare(depths.flatMap((depth) => [1, 3, 8, 40].map((rows) => products(policy, rows, depth))));
  });
  test(`beside weights of another dtype, ${policy}`, async () => {
    const kinds = ["bf16", "nvfp4", "f32"] as const;
    await compare(kinds.flatMap((kind) => [2, 20].map((rows) => products(policy, rows, 272, kind))));
  });
  test(`along the other axis, and looked up, ${policy}`, async () => {
    await compare([others(policy, 3), others(policy, 40)]);
  });
}

test("every code is what it means where rows are looked up", async () => {
  await compare([others("f32", 40)], "own", ({ parameters }) => {
    const { data } = parameters("table")!;
    for (const i of data.keys()) data[i] = decodeE4m3(i & 0xff);
  });
});

test("the largest codes, the smallest, and NaN, which makes NaN of its column and of no other", async () => {
  const programs = policies.flatMap((policy) => [1, 20].map((rows) => products(policy, rows, 272)));
  await compare(programs, "own", ({ parameters }) => {
    const { data } = parameters("coded.272")!;
    data.set([448, -448, 2 ** -9, -(2 ** -9), 2 ** -6, -0], 9 * 272);
    data[5 * 272 + 33] = Number.NaN;
  });
});

test("a code that is NaN is refused at load by the weight's name", async () => {
  const program = products("bf16", 1, 272);
  const { plan } = orThrow(compile([program], { name: "fp8" }));
  const values = randomValues(program.graph, 3);
  values.parameters("coded.272")!.data[5 * 272 + 33] = Number.NaN;
  for (const open of Object.values(devices)) {
    using device = await open("own");
    await device.load(plan, weightsOf(values), { checkWeights: true }).then(
      () => assert.unreachable(device.name),
      (error: Error) => assert.match(error.message, /coded\.272: NaN at flat index 1393/),
    );
  }
});

test("products of a library read weights as bf16 from scratch", async () => {
  const steps = await compare([products("bf16", 256, 272)], "auto");
  assert.equal([...new Set(steps)], ["library: from 256 rows on"]);
});

test.run();
