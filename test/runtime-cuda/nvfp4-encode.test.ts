/** Blocks that kernels encode are those of the definition, byte for byte: every option, and whatever the values are. */

import { hashPlan, type Plan } from "@weft/compiler";
import { randomNumbers } from "@weft/compiler/testing";
import { decodeNvfp4, encodeNvfp4, nvfp4EncodeScale, randomHalf, wordOf } from "@weft/dsl";
import { openSimulator } from "@weft/runtime-cuda";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { access, Body, loop, PlanBuilder, slot } from "../runtime-cpu/plan-builder.ts";

const test = suite("NVFP4 on the simulated GPU");

/** No whole group of rows of tiles, and more than one. */
const [rows, columns] = [21, 48];

/** Blocks of every kind: usual values, ties, extremes, zeros of both signs, subnormal ones, and such as are no numbers. */
function values(): Float32Array {
  const next = randomNumbers(7);
  const special = [
    Number.NaN,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    3.4028234663852886e38,
    -3.4028234663852886e38,
    2 ** -149,
    -(2 ** -126),
  ];
  return Float32Array.from({ length: rows * columns }, (_, at) => {
    const block = Math.floor(at / 16);
    const value = (next() - 0.5) * 12;
    if (block % 9 === 1) return Math.round(value * 4) / 4;
    if (block % 9 === 2) return value * 1e-39;
    if (block % 9 === 3) return at % 2 === 0 ? 0 : -0;
    if (block % 9 === 4) return value * 10 ** Math.round(next() * 60 - 30);
    if (block === 5 || block === 14) return at % 16 === block ? special[block % 3]! : value;
    if (block % 9 === 6 && at % 16 === 3) return special[3 + (block % 4)]!;
    return value;
  });
}

const scales = [1, nvfp4EncodeScale(6), 1e30, 1e-20];
const key = [0x2345, 0x6789ab, 5] as const;
const given = values();

interface Coding {
  readonly name: string;
  readonly encodeScale: number;
  readonly options: { readonly fourOverSix: boolean; readonly nonZero: boolean };
  readonly isRandom: boolean;
}

const codings = scales.flatMap((encodeScale, index) =>
  [false, true].flatMap((fourOverSix) =>
    [false, true].map((isRandom): Coding => {
      const nonZero = (index + Number(fourOverSix) + Number(isRandom)) % 2 === 1;
      return {
        name: `scale${index}_${fourOverSix ? "four" : "six"}_${isRandom ? "random" : "nearest"}`,
        encodeScale,
        options: { fourOverSix, nonZero },
        isRandom,
      };
    }),
  ),
);

/**
 * Program "write" stores every coding of x in a state of its own, "read" gives what the codes mean.
 * @param isCut x goes through the kernel in two parts, of which one ends within a block
 */
function planOfAll(isCut: boolean): Plan {
  const builder = new PlanBuilder("codings");
  const x = builder.buffer("x", "input", "f32", [rows, columns]);
  const [outer, row] = [loop("rows", rows), loop("columns", columns)];
  const whole = (of: number) => access(of, [columns]);
  const states = codings.map(({ name }) => builder.buffer(name, "state", "nvfp4", [rows, columns]));
  const meanings = codings.map(({ name }) =>
    builder.buffer(`${name} read`, "output", "f32", [rows, columns]),
  );
  const writer = new Body();
  let value = writer.load(whole(0), columns);
  if (isCut) value = writer.concat(writer.slice(value, 0, 20), writer.slice(value, 20, columns - 20));
  codings.forEach(({ encodeScale, options, isRandom }, index) => {
    const random = isRandom ? key.map((word) => writer.constant(word)) : [];
    const given = { ...options, random };
    const codes = writer.quantizeNvfp4(value, writer.constant(encodeScale), [columns], given);
    writer.store(whole(index + 1), codes, columns);
  });
  const ofState = (kind: "write" | "read") => slot("state", "nvfp4", kind, columns);
  const write = builder.kernel({
    kind: "rows",
    name: "write",
    slots: [slot("x", "f32", "read"), ...codings.map(() => ofState("write"))],
    program: writer.program([outer], row),
  });
  const reader = new Body();
  reader.store(whole(1), reader.load(whole(0), columns), columns);
  const read = builder.kernel({
    kind: "rows",
    name: "read",
    slots: [ofState("read"), slot("y", "f32", "write")],
    program: reader.program([outer], row),
  });
  builder.program("write", [builder.step(write, x, ...states)]);
  builder.program(
    "read",
    states.map((state, index) => builder.step(read, state, meanings[index]!)),
  );
  for (const program of builder.plan.programs) {
    program.inputs = program.name === "write" ? program.inputs : [];
    program.outputs = program.name === "read" ? program.outputs : [];
  }
  builder.plan.hash = hashPlan(builder.plan);
  return builder.plan;
}

for (const isCut of [false, true])
  test(`codes, scales and what they mean${isCut ? ", of rows that are cut within a block" : ""}`, async () => {
    using device = await openSimulator();
    using executable = await device.load(planOfAll(isCut), {});
    await executable.run("write", { symbols: {}, inputs: { x: given } });
    const { outputs } = await executable.run("read", { symbols: {}, inputs: {} });
    for (const { name, encodeScale, options, isRandom } of codings) {
      const [low, high, stream] = key.map(wordOf) as [number, number, number];
      const bits = (at: number) => randomHalf(at, [low, high], stream);
      const expected = encodeNvfp4(given, { ...options, encodeScale, ...(isRandom ? { bits } : {}) });
      const stored = (await executable.readState(name)) as Uint8Array;
      assert.equal(stored, Uint8Array.of(...expected.codes, ...expected.scales), name);
      const meant = decodeNvfp4(expected);
      const wrong = outputs[`${name} read`]!.findIndex((value, at) => !Object.is(value, meant[at]));
      assert.is(wrong, -1, name);
    }
  });

test.run();
