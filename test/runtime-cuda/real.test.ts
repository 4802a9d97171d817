/**
 * The drivers over NVIDIA's libraries, without any: a libcuda and an NVRTC built here write down what they are asked.
 * What no library can tell is proven on a GPU only.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const here = fileURLToPath(new URL("fake", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "weft-fake-cuda-"));
const cuda = join(folder, "libcuda.so.1");
const nvrtc = join(folder, "libnvrtc.so.13");
const cc = process.env.CC ?? "cc";
const build = (source: string, output: string) =>
  spawnSync(cc, ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-o", output, join(here, source)], {
    encoding: "utf8",
  });
const built = [build("libcuda.c", cuda), build("libnvrtc.c", nvrtc)];

const test = suite("cuda real drivers");
test.after(() => rmSync(folder, { recursive: true }));

/** What the child prints, and what the driver was asked. */
function child(environment: Record<string, string>) {
  const log = join(folder, `${Math.random()}.log`);
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    ["--conditions=source", "--import", "tsx", join(here, "child.ts")],
    { encoding: "utf8", env: { ...process.env, WEFT_FAKE_LOG: log, ...environment } },
  );
  assert.is(status, 0, stderr);
  const lines = (() => {
    try {
      return readFileSync(log, "utf8").trim().split("\n");
    } catch {
      return [];
    }
  })();
  return { result: JSON.parse(stdout) as Record<string, unknown>, lines };
}

test("no driver: an error with every place that was tried", () => {
  const path = join(folder, "none.so");
  const named = child({ WEFT_LIBCUDA: path }).result.error;
  assert.match(
    String(named),
    /^\[cuda\] an NVIDIA driver must be installed \(its library libcuda\.so\.1\); none of these places has one; install the driver, or name the library in WEFT_LIBCUDA/,
  );
  assert.ok(String(named).includes(`\n  ${path} (`));
  const found = child({ WEFT_LIBCUDA: "" }).result.error;
  // A machine with a driver gets further.
  if (String(found).includes("must be installed"))
    for (const place of ["libcuda.so.1 (", "lib64/libcuda.so.1 (", "wsl/lib/libcuda.so.1 ("])
      assert.ok(String(found).includes(place), String(found));
});

test("no NVRTC: an error with every place that was tried", () => {
  const none = child({ WEFT_TEST_COMPILER: "1", WEFT_NVRTC: join(folder, "none.so") }).result.error;
  assert.match(String(none), /NVRTC must be found to compile kernels.*; tried:\n.*none\.so \(/);
});

if (built.some(({ status }) => status !== 0)) {
  console.log(
    `skipped: the fake libraries need a C compiler (${cc}); ${built[0]?.error ?? built[0]?.stderr}`,
  );
} else {
  test("the calls of a whole life", () => {
    const { result, lines } = child({ WEFT_LIBCUDA: cuda });
    const { refused, ...rest } = result as { refused: string[] };
    assert.match(
      refused[0]!,
      /cuModuleLoadData must succeed; .*; module example, 160 bytes; the image is damaged/,
    );
    assert.match(refused[0]!, /does not begin as a cubin does/);
    assert.match(refused[1]!, /is it truncated\?/);
    assert.equal(rest, {
      facts: {
        name: "fake GPU 7",
        computeCapability: 90,
        multiprocessors: 132,
        sharedBytesPerBlock: 232448,
        totalBytes: 80 * 2 ** 30,
        freeBytes: 79 * 2 ** 30,
        driverVersion: 13000,
      },
      times: [500000, 500000, 500000],
      state: 9,
    });
    const count = (pattern: RegExp) => lines.filter((line) => pattern.test(line)).length;
    assert.is(count(/^cuGetProcAddress \w+ 12000 0$/), count(/^cuGetProcAddress/));
    assert.is(count(/^cuInit 0$/), 1);
    for (const [made, ended] of [
      [/^cuDevicePrimaryCtxRetain 7$/, /^cuDevicePrimaryCtxRelease 7$/],
      [/^cuMemAlloc /, /^cuMemFree$/],
      [/^cuMemHostAlloc \d+ 0$/, /^cuMemFreeHost$/],
      [/^cuStreamCreate 1$/, /^cuStreamDestroy /],
      [/^cuEventCreate 0$/, /^cuEventDestroy$/],
      [/^cuModuleLoadData 7f45$/, /^cuModuleUnload$/],
      [/^cuStreamBeginCapture 0x\w+ 1$/, /^cuStreamEndCapture 0x/],
      [/^cuGraphInstantiateWithFlags 0$/, /^cuGraphExecDestroy$/],
      [/^cuStreamEndCapture/, /^cuGraphDestroy$/],
    ] as const) {
      assert.ok(count(made) > 0, String(made));
      assert.is(count(made), count(ended), `${made} ${ended}`);
    }
    assert.is(count(/^cuGraphLaunch/), 2);
    assert.is(count(/^cuFuncSetAttribute 8 1024$/), 2);
    const stream = /^cuMemsetD8Async 0 256 (0x\w+)$/m.exec(lines.join("\n"))![1];
    const launch = lines.filter((line) => line.startsWith("cuLaunchKernelEx")).slice(0, 3);
    assert.equal(launch, [
      `cuLaunchKernelEx grid 1 1 1 block 32 1 1 shared 1024 stream ${stream} attributes 0 params 0 bytes 128 blocks 1`,
      `cuLaunchKernelEx grid 1 1 1 block 32 1 1 shared 0 stream ${stream} attributes 0 params 0 bytes 112 blocks 1`,
      `cuLaunchKernelEx grid 264 1 1 block 32 1 1 shared 0 stream ${stream} attributes 0 params 0 bytes 128 blocks 264`,
    ]);
    // Once on the dispatcher's thread, and on JavaScript's for the end.
    assert.is(count(/^cuCtxSetCurrent 0xc0$/), 6);
  });

  test("drivers that will not do", () => {
    const refused = (environment: Record<string, string>, pattern: RegExp) =>
      assert.match(String(child({ WEFT_LIBCUDA: cuda, ...environment }).result.error), pattern);
    refused(
      { WEFT_FAKE_VERSION: "11080" },
      /the driver must support CUDA 12\.0 or later; .*libcuda\.so\.1 supports 11\.8; update the NVIDIA driver/,
    );
    refused(
      { WEFT_FAKE_MISSING: "cuLaunchKernelEx" },
      /has no cuLaunchKernelEx \(status 0, 1\); update the NVIDIA driver/,
    );
    refused(
      { WEFT_FAKE_INIT: "100" },
      /cuInit must succeed; CUDA_ERROR_NO_DEVICE \(no CUDA-capable device is detected\); .*is there a GPU/,
    );
    refused({ WEFT_FAKE_COUNT: "0" }, /a GPU must be present; the driver knows none/);
    refused({ WEFT_TEST_INDEX: "1" }, /the GPU's index must be 0 to 0; 1/);
    refused({ WEFT_LIBCUDA: nvrtc }, /is no CUDA driver: it has no cuDriverGetVersion/);
  });

  test("NVRTC: an image for an architecture, errors as file, line and text", () => {
    const { result } = child({ WEFT_TEST_COMPILER: "1", WEFT_NVRTC: nvrtc });
    assert.is(result.path, nvrtc);
    assert.is(result.version, "13.1");
    assert.is(result.image, "--gpu-architecture=sm_90a --std=c++17 ");
    assert.match(
      String(result.refused),
      /^\[nvrtc\] identifier "x" is undefined; given int error = x;; at kernels\.cu:2$/,
    );
  });
}

test.run();
