/**
 * Matrices of NVFP4 in every place where kernels read them, on the simulated GPU beside the interpreter: products of few
 * and of many rows with whatever stands beside them, both products of a backward pass, look-ups, and quantised rows.
 */

import { compile, interpret, type ProgramInput } from "@weft/compiler";
import { assertOutputsClose, type GraphValues } from "@weft/compiler/testing";
import {
  type Axis,
  axis,
  type Dtype,
  GraphBuilder,
  type NodeId,
  orThrow,
  sizeFor,
  type TensorArray,
} from "@weft/dsl";
import { openSimulator } from "@weft/runtime-cuda";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { randomValues } from "../support/random-values.ts";
import { weightsOf } from "../support/run-plan.ts";

const test = suite("NVFP4 in kernels of the simulated GPU");

/** Three slices of one item each, the last one cut short; two tiles, of which the second is not full. */
const depth = 272;
const hidden = axis("hidden", depth);
const inner = axis("inner", 56);
const scalar = { dtype: "f32", axes: [] } as const;

type Policy = "f32" | "bf16";

class Writer {
  readonly builder = new GraphBuilder();
  readonly #narrow: boolean;

  constructor(policy: Policy) {
    this.#narrow = policy === "bf16";
  }

  input(name: string, axes: readonly Axis[]): NodeId {
    return this.builder.add("input", [], { name, dtype: "f32", axes });
  }
  weight(name: string, axes: readonly Axis[], dtype: Dtype = "nvfp4"): NodeId {
    return this.builder.add("parameter", [], { name, dtype, axes });
  }
  /** As the policy has what is multiplied. */
  rounded(value: NodeId): NodeId {
    return this.#narrow ? this.builder.add("cast", [value], { dtype: "bf16" }) : value;
  }
  linear(x: NodeId, weight: NodeId, from: Axis, to: Axis): NodeId {
    return this.builder.add("linear", [this.rounded(x), weight], { from: [from.name], to: [to.name] });
  }
  scaled(value: NodeId, name: string): NodeId {
    const scale = this.builder.add("parameter", [], { name, ...scalar });
    return this.builder.add("mul", [value, scale], {});
  }
  program(name: string, outputs: Readonly<Record<string, NodeId>>): ProgramInput {
    const graph = this.builder.finish(
      name,
      Object.entries(outputs).map(([output, node]) => ({ name: output, node })),
    );
    return { name, graph, passes: [] };
  }
}

/** Products that share their rows: gated columns, head norms, whole rows, and one whose weight is not of NVFP4. */
function products(policy: Policy, rows: number): ProgramInput {
  const writer = new Writer(policy);
  const { builder } = writer;
  const x = writer.input("x", [axis("seq", rows), hidden]);
  const linear = (name: string, to: Axis, dtype: Dtype = "nvfp4") =>
    writer.linear(x, writer.weight(name, [to, hidden], dtype), hidden, to);
  const gate = writer.scaled(linear("gate", inner), "gate.scale");
  const up = writer.scaled(linear("up", inner), "up.scale");
  const gated = builder.add("mul", [builder.add("silu", [gate], {}), up], {});
  const [heads, headDim] = [axis("heads", 3), axis("headDim", 16)];
  const queries = builder.add(
    "linear",
    [writer.rounded(x), writer.weight("query", [heads, headDim, hidden])],
    {
      from: ["hidden"],
      to: ["heads", "headDim"],
    },
  );
  const norm = builder.add("parameter", [], { name: "norm.scale", dtype: "f32", axes: [headDim] });
  const normed = builder.add("rmsNorm", [queries, norm], { axis: "headDim", epsilon: 1e-6 });
  const whole = linear("whole", axis("out", 40));
  const sum = builder.add("reduceMax", [whole], { axis: "out" });
  return writer.program(`${policy} products of ${rows}`, {
    gated,
    normed,
    whole: builder.add("sub", [whole, sum], {}),
  });
}

/** A weight of NVFP4 beside one of bf16. */
function mixed(policy: Policy, rows: number): ProgramInput {
  const writer = new Writer(policy);
  const x = writer.input("x", [axis("seq", rows), hidden]);
  const linear = (name: string, dtype: Dtype) =>
    writer.linear(x, writer.weight(name, [inner, hidden], dtype), hidden, inner);
  const joined = writer.builder.add("add", [linear("coded", "nvfp4"), linear("plain", "bf16")], {});
  return writer.program(`${policy} mixed of ${rows}`, { joined });
}

/** What goes back through a weight, which stands on either side. */
function backward(policy: Policy, rows: number): ProgramInput {
  const writer = new Writer(policy);
  const cotangent = writer.rounded(writer.input("dy", [axis("seq", rows), inner]));
  const weight = writer.weight("back", [inner, hidden]);
  const dot = (a: NodeId, b: NodeId, contract: string) =>
    writer.builder.add("dot", [a, b], { contract: [contract] });
  const x = writer.rounded(writer.input("x", [axis("seq", rows), hidden]));
  return writer.program(`${policy} backward of ${rows}`, {
    right: dot(cotangent, weight, "inner"),
    left: dot(weight, cotangent, "inner"),
    along: dot(weight, x, "hidden"),
  });
}

/** Rows of a table, blocks made of activations, and a product whose sides are both of blocks. */
function rowsOf(policy: Policy, rows: number): ProgramInput {
  const writer = new Writer(policy);
  const { builder } = writer;
  const seq = axis("seq", rows);
  const tokens = builder.add("input", [], { name: "tokens", dtype: "i32", axes: [seq] });
  const table = writer.weight("table", [axis("vocab", 7), hidden]);
  const looked = writer.scaled(builder.add("embedding", [tokens, table], { axis: "vocab" }), "table.scale");
  const x = writer.input("x", [seq, hidden]);
  const quantized = builder.add("quantizeNvfp4", [x, builder.constant(3.5)], {
    fourOverSix: true,
    nonZero: false,
  });
  const wide = builder.add("cast", [quantized], { dtype: "f32" });
  const product = writer.linear(wide, writer.weight("both", [inner, hidden]), hidden, inner);
  return writer.program(`${policy} rows of ${rows}`, {
    looked,
    product,
    wide: builder.add("abs", [wide], {}),
  });
}

const tolerance = { absolute: 2e-5, relative: 2e-5 };

/** @returns by what each product that a library could take was computed */
async function compare(
  programs: readonly ProgramInput[],
  matmulLibrary: "own" | "auto" = "own",
  change: (weights: GraphValues) => void = () => {},
): Promise<readonly string[]> {
  const { plan } = orThrow(compile(programs, { name: "nvfp4" }));
  const all = programs.map(({ graph }, index) => randomValues(graph, 11 + index));
  const weights: GraphValues = {
    ...all[0]!,
    parameters: (name) => all.find((one) => one.weights.has(name))?.parameters(name),
  };
  change(weights);
  // What a kernel reads or writes before it has waited for those in front is refused.
  using device = await openSimulator({ matmulLibrary, overlapLaunches: true });
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
    const actual = new Map(
      graph.outputs.map(({ name: output, node }): [string, TensorArray] => {
        const { axes, dtype } = graph.nodes[node]!.type;
        const sizes = axes.map((one) => ({ name: one.name, size: sizeFor(one.size, values.symbols) }));
        return [output, { dtype, axes: sizes, data: Float64Array.from(outputs[output]!) }];
      }),
    );
    try {
      assertOutputsClose(actual, interpret(graph, values), tolerance);
    } catch (error) {
      throw new Error(`${name}: ${(error as Error).message}`);
    }
  }
  return executable.matmulSteps.map(({ by, reason }) => `${by}: ${reason}`);
}

for (const policy of ["f32", "bf16"] as const) {
  test(`products of few and of many rows, ${policy}`, async () => {
    await compare([1, 3, 8, 40].map((rows) => products(policy, rows)));
  });
  test(`weights of two dtypes in one kernel, both products of a backward pass, look-ups and quantised rows, ${policy}`, async () => {
    const small = [mixed(policy, 2), backward(policy, 4), rowsOf(policy, 2)];
    await compare([...small, mixed(policy, 20), backward(policy, 40), rowsOf(policy, 20)]);
  });
}

test("a block whose scale is NaN makes NaN of its column, and of no other", async () => {
  const programs = (["f32", "bf16"] as const).flatMap((policy) => [mixed(policy, 1), mixed(policy, 20)]);
  const pure = (policy: Policy, rows: number) => {
    const writer = new Writer(policy);
    const x = writer.input("x", [axis("seq", rows), hidden]);
    const product = writer.linear(x, writer.weight("coded", [inner, hidden]), hidden, inner);
    return writer.program(`${policy} pure of ${rows}`, { product });
  };
  await compare([...programs, pure("f32", 3), pure("bf16", 3)], "own", ({ parameters }) =>
    parameters("coded")!.data.fill(Number.NaN, 5 * depth + 32, 5 * depth + 48),
  );
});

test("products of a library read weights as bf16 from scratch", async () => {
  const steps = await compare([products("bf16", 256), backward("bf16", 256)], "auto");
  assert.ok(steps.length >= 3);
  assert.equal([...new Set(steps)], ["library: from 256 rows on"]);
});

test.run();
