/**
 * The drivers over NVIDIA's libraries, without any: a libcuda and an NVRTC built here write down what they are asked.
 * What no library can tell is proven on a GPU only.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { writeFakeNvcc } from "../support/fake-nvcc.ts";

const here = fileURLToPath(new URL("fake", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "weft-fake-cuda-"));
const cuda = join(folder, "libcuda.so.1");
const nvrtc = join(folder, "libnvrtc.so.13");
const cc = process.env.CC ?? "cc";
function build(source: string, output: string, ...definitions: readonly string[]) {
  mkdirSync(dirname(output), { recursive: true });
  const argv = [
    "-shared",
    "-fPIC",
    "-O1",
    "-Wall",
    "-Wextra",
    ...definitions,
    "-o",
    output,
    join(here, source),
  ];
  return spawnSync(cc, argv, { encoding: "utf8" });
}
/** A virtual environment with several NVRTCs, later than any that the machine may have. */
const venv = join(folder, "venv");
const packages = join(venv, "lib/python3.11/site-packages/nvidia");
const newer = join(packages, "cu13/lib/libnvrtc.so.13");
const older = join(packages, "cuda_nvrtc/lib/libnvrtc.so.12");
const oldest = join(packages, "another/lib/libnvrtc.so.12");
const built = [
  build("libcuda.c", cuda),
  build("libnvrtc.c", nvrtc),
  build("libnvrtc.c", newer, "-DMAJOR=13", "-DMINOR=99", "-DARCHITECTURES=90,120"),
  build("libnvrtc.c", older, "-DMAJOR=12", "-DMINOR=99", "-DARCHITECTURES=80,90"),
  build("libnvrtc.c", oldest, "-DMAJOR=12", "-DMINOR=98", "-DARCHITECTURES=80,90,75"),
];

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
  // The system names the path as well: once is enough.
  assert.ok(String(named).includes(`\n  ${path} (cannot open`), String(named));
  const found = child({ WEFT_LIBCUDA: "" }).result.error;
  // A machine with a driver gets further.
  if (String(found).includes("must be installed"))
    for (const place of ["libcuda.so.1 (", "lib64/libcuda.so.1 (", "wsl/lib/libcuda.so.1 ("])
      assert.ok(String(found).includes(place), String(found));
});

test("no NVRTC: an error with every place that was tried", () => {
  const none = child({ WEFT_TEST_WORK: "nvrtc", WEFT_NVRTC: join(folder, "none.so") }).result.error;
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
      `cuLaunchKernelEx grid 1 1 1 block 32 1 1 shared 1024 stream ${stream} attributes 0 params 0 bytes 136 blocks 1`,
      `cuLaunchKernelEx grid 1 1 1 block 32 1 1 shared 0 stream ${stream} attributes 0 params 0 bytes 120 blocks 1`,
      `cuLaunchKernelEx grid 264 1 1 block 32 1 1 shared 0 stream ${stream} attributes 0 params 0 bytes 136 blocks 264`,
    ]);
  });

  test("another library may change the current context at any time, and finds its own again", () => {
    const { result, lines } = child({ WEFT_LIBCUDA: cuda });
    assert.is(result.error, undefined);
    assert.ok(lines.includes("cuMemFree"));
    assert.equal(
      lines.filter((line) => line.includes("context")),
      [],
    );
  });

  for (const status of ["200", "218", "222"])
    test(`an image that the driver refuses with ${status}: both versions, and what to do`, () => {
      const environment = { WEFT_FAKE_IMAGE: status, WEFT_FAKE_VERSION: "12040" };
      const { result } = child({ WEFT_LIBCUDA: cuda, WEFT_TEST_WORK: "image", ...environment });
      assert.match(
        String(result.refused),
        /cuModuleLoadData must succeed; .*; module example, 64 bytes, compiled by CUDA 13\.1; the image is damaged, or its toolkit is too new for the driver, which supports CUDA 12\.4: update the NVIDIA driver, or compile the kernels again with nvcc or NVRTC of CUDA 12 or earlier/,
      );
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
    const { result } = child({ WEFT_TEST_WORK: "nvrtc", WEFT_NVRTC: nvrtc });
    assert.is(result.path, nvrtc);
    assert.is(result.version, "13.1");
    assert.equal(result.architectures, [80, 89, 90, 100, 120, 121]);
    assert.is(result.image, "13.1 --gpu-architecture=sm_90a --std=c++17 ");
    assert.match(
      String(result.refused),
      /^internal: \[nvrtc 13\.1\] kernels must compile for sm_90a; given identifier "x" is undefined, `int error = x;`; at kernels\.cu:2;/,
    );
  });

  const compilerFor = (driver: number, capability: number, environment: Record<string, string> = {}) =>
    child({
      WEFT_TEST_WORK: "compiler",
      WEFT_TEST_DRIVER: String(driver),
      WEFT_TEST_CAPABILITY: String(capability),
      WEFT_NVRTC: "",
      WEFT_NVCC: join(folder, "no-nvcc"),
      VIRTUAL_ENV: venv,
      ...environment,
    }).result;

  test("of several NVRTCs the newest that the driver's CUDA version allows and that knows the GPU", () => {
    const image = (version: string) => `${version} --gpu-architecture=sm_90a --std=c++17 `;
    for (const [driver, capability, version] of [
      [13000, 90, "13.99"],
      // A later minor version of the same major one serves.
      [12040, 90, "12.99"],
      [14000, 90, "13.99"],
      [13000, 80, "12.99"],
    ] as const) {
      assert.equal(
        compilerFor(driver, capability),
        { name: "nvrtc", version, image: image(version) },
        `driver ${driver}, capability ${capability}`,
      );
    }
  });

  test("where NVRTC does not serve, nvcc does; where neither does, both are told", () => {
    const { path } = writeFakeNvcc(join(folder, "bin/nvcc"), { architectures: [90, 100] });
    const only = { WEFT_NVRTC: newer };
    // NVRTC does not know it, nvcc does.
    assert.is(compilerFor(13000, 100, { ...only, WEFT_NVCC: path }).name, "nvcc");
    const neither = String(compilerFor(13000, 100, only).error).split("\n");
    assert.match(
      neither[0]!,
      /^\[nvrtc\] NVRTC must know the GPU's architecture sm_100a; given NVRTC 13\.99 \(.*cu13.*\); install/,
    );
    assert.match(neither[1]!, /^\[nvcc\] must be there/);
    const unknown = String(compilerFor(13000, 121, { ...only, WEFT_NVCC: path }).error);
    assert.match(unknown, /\[nvrtc\] NVRTC must know .*sm_121a/);
    assert.match(unknown, /\[nvcc\] nvcc must know the GPU's architecture sm_121a; given nvcc 13\.0\.88 \(/);
    const old = String(compilerFor(12040, 90, { ...only, WEFT_NVCC: path }).error);
    assert.match(
      old,
      /\[nvrtc\] the driver must support NVRTC's CUDA version; given NVRTC 13\.99 \(.*\) and a driver for CUDA 12\.4; update the NVIDIA driver, or install NVRTC of CUDA 12 \(pip install nvidia-cuda-nvrtc-cu12\)/,
    );
    assert.match(
      old,
      /\[nvcc\] the driver must support nvcc's CUDA version; given nvcc 13\.0\.88 and a driver for CUDA 12\.4; update the NVIDIA driver, or name nvcc of CUDA 12 in WEFT_NVCC/,
    );
  });
}

test.run();
