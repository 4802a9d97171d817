/** Kernel text to a shared object by the host's compiler, and what is said when that fails. */
import { preludeFolder } from "@weft/compiler";
import { WeftError } from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { compilerMessages } from "../../../packages/runtime-cuda/src/compile/compiler-messages.ts";
import {
  compileForHost,
  findHostCompiler,
  type HostModule,
  hostFlags,
  hostKernelCompiler,
} from "../../../packages/runtime-cuda/src/compile/host-compiler.ts";

const test = suite("host compiler");

const module = (body: string): HostModule => ({
  file: "double.cu",
  source: `#include "device.cuh"
#include "numbers.cuh"
DEVICE i64 twice_blocks(const Args<1>&) { return 1; }
DEVICE void twice_body(const Args<1>& args, i64) {
  ${body}
}
WEFT_KERNEL(twice, 32, 1, 1)
`,
  includeFolders: [preludeFolder],
});

async function rejection(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.instance(error, WeftError);
  return (error as WeftError).message;
}

test("compiles to a shared object, the same from the same text", async () => {
  const compiler = await findHostCompiler();
  const good = module(
    "const auto x = global<float>(args.slot[0]);\n  store(x, lane_index(), 2 * load(x, lane_index()));",
  );
  const [first, second] = [await compileForHost(good, compiler), await compileForHost(good, compiler)];
  assert.ok(first.length > 1000);
  assert.equal(Buffer.compare(first, second), 0);
});

test("WEFT_SIM_FLAGS come last, so that they decide, and belong to the key of the cache", async () => {
  const { WEFT_SIM_FLAGS: _, ...environment } = process.env;
  const usual = await findHostCompiler(environment);
  assert.equal(usual.lastArgs, []);
  const other = await findHostCompiler({ ...environment, WEFT_SIM_FLAGS: " -DTHREE=3  -O0 " });
  assert.equal(other.lastArgs, ["-DTHREE=3", "-O0"]);
  const asked = module(
    "static_assert(THREE == 3);\n#ifdef __OPTIMIZE__\n#error it is optimised\n#endif\n  static_cast<void>(args);",
  );
  assert.ok((await compileForHost(asked, other)).length > 1000);
  assert.match(await rejection(compileForHost(asked, usual)), /THREE/);
  const before = process.env.WEFT_SIM_FLAGS;
  try {
    process.env.WEFT_SIM_FLAGS = "-DTHREE=3";
    assert.equal((await hostKernelCompiler()).flags, [...hostFlags, "-DTHREE=3"]);
  } finally {
    if (before === undefined) delete process.env.WEFT_SIM_FLAGS;
    else process.env.WEFT_SIM_FLAGS = before;
  }
});

test("names file, line and text of an error", async () => {
  const compiler = await findHostCompiler();
  const message = await rejection(compileForHost(module("no_such_function(args);"), compiler));
  assert.match(
    message,
    /\[host compiler\] kernels must compile for cuda-sim; given .*no_such_function.*`no_such_function\(args\);`; at double\.cu:5/,
  );
});

test("says what was tried", async () => {
  assert.match(
    await rejection(findHostCompiler({ CXX: "no-such-compiler -m64" })),
    /^unsupported: \[host compiler\] cuda-sim needs a C\+\+20 compiler; given no-such-compiler -m64: .*ENOENT.*CXX/,
  );
  const compiler = { command: "no-such-compiler", args: [], version: "" };
  assert.match(
    await rejection(compileForHost(module(""), compiler)),
    /\[host compiler\] no-such-compiler must run and end within 300 s; given .*ENOENT/,
  );
});

test("reads the messages of GCC, clang and NVRTC", () => {
  const output = `In file included from a.cu:1:
/usr/include/x.cuh:7:12: fatal error: y.h: No such file or directory
a.cu:3:1: warning: unused
a.cu:12: error: expected ';'
kernels.cu(14): error: identifier "z" is undefined
kernels.cu(15): error #20-D: identifier "w" is undefined
          detected during instantiation of "T bad(T)" at line 40 of "/tmp/kernels.cu"`;
  assert.equal(compilerMessages(output), [
    { file: "x.cuh", line: 7, message: "y.h: No such file or directory", usedAt: undefined },
    { file: "a.cu", line: 12, message: "expected ';'", usedAt: undefined },
    { file: "kernels.cu", line: 14, message: 'identifier "z" is undefined', usedAt: undefined },
    {
      file: "kernels.cu",
      line: 15,
      message: 'identifier "w" is undefined',
      usedAt: { file: "kernels.cu", line: 40 },
    },
  ]);
});

test.run();
