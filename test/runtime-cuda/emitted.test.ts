/**
 * Plans of the compiler, their kernels emitted and executed on the simulated device, beside the CPU: the same logits
 * from prefill, chunks and decoding, whether captured or not.
 */
import { emitCuda, type Plan, preludeFolder } from "@weft/compiler";
import { orThrow } from "@weft/dsl";
import { compileQwen3 } from "@weft/qwen3";
import type { Executable } from "@weft/runtime";
import { cpuDevice } from "@weft/runtime-cpu";
import { compileForHost, findHostCompiler, recordingDevice, simulatedDevice } from "@weft/runtime-cuda";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { difference, randomBuffers, weightsOf } from "../runtime-cpu/compare.ts";
import { configOf } from "../support/qwen3-config.ts";

const test = suite("cuda emitted");
const vocab = 40;
const config = configOf({
  hidden: 32,
  layers: 2,
  heads: 4,
  kvHeads: 2,
  headDim: 16,
  intermediate: 48,
  vocab,
});

const prepare = async (plan: Plan) => {
  const cudaPlan = emitCuda(plan);
  const compiler = await findHostCompiler();
  const images = cudaPlan.modules.map(({ name, source }) =>
    compileForHost({ file: `${name}.cu`, source, includeFolders: [preludeFolder] }, compiler),
  );
  return { cudaPlan, images: await Promise.all(images) };
};

const ways = [
  { policy: "f32", overlapLaunches: false },
  { policy: "bf16", overlapLaunches: false },
  // The simulator refuses what a kernel reads or writes before it has waited for the ones in front.
  { policy: "bf16", overlapLaunches: true },
] as const;
for (const { policy, overlapLaunches } of ways)
  test(`a compiled Qwen3 in ${policy}${overlapLaunches ? ", launches overlap" : ""}: prefill, chunk, decode`, async () => {
    const { plan } = orThrow(
      compileQwen3(config, { capacity: 24, chunk: 6, policy, storage: () => policy, logits: "last" }),
    );
    const weights = weightsOf(plan, randomBuffers(plan, 3, vocab));
    using cpu = cpuDevice({ threads: 1 });
    using gpu = await simulatedDevice({ prepare, overlapLaunches });
    using expected = await cpu.load(plan, weights);
    using actual = await gpu.load(plan, weights);
    const given = plan.symbols.filter(({ sum }) => sum.length === 0).map(({ name }) => name);
    const run = async (executable: Executable, tokens: readonly number[], past: number) => {
      const program = tokens.length === 1 ? "decode" : "prefill";
      const values: Record<string, number> = { past, seq: tokens.length, dropped: 0, batch: 1 };
      const symbols = Object.fromEntries(given.map((name) => [name, values[name] ?? 0]));
      const { inputs } = plan.programs.find(({ name }) => name === program)!;
      const [port] = inputs;
      return (await executable.run(program, { symbols, inputs: { [port!.name]: Int32Array.from(tokens) } }))
        .outputs;
    };
    let past = 0;
    for (const tokens of [[3, 9, 1, 7, 30], [2, 4], [5], [6], [11], [39], [0]]) {
      const [wanted, got] = [await run(expected, tokens, past), await run(actual, tokens, past)];
      for (const [name, values] of Object.entries(wanted)) {
        const error = difference(got[name]!, values);
        assert.ok(error < (policy === "f32" ? 1e-4 : 2e-2), `${name} at ${past} differs by ${error}`);
      }
      past += tokens.length;
    }
    const bad = await run(actual, [vocab], past).catch((error: Error) => error.message);
    assert.match(String(bad), /value 40 at index 0 must be 0 to 39/);
  });

test("a decode step is one graph and the copies of what goes in and out: nothing else is asked of the driver", async () => {
  const { plan } = orThrow(
    compileQwen3(config, { capacity: 24, chunk: 6, policy: "bf16", storage: () => "bf16", logits: "last" }),
  );
  const cudaPlan = emitCuda(plan);
  using device = await recordingDevice({
    prepare: async () => ({ cudaPlan, images: cudaPlan.modules.map(() => new Uint8Array(4)) }),
  });
  using executable = await device.load(plan, weightsOf(plan, randomBuffers(plan, 3, vocab)));
  const decode = plan.programs.find(({ name }) => name === "decode")!;
  const given = plan.symbols.filter(({ sum }) => sum.length === 0).map(({ name }) => [name, 1]);
  const options = {
    symbols: Object.fromEntries(given),
    inputs: { [decode.inputs[0]!.name]: Int32Array.of(1) },
  };
  for (let i = 0; i < 2; i++) await executable.run("decode", options);
  device.takeCalls();
  await executable.run("decode", options);
  assert.equal(
    device.takeCalls().calls.map(({ name }) => name),
    // Symbols and the token; the logits.
    ["copy_to_device", "copy_to_device", "launch_graph", "copy_to_host", "record_event", "query_event"],
  );
});

test.run();
