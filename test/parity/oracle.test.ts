/** Logits, hidden states and greedy text of the fixtures against another implementation, on every device and mode. */
import { compile } from "@weft/compiler";
import { orThrow } from "@weft/dsl";
import {
  generate,
  type LogitsMode,
  logitsOf,
  logitsOpenOptions,
  prepareQwen3,
  qwen3Programs,
} from "@weft/qwen3";
import { cpuDevice } from "@weft/runtime-cpu";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { largestDifference, rootMeanSquareDifference } from "../support/largest-difference.ts";
import { type DeviceName, devicesHere, openOn } from "../support/models.ts";
import { oracleNames, oracleOf } from "./oracle.ts";

/** Row `oracle-f32` of docs/numerics.md. */
const tolerance = 1e-4;
/** Row `modes`. */
const modeTolerance = 1e-5;

/** Row `oracle-bf16`: root mean square, relative to that of the oracle's logits. */
const bf16Share = 2e-2;

/** Row `devices-bf16`: the same between two devices or modes, which round at other places. */
const bf16DevicesShare = 1e-2;

const layers = 2;
const modes: readonly LogitsMode[] = ["whole", "step", { chunk: 7 }];
const executing = await devicesHere();
const devices: readonly DeviceName[] = [...executing, "interpreter"];

function within(
  actual: readonly ArrayLike<number>[],
  expected: readonly ArrayLike<number>[],
  most: number,
  what: string,
) {
  const difference = largestDifference(actual, expected);
  assert.ok(difference <= most, `${what} differ by ${difference}, more than ${most}`);
}

for (const name of oracleNames) {
  for (const device of devices) {
    test(`${name} on ${device}: logits and hidden states at every position, in every mode`, async () => {
      const { directory, tokens, logits, states } = oracleOf(name);
      // The interpreter takes its time, so it shows two modes.
      const tried = device === "interpreter" ? [modes[0]!, modes[2]!] : modes;
      const results = [];
      for (const mode of tried) {
        using model = await openOn(device, directory, logitsOpenOptions(tokens.length, mode, layers));
        results.push(await logitsOf(model, tokens, { mode, hidden: true }));
      }
      for (const result of results) {
        within(result.logits, logits, tolerance, "logits");
        for (let layer = 0; layer < layers; layer++) {
          within(
            result.hidden[`model.layers.${layer}`]!,
            states[`l_out-${layer}`]!,
            tolerance,
            `layer ${layer}`,
          );
        }
        within(result.hidden["model.norm"]!, states.result_norm!, tolerance, "model.norm");
        within(result.logits, results[0]!.logits, modeTolerance, "logits between modes");
      }
    });
  }

  for (const device of executing) {
    test(`${name} on ${device}: the greedy continuation is the same`, async () => {
      const { directory, tokens, greedy } = oracleOf(name);
      using model = await openOn(device, directory);
      const summary = await generate(model, tokens, {
        temperature: 0,
        ignoreEos: true,
        maxTokens: greedy.length,
        text: false,
      }).finish();
      assert.equal(summary.tokens, greedy);
    });

    test(`${name} on ${device}: policy bf16 stays near, in every mode`, async () => {
      const { directory, tokens, logits } = oracleOf(name);
      const bf16 = async (on: DeviceName, mode: LogitsMode) => {
        using model = await openOn(on, directory, {
          ...logitsOpenOptions(tokens.length, mode),
          dtype: "bf16",
        });
        return (await logitsOf(model, tokens, { mode })).logits;
      };
      const onCpu = await bf16("cpu", "whole");
      const size = rootMeanSquareDifference(logits);
      for (const mode of modes) {
        const own = await bf16(device, mode);
        const share = rootMeanSquareDifference(own, logits) / size;
        assert.ok(share > 0 && share <= bf16Share, `bf16 is ${share} of the logits away`);
        const between = rootMeanSquareDifference(own, onCpu) / size;
        assert.ok(between <= bf16DevicesShare, `bf16 is ${between} of the logits away from the CPU's`);
      }
    });
  }

  test(`${name}: the residual stream behind attention, and the unfused plan`, async () => {
    const { directory, tokens, logits, states } = oracleOf(name);
    const prepared = orThrow(prepareQwen3(directory, logitsOpenOptions(tokens.length)));
    const programs = qwen3Programs(prepared.config, {
      ...prepared.options,
      policy: "f32",
      storage: (parameter) => (prepared.bound.tensors.get(parameter)!.dtype === "F32" ? "f32" : "bf16"),
    });
    // No block has the path of the inner residual; in the graph it is the first sum of its layer.
    const watched = programs.map((program) => ({
      ...program,
      graph: {
        ...program.graph,
        outputs: [
          ...program.graph.outputs,
          ...Array.from({ length: layers }, (_, layer) => ({
            name: `ffn_inp-${layer}`,
            node: program.graph.nodes.find(
              ({ op, origin }) => op === "add" && origin.path === `model.layers.${layer}`,
            )!.id,
          })),
        ],
      },
    }));
    using device = cpuDevice();
    for (const fusion of [true, false]) {
      const { plan } = orThrow(compile(watched, { name: "watched", fusion }));
      using executable = await device.load(plan, prepared.weights);
      const { outputs } = await executable.run("prefill", {
        symbols: { seq: tokens.length, past: 0, dropped: 0 },
        inputs: { tokens: Int32Array.from(tokens) },
      });
      const rows = (output: string) => {
        const values = outputs[output]!;
        const width = values.length / tokens.length;
        return tokens.map((_, row) => values.subarray(row * width, (row + 1) * width));
      };
      within(rows("logits"), logits, tolerance, `logits, fusion ${fusion}`);
      for (let layer = 0; layer < layers; layer++) {
        within(
          rows(`ffn_inp-${layer}`),
          states[`ffn_inp-${layer}`]!,
          tolerance,
          `ffn_inp-${layer}, fusion ${fusion}`,
        );
      }
    }
  });
}

test.run();
