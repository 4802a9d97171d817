/**
 * The interpreter against an independent implementation: logits and residual stream of the small checkpoints under
 * test/fixtures, in one run, and token by token over a KV cache.
 */
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import {
  cacheSymbols,
  expandBlock,
  type InterpreterState,
  interpret,
  kvCache,
  PassRecorder,
} from "@weft/compiler";
import { axis, formatProblems, orThrow, type TensorArray, verifyGraph } from "@weft/dsl";
import { openCheckpoint, qwen3Model, readQwen3Config, readTensor } from "@weft/qwen3";
import { isLeft } from "fp-ts/lib/Either.js";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("interpreter against an oracle");
const fixtures = resolve(fileURLToPath(import.meta.url), "../../../fixtures");

interface Oracle {
  readonly tokens: readonly number[];
  readonly logits: readonly (readonly number[])[];
  readonly states: Readonly<Record<string, readonly (readonly number[])[]>>;
}

function load(name: string) {
  const folder = join(fixtures, name);
  const oracle = JSON.parse(readFileSync(join(folder, "oracle.json"), "utf8")) as Oracle;
  const config = orThrow(readQwen3Config(folder));
  const checkpoint = orThrow(openCheckpoint(folder));
  const graph = expandBlock(qwen3Model(config), {
    name,
    lead: [axis("seq", { symbol: "seq", max: 32 })],
    inputNames: ["tokens"],
    outputName: "logits",
    observe: Array.from({ length: config.layers }, (_, layer) => `model.layers.${layer}`),
  });
  const shapes = new Map(graph.nodes.map((node) => [node.attributes.name, node.type.axes]));
  const weights = new Map<string, TensorArray>();
  for (const [parameter, entry] of checkpoint.tensors) {
    const axes = shapes.get(parameter)?.map((one) => ({ name: one.name, size: one.size as number })) ?? [];
    weights.set(parameter, { dtype: "f32", axes, data: Float64Array.from(readTensor(entry)) });
  }
  const run = (tokens: readonly number[], options: { past?: number; state?: InterpreterState } = {}) =>
    interpret(options.state === undefined ? graph : cached, {
      inputs: {
        tokens: {
          dtype: "i32",
          axes: [{ name: "seq", size: tokens.length }],
          data: Float64Array.from(tokens),
        },
      },
      parameters: (parameter) => weights.get(parameter),
      ...(options.state === undefined
        ? {}
        : {
            state: options.state,
            symbols: { [cacheSymbols.past]: options.past!, [cacheSymbols.dropped]: 0 },
          }),
    });
  const cached = kvCache({ capacity: 32, dtype: "f32" }).run(graph, new PassRecorder());
  return { oracle, graph, cached, run };
}

function largestDifference(given: ArrayLike<number>, expected: readonly number[]): number {
  assert.is(given.length, expected.length);
  return expected.reduce((worst, value, index) => Math.max(worst, Math.abs(value - given[index]!)), 0);
}

for (const name of ["tiny", "tiny-tied"]) {
  test(`${name}: graphs verify`, () => {
    const { graph, cached } = load(name);
    for (const one of [graph, cached]) {
      const result = verifyGraph(one);
      assert.ok(!isLeft(result), isLeft(result) ? formatProblems(result.left) : "");
    }
  });

  test(`${name}: logits and the residual stream at every position`, () => {
    const { oracle, run } = load(name);
    const outputs = run(oracle.tokens);
    assert.ok(largestDifference(outputs.get("logits")!.data, oracle.logits.flat()) < 1e-4);
    for (const layer of [0, 1]) {
      const stream = outputs.get(`model.layers.${layer}`)!.data;
      assert.ok(largestDifference(stream, oracle.states[`l_out-${layer}`]!.flat()) < 1e-4);
    }
  });

  test(`${name}: token by token and in chunks on a past is the same`, () => {
    const { oracle, run } = load(name);
    const whole = run(oracle.tokens).get("logits")!.data;
    for (const chunks of [oracle.tokens.map(() => 1), [7, 1, 16]]) {
      const state: InterpreterState = new Map();
      const logits: number[] = [];
      let past = 0;
      for (const count of chunks) {
        logits.push(...run(oracle.tokens.slice(past, past + count), { past, state }).get("logits")!.data);
        past += count;
      }
      assert.ok(largestDifference(whole, logits) < 1e-9);
    }
  });
}

test("a whole run of the small model takes well under a second", () => {
  const { oracle, run } = load("tiny");
  run(oracle.tokens);
  const start = performance.now();
  run(oracle.tokens);
  assert.ok(performance.now() - start < 1000);
});

test.run();
