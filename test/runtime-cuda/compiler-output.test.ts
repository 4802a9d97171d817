/** What compilers print, read: errors with their places, and what ptxas says about kernels. */
import { formatProblem } from "@weft/dsl";
import { kernelResources } from "@weft/runtime-cuda";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { problemsOf } from "../../packages/runtime-cuda/src/compile/diagnostics.ts";

const test = suite("compiler output");

const source = `#line 1 "kernels.cu"
#line 1 "device.cuh"
template <typename T> DEVICE T bad(T x) { return x.foo; }
#line 2 "kernels.cu"

// rms_norm
// of model.norm
// b0 read f32
DEVICE i64 k0_blocks(const Args<1>& args) { return 1; }

// matmul_add
// of model.layers.*.mlp.down_proj, model.layers.*
// b0 read bf16
DEVICE void k1_body(const Args<1>& args, i64 block) {
  // not a header
  y = bad(x);
}`;
const attempt = { compiler: "nvcc 13.0.88", target: "sm_90a", source };
const messages = (output: string) => problemsOf({ ...attempt, output }).map(formatProblem);

test("an error in generated text names the kernel and the blocks that it serves", () => {
  const output =
    'kernels.cu(13): error: identifier "y" is undefined\n    y = bad(x);\n    ^\n\n1 error detected';
  assert.equal(messages(output), [
    'internal: [nvcc 13.0.88] kernels must compile for sm_90a; given identifier "y" is undefined in matmul_add, `y = bad(x);`; at model.layers.*.mlp.down_proj, model.layers.* (kernels.cu:13); please report this with the command',
  ]);
  // Of other compilers.
  assert.match(
    messages("kernels.cu:6:3: error: no")[0]!,
    /given no in rms_norm, `DEVICE i64 .*`; at model\.norm \(kernels/,
  );
});

test("an error inside a template of the prelude names the kernel that uses it", () => {
  const output = `device.cuh(1): error #12: expression must have class type
  template
          ^
          detected during instantiation of "T bad(T) [with T=int]" at line 13 of kernels.cu

kernels.cu(6): error: second
`;
  const [first, second] = messages(output);
  assert.match(
    first!,
    /must have class type in matmul_add, `template .* return x\.foo; }`; at model.*down_proj.* \(device\.cuh:1\)/,
  );
  assert.match(second!, /given second in rms_norm/);
});

test("without a place: the reason where it is known, else all that was printed", () => {
  assert.match(
    messages("nvcc fatal   : Unsupported gpu architecture 'sm_90a'")[0]!,
    /^\[nvcc 13.0.88\] must know the target sm_90a; given nvcc fatal.*choose another target/,
  );
  assert.match(
    messages(
      "gcc: No such file or directory\nnvcc fatal   : Failed to preprocess host compiler properties.",
    )[0]!,
    /^\[nvcc 13.0.88\] needs the host's C\+\+ compiler/,
  );
  assert.match(messages("ptxas fatal   : Ptx assembly aborted")[0]!, /^internal: .*given ptxas fatal/);
  assert.match(messages("")[0]!, /given no message/);
  // A file that is not part of the text is no place in it.
  assert.match(messages("/usr/include/x.h(3): error: no")[0]!, /given \/usr\/include\/x\.h\(3\)/);
});

test("hundreds of errors are cut", () => {
  const output = Array.from({ length: 300 }, (_, index) => `kernels.cu(${index + 1}): error: no`).join("\n");
  assert.is(messages(output).length, 20);
});

const log = `ptxas info    : 24 bytes gmem
ptxas info    : Compiling entry function 'k17_rope_3' for 'sm_90a'
ptxas info    : Function properties for k17_rope_3
    32 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 54 registers, used 0 barriers, 32 bytes cumulative stack size
ptxas info    : Compile time = 8.969 ms
ptxas info    : Compiling entry function 'k1' for 'sm_90a'
ptxas info    : Function properties for k1
    16 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 255 registers, used 1 barriers, 4000 bytes smem, 400 bytes cmem[0]
ptxas info    : Function properties for slow_path
    40 bytes stack frame, 4 bytes spill stores, 4 bytes spill loads
`;

test("registers, spills, stack and shared memory by kernel; functions that were not inlined count", () => {
  assert.equal(kernelResources(log), [
    {
      kernel: "k1",
      registers: 255,
      spillStores: 12,
      spillLoads: 16,
      stackBytes: 40,
      staticSharedBytes: 4000,
    },
    {
      kernel: "k17_rope_3",
      registers: 54,
      spillStores: 0,
      spillLoads: 0,
      stackBytes: 32,
      staticSharedBytes: 0,
    },
  ]);
  assert.equal(kernelResources("nothing of the kind"), []);
});

test("a report without registers is a defect, not zero registers", () => {
  const cut = log.replace(/Used 255 registers.*/, "");
  assert.throws(() => kernelResources(cut), /internal: \[ptxas\] must report registers/);
});

test.run();
