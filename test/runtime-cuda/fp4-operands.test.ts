/**
 * What units for FP4 read, byte for byte: emitted kernels leave rows and weights in scratch as the format's definition
 * lays them out, codes in rows and swizzled scales, whatever does not fill a tile padded with zeros.
 */

import { type CudaPlan, compile, emitCuda, type Plan, preludeFolder } from "@weft/compiler";
import { randomNumbers } from "@weft/compiler/testing";
import { decodeNvfp4, encodeNvfp4, type Nvfp4Values, orThrow, swizzledPlace, swizzleScales } from "@weft/dsl";
import { compileForHost, findHostCompiler, simulatedDevice } from "@weft/runtime-cuda";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Fp4Policy, fp4Product } from "../support/fp4-graphs.ts";
import { exactNvfp4, nearestNvfp4 } from "../support/nvfp4-values.ts";

const test = suite("operands of FP4 units");

interface Sizes {
  readonly rows: number;
  readonly columns: number;
  readonly length: number;
}

/** Magnitudes from where a block's scale is zero to where it saturates, and blocks of zeros of both signs. */
function valuesOf(rows: number, length: number, seed: number): Float32Array {
  const next = randomNumbers(seed);
  const values = new Float32Array(rows * length);
  for (let block = 0; block < values.length / 16; block++) {
    const magnitude = block % 7 === 0 ? 0 : 2 ** (Math.floor(next() * 26) - 13);
    for (let i = 0; i < 16; i++) values[block * 16 + i] = Math.fround((2 * next() - 1) * magnitude);
  }
  return values;
}

/** Rows of codes, padded to a multiple of 32 elements. */
function paddedCodes({ codes }: Nvfp4Values, rows: number, length: number): Uint8Array {
  const stride = Math.ceil(length / 32) * 16;
  const padded = new Uint8Array(rows * stride);
  for (let row = 0; row < rows; row++)
    padded.set(codes.subarray((row * length) / 2, ((row + 1) * length) / 2), row * stride);
  return padded;
}

interface Piece {
  /** In scratch, in bytes. */
  readonly at: number;
  readonly bytes: number;
}

/** Instead of the product, the pieces of scratch that it would read, one behind the other in its output. */
function instead(plan: Plan, cuda: CudaPlan, pieces: readonly Piece[]): CudaPlan {
  const [{ librarySteps, launches, name }] = cuda.programs as [CudaPlan["programs"][number]];
  const [library] = librarySteps as [(typeof librarySteps)[number]];
  const { kernel, bindings } = plan.programs[0]!.steps[library.step]!;
  const out = plan.programs[0]!.outputs.find((port) => port.name === "product")!.buffer;
  const { slots } = plan.kernels[kernel]!;
  let word = 0;
  const copies = pieces.map(({ at, bytes }) => {
    const text = `  for (i64 i = thread_index(); i < ${bytes / 4}; i += 128) store(to, ${word} + i, load(from, ${at / 4} + i));`;
    word += bytes / 4;
    return text;
  });
  const most = plan.buffers[out]!.bytes / 4;
  assert.ok(word <= most);
  const text = `
DEVICE i64 look_blocks(const Args<${slots.length}>&) { return 1; }
DEVICE void look_body(const Args<${slots.length}>& args, i64) {
  let_next_start();
  wait_for_inputs();
  const Global<u32> from = global<u32>(args.scratch);
  const Global<u32> to = global<u32>(args.slot[${bindings.indexOf(out)}]);
${copies.join("\n")}
  for (i64 i = ${word} + thread_index(); i < ${most}; i += 128) store(to, i, 0u);
}
WEFT_KERNEL(look, 128, 1, ${slots.length})
`;
  const look = { name: "look", module: 0, threads: 128, sharedBytes: 0, slots: slots.length };
  const launch = {
    function: cuda.functions.length,
    step: library.step,
    piece: 0,
    bindings,
    blocks: [],
    perMultiprocessor: 0,
  };
  const others = launches.filter(({ step }) => step !== library.step);
  const own = [...others, ...library.before, launch].toSorted((a, b) => a.step - b.step);
  return {
    ...cuda,
    modules: [{ ...cuda.modules[0]!, source: `${cuda.modules[0]!.source}\n${text}` }],
    functions: [...cuda.functions, look],
    programs: [{ name, launches: own, librarySteps: [] }],
    scratchBytes: cuda.libraryScratchBytes,
  };
}

/** What lies in scratch in front of the product: codes and scales of the rows, then of the weight. */
async function operands(
  sizes: Sizes,
  x: Float32Array,
  weight: Float64Array,
  options: { readonly policy: Fp4Policy; readonly codes: boolean },
): Promise<{ readonly found: readonly Uint8Array[]; readonly quantised: Float32Array | undefined }> {
  const { rows, columns, length } = sizes;
  const { plan } = orThrow(compile([fp4Product("main", sizes, options)], { name: "operands" }));
  const cuda = emitCuda(plan, { fp4: "hardware" });
  const [step] = cuda.programs[0]!.librarySteps;
  const [product] = step!.products;
  const [scales] = product!.scales;
  const codesBytes = (count: number) => count * Math.ceil(length / 32) * 16;
  const scalesBytes = (count: number) => Math.ceil(count / 128) * Math.ceil(length / 64) * 512;
  const pieces = [
    { at: product!.x.offset / 2, bytes: codesBytes(rows) },
    { at: scales!.x, bytes: scalesBytes(rows) },
    { at: product!.weight.offset / 2, bytes: codesBytes(columns) },
    { at: scales!.weight, bytes: scalesBytes(columns) },
  ];
  const cudaPlan = instead(plan, cuda, pieces);
  const { source } = cudaPlan.modules[0]!;
  using device = await simulatedDevice({
    overlapLaunches: true,
    prepare: async () => {
      const compiler = await findHostCompiler();
      const given = { file: "operands.cu", source, includeFolders: [preludeFolder] };
      return { cudaPlan, images: [await compileForHost(given, compiler)] };
    },
  });
  const { codes, scales: weightScales } = exactNvfp4(weight);
  using executable = await device.load(plan, () => ({
    kind: "data",
    data: codes,
    scales: weightScales,
    dtype: "nvfp4",
    shape: [columns, length],
  }));
  const { outputs } = await executable.run("main", { symbols: {}, inputs: { x } });
  const bytes = new Uint8Array((outputs.product as Float32Array).buffer);
  let begin = 0;
  const found = pieces.map((piece) => {
    begin += piece.bytes;
    return bytes.slice(begin - piece.bytes, begin);
  });
  return { found, quantised: outputs.codes as Float32Array | undefined };
}

const shapes: readonly Sizes[] = [
  { rows: 128, columns: 136, length: 16 },
  { rows: 130, columns: 40, length: 48 },
  { rows: 257, columns: 24, length: 64 },
  { rows: 200, columns: 144, length: 80 },
];

for (const [index, sizes] of shapes.entries()) {
  const { rows, columns, length } = sizes;
  const blocks = length / 16;
  test(`${rows} x ${columns} x ${length}, quantised for the product`, async () => {
    const x = valuesOf(rows, length, 3 + index);
    const weight = nearestNvfp4(valuesOf(columns, length, 30 + index));
    const policy = index % 2 === 0 ? "bf16" : "f32";
    const { found } = await operands(sizes, x, weight, { policy, codes: false });
    const [xBlocks, weightBlocks] = [encodeNvfp4(x), exactNvfp4(weight)];
    assert.equal(found[0], paddedCodes(xBlocks, rows, length), "codes of the rows");
    assert.equal(found[1], swizzleScales(xBlocks.scales, blocks), "scales of the rows");
    assert.equal(found[2], paddedCodes(weightBlocks, columns, length), "codes of the weight");
    assert.equal(found[3], swizzleScales(weightBlocks.scales, blocks), "scales of the weight");
  });

  test(`${rows} x ${columns} x ${length}, quantised before: the same values, and the same bytes but for the least scales`, async () => {
    const x = valuesOf(rows, length, 3 + index);
    const weight = nearestNvfp4(valuesOf(columns, length, 30 + index));
    const policy = index % 2 === 0 ? "f32" : "bf16";
    const { found, quantised } = await operands(sizes, x, weight, { policy, codes: true });
    const expected = encodeNvfp4(x);
    const meant = decodeNvfp4(expected);
    assert.ok(quantised!.every((value, at) => Object.is(value, meant[at])));
    const [codes, swizzled] = found as [Uint8Array, Uint8Array];
    const stride = Math.ceil(length / 32) * 16;
    const counts = { same: 0, other: 0 };
    for (let row = 0; row < rows; row++)
      for (let block = 0; block < blocks; block++) {
        const at = row * blocks + block;
        const own = codes.slice(row * stride + 8 * block, row * stride + 8 * block + 8);
        const scale = swizzled[swizzledPlace(row, block, blocks)]!;
        const values = decodeNvfp4({ codes: own, scales: Uint8Array.of(scale) });
        for (const [i, value] of values.entries())
          assert.ok(Object.is(value, meant[at * 16 + i]), `row ${row}, element ${16 * block + i}`);
        const isSame = scale === expected.scales[at]!;
        counts[isSame ? "same" : "other"]++;
        // A scale of eight or more is exact to the digits that a largest code of 6 needs.
        if (expected.scales[at]! >= 8) {
          assert.ok(isSame, `scale ${expected.scales[at]} became ${scale}`);
          assert.equal(own, expected.codes.slice(8 * at, 8 * at + 8));
        }
      }
    assert.ok(counts.same > 0);
    const all = Math.ceil(length / 64) * 4;
    const padding = swizzled.filter((_, place) => {
      const [tile, inside] = [Math.floor(place / 512), place % 512];
      const block = (tile % (all / 4)) * 4 + (inside % 4);
      const row =
        Math.floor(tile / (all / 4)) * 128 + (Math.floor(inside / 4) % 4) * 32 + Math.floor(inside / 16);
      return row >= rows || block >= blocks;
    });
    assert.is(padding.length, swizzled.length - rows * blocks);
    assert.ok(padding.every((byte) => byte === 0));
    assert.equal(found[3], swizzleScales(exactNvfp4(weight).scales, blocks), "scales of the weight");
  });
}

test.run();
