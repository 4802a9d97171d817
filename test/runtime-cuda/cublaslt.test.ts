/**
 * cuBLASLt without it: one built here writes down what it is asked. That the products are right, and quick, is proven on
 * a GPU only; that our declarations are NVIDIA's is compiled where its headers are.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { findNvcc } from "@weft/runtime-cuda";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { hidden, inner } from "../support/library-graphs.ts";

const here = fileURLToPath(new URL("fake", import.meta.url));
const native = fileURLToPath(new URL("../../packages/runtime-cuda/native", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "weft-fake-cublaslt-"));
const cuda = join(folder, "libcuda.so.1");
const cublaslt = join(folder, "libcublasLt.so.13");
const cc = process.env.CC ?? "cc";
const build = (source: string, output: string) =>
  spawnSync(cc, ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-o", output, join(here, source)], {
    encoding: "utf8",
  });
const built = [build("libcuda.c", cuda), build("libcublaslt.c", cublaslt)];

const test = suite("cuBLASLt");
test.after(() => rmSync(folder, { recursive: true }));

interface Result {
  readonly matmulLibrary: { readonly found: boolean; readonly note: string };
  readonly matmulSteps: readonly { readonly by: string; readonly reason: string }[];
  readonly errors: readonly string[];
  readonly memory: readonly [number, number];
  readonly path?: string;
  readonly version?: string;
  readonly error?: string;
}

function child(environment: Record<string, string>) {
  const log = join(folder, `${Math.random()}.log`);
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    ["--conditions=source", "--import", "tsx", join(here, "matmul-child.ts")],
    {
      encoding: "utf8",
      env: {
        ...process.env,
        WEFT_FAKE_LOG: log,
        WEFT_LIBCUDA: cuda,
        WEFT_CUBLASLT: cublaslt,
        ...environment,
      },
    },
  );
  assert.is(status, 0, stderr);
  const lines = existsSync(log) ? readFileSync(log, "utf8").trim().split("\n") : [];
  return { result: JSON.parse(stdout) as Result, lines };
}

test("none: what was tried, without a device", () => {
  const none = join(folder, "none.so");
  const { error } = child({ WEFT_TEST_DESCRIBE: "1", WEFT_CUBLASLT: none }).result;
  assert.match(String(error), /cuBLASLt must be found \(its library libcublasLt\.so\).*WEFT_CUBLASLT/);
  assert.ok(String(error).includes(`\n  ${none} (`));
});

const header = await (async () => {
  const { nvcc } = await findNvcc();
  const roots = [
    ...(nvcc === undefined ? [] : [dirname(dirname(nvcc.path))]),
    process.env.CUDA_HOME ?? "/usr/local/cuda",
  ];
  return roots.map((root) => join(root, "include")).find((path) => existsSync(join(path, "cublasLt.h")));
})();
if (header === undefined)
  console.log(
    "skipped: our declarations of cuBLASLt against its header: no cublasLt.h beside nvcc or in CUDA_HOME",
  );
else
  test("our declarations are those of NVIDIA's header", () => {
    const { status, stderr } = spawnSync(
      process.env.CXX ?? "c++",
      ["-std=c++20", "-fsyntax-only", "-I", native, "-isystem", header, join(here, "cublaslt_abi.cc")],
      { encoding: "utf8" },
    );
    assert.is(status, 0, stderr);
  });

if (built.some(({ status }) => status !== 0)) {
  console.log(
    `skipped: the fake libraries need a C compiler (${cc}); ${built[1]?.error ?? built[1]?.stderr}`,
  );
} else {
  test("descriptors, layouts, pointers and streams of every product", () => {
    const { result, lines } = child({});
    assert.equal(result.matmulLibrary, { found: true, note: `cuBLASLt 13.2.3 (${cublaslt})` });
    assert.ok(result.matmulSteps.length === 2 && result.matmulSteps.every(({ by }) => by === "library"));
    assert.equal(result.errors, []);
    assert.is(result.memory[0], result.memory[1]);
    const of = (pattern: RegExp) => lines.filter((line) => pattern.test(line));
    // Once for each shape: in columns, as the library sees them, so weights are transposed and rows are not.
    const asked = (columns: number, contracted: number) =>
      `cublasLtMatmulAlgoGetHeuristic a 14 ${contracted}x${columns}/${contracted} b 14 ${contracted}x128/${contracted} ` +
      `c 0 ${columns}x128/${columns} d 0 ${columns}x128/${columns} workspace 33554432 schemes 2 alignment 256 256 256 256 requested 1`;
    assert.equal(of(/^cublasLtMatmulAlgoGetHeuristic/), [asked(inner, hidden), asked(hidden, inner)]);
    const products = of(/^cublasLtMatmul compute/);
    // The first run's and the captured one's.
    assert.is(products.length, 6);
    assert.equal(products.slice(3), products.slice(0, 3));
    const stream = /^cuMemsetD8Async 0 \d+ (0x\w+)$/m.exec(lines.join("\n"))![1];
    const parts = products.slice(0, 3).map((line) => {
      const pattern =
        /^cublasLtMatmul compute 68 scale 0 transposed 1 0 alpha 1 beta (\d) a (\w+) 14 (\S+) b (\w+) 14 (\S+) c (\w+) 0 (\S+) d (\w+) 0 (\S+) known 1 workspace 1 4096 stream (\w+)$/;
      const found = pattern.exec(line);
      assert.ok(found !== null, line);
      const [, beta, a, aShape, b, bShape, c, cShape, d, dShape, on] = found!;
      assert.is(on, stream);
      assert.equal([cShape, d === c], [dShape, beta === "0"]);
      return { beta, a: Number(a), b: Number(b), d: Number(d), shapes: [aShape, bShape, dShape] };
    });
    const [gate, up, down] = parts as [(typeof parts)[0], (typeof parts)[0], (typeof parts)[0]];
    assert.equal([gate.beta, up.beta, down.beta], ["0", "0", "1"]);
    assert.equal(gate.shapes, [
      `${hidden}x${inner}/${hidden}`,
      `${hidden}x128/${hidden}`,
      `${inner}x128/${inner}`,
    ]);
    assert.equal(down.shapes, [
      `${inner}x${hidden}/${inner}`,
      `${inner}x128/${inner}`,
      `${hidden}x128/${hidden}`,
    ]);
    // Weights one behind the other in their arena; the rows, then the sums of each, in scratch.
    const weight = inner * hidden * 2;
    assert.equal([up.a - gate.a, down.a - up.a], [weight, weight]);
    assert.is(gate.b, up.b);
    assert.equal([gate.d - gate.b, up.d - gate.d], [128 * hidden * 2, 128 * inner * 4]);
    for (const [made, ended] of [
      [/^cublasLtCreate$/, /^cublasLtDestroy$/],
      [/^cublasLtMatmulDescCreate$/, /^cublasLtMatmulDescDestroy$/],
      [/^cublasLtMatrixLayoutCreate$/, /^cublasLtMatrixLayoutDestroy$/],
      [/^cublasLtMatmulPreferenceCreate$/, /^cublasLtMatmulPreferenceDestroy$/],
    ] as const) {
      assert.ok(of(made).length > 0, String(made));
      assert.is(of(made).length, of(ended).length, `${made} ${ended}`);
    }
  });

  test("operands across the contracted axis lie in columns already, or rows are transposed", () => {
    const { result, lines } = child({ WEFT_TEST_CROSSED: "1" });
    assert.equal(result.errors, []);
    const products = lines.flatMap((line) => {
      const found =
        /^cublasLtMatmul compute 68 scale 0 transposed (\d \d) .* a \w+ 14 (\S+) b \w+ 14 (\S+) c/.exec(line);
      return found === null ? [] : [found.slice(1, 4)];
    });
    const [weight, across] = [`${hidden}x${inner}/${hidden}`, `${inner}x${hidden}/${inner}`];
    const [rows, columns] = [`${hidden}x128/${hidden}`, `128x${hidden}/128`];
    assert.equal(products, [
      ["1 0", weight, rows],
      ["1 1", weight, columns],
      ["0 0", across, rows],
      ["0 1", across, columns],
    ]);
  });

  test("products of NVFP4: their types, and where the scales of each side lie", () => {
    const { result, lines } = child({ WEFT_TEST_FP4: "1", WEFT_FAKE_CAPABILITY: "100" });
    assert.equal(result.errors, []);
    assert.equal(
      result.matmulSteps.map(({ by, reason }) => `${by} ${reason}`),
      ["library from 128 rows on, in units for FP4"],
    );
    const asked = lines.filter((line) => line.startsWith("cublasLtMatmulAlgoGetHeuristic"));
    assert.is(asked.length, 1);
    assert.match(asked[0]!, / a 33 64x40\/64 b 33 64x128\/64 c 0 40x128\/40 d 0 40x128\/40 /);
    const products = lines.filter((line) => line.startsWith("cublasLtMatmul compute"));
    assert.is(products.length, 2);
    const pattern =
      /^cublasLtMatmul compute 68 scale 0 transposed 1 0 alpha 1 beta 0 a (\w+) 33 \S+ b (\w+) 33 .* scales 1 (\w+) 1 (\w+)$/;
    const [weight, x, weightScales, xScales] = pattern.exec(products[0]!)!.slice(1).map(Number);
    // In scratch: 128 rows of 32 bytes, their scales in one tile, 40 rows of the weight, and theirs.
    assert.equal([xScales! - x!, weight! - x!, weightScales! - x!], [4096, 4096 + 512, 4096 + 512 + 1280]);
    assert.equal(products[1], products[0]);
  });

  test("a GPU without units for FP4, or a library from before CUDA 12.8, does not load such a plan", () => {
    const refusal = (environment: Record<string, string>) =>
      String(child({ WEFT_TEST_FP4: "1", WEFT_FAKE_CAPABILITY: "100", ...environment }).result.error);
    assert.match(
      refusal({ WEFT_FAKE_CAPABILITY: "90" }),
      /fake GPU 7 has compute capability 9\.0, units for FP4 begin/,
    );
    assert.match(
      refusal({ WEFT_FAKE_CUDART: "12060" }),
      /cuBLASLt must be of CUDA 12\.8 or later to multiply NVFP4; .* is of CUDA 12\.6: update it; load it with fp4 "emulated"/,
    );
    assert.match(refusal({ WEFT_CUBLASLT: join(folder, "none.so") }), /cuBLASLt must be found/);
    assert.match(
      refusal({ WEFT_FAKE_REFUSED: "40" }),
      /CUBLAS_STATUS_NOT_SUPPORTED .*; product with a weight in scratch/,
    );
    // Older ones multiply bf16 as before.
    assert.is(child({ WEFT_FAKE_CUDART: "12060" }).result.matmulLibrary.found, true);
  });

  test("libraries and shapes that will not do: the plan's kernels, and the reason", () => {
    const refused = (environment: Record<string, string>, pattern: RegExp) => {
      const { result, lines } = child(environment);
      assert.is(result.matmulLibrary.found, false);
      assert.match(result.matmulLibrary.note, pattern);
      for (const { by, reason } of result.matmulSteps)
        assert.equal([by, pattern.test(reason)], ["own", true]);
      assert.equal(result.errors, []);
      assert.is(lines.filter((line) => line.startsWith("cublasLtMatmul compute")).length, 0);
      assert.ok(result.memory[0] === result.memory[1] && result.memory[0] < 2 ** 25);
    };
    refused({ WEFT_CUBLASLT: join(folder, "none.so") }, /cuBLASLt must be found/);
    refused({ WEFT_CUBLASLT: cuda }, /cuBLASLt must have cublasLtGetVersion; .*libcuda\.so\.1 has not/);
    // An older driver cannot serve a newer library.
    refused({ WEFT_FAKE_VERSION: "12080" }, /must be of CUDA 12 to 12, as the driver is; .* is of CUDA 13/);
    refused({ WEFT_FAKE_CUDART: "11080" }, /must be of CUDA 12 to 13, as the driver is; .* is of CUDA 11/);
    refused(
      { WEFT_FAKE_CREATE: "1" },
      /cublasLtCreate must succeed; CUBLAS_STATUS_FAKE \(a fake\); opening cuBLASLt 13/,
    );
    refused({ WEFT_TEST_OWN: "1" }, /opened without a library/);
    const one = child({ WEFT_FAKE_REFUSED: String(hidden) });
    assert.equal(
      one.result.matmulSteps.map(({ by }) => by),
      ["library", "own"],
    );
    assert.match(
      one.result.matmulSteps[1]!.reason,
      /cublasLtMatmulAlgoGetHeuristic must succeed; CUBLAS_STATUS_NOT_SUPPORTED \(not supported\)/,
    );
    assert.is(one.lines.filter((line) => line.startsWith("cublasLtMatmul compute")).length, 4);
    const greedy = child({ WEFT_FAKE_WORKSPACE: String(2 ** 26) }).result;
    assert.match(
      greedy.matmulSteps[0]!.reason,
      /must keep to 33554432 bytes of workspace; it wants 67108864/,
    );
    // A library of CUDA 12 serves a driver of 13.
    assert.ok(child({ WEFT_FAKE_CUDART: "12080" }).result.matmulLibrary.found);
  });

  test("a product that fails names call, status, product and step", () => {
    const { errors } = child({ WEFT_FAKE_MATMUL: "13" }).result;
    assert.is(errors.length, 3);
    for (const error of errors)
      assert.match(
        error,
        /^\[cuda\] cublasLtMatmul must succeed; CUBLAS_STATUS_FAKE \(a fake\); product with gate\.weight \(kernel matmul_mul, step 0 of main, from .*\), 128 x 24 x 16$/,
      );
  });

  test("the one that would be used, without a device", () => {
    const { result } = child({ WEFT_TEST_DESCRIBE: "1" });
    assert.equal([result.path, result.version], [cublaslt, "13.2.3"]);
  });
}

test.run();
