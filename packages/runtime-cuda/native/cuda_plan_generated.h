// Generated from packages/compiler/src/cuda/types.ts by scripts/generate/plan-header.ts (npm run generate). Do not edit.
#pragma once

#include <napi.h>

#include <cstdint>
#include <string>
#include <vector>

#include "plan_generated.h"

namespace weft::plan {

inline constexpr int64_t cuda_version = 5;

// One compilation unit: the prelude and some kernels, self-contained for NVRTC.
struct CudaModule {
  std::string name{};
  std::string source{};
};

// A `__global__` function of a module. Its only parameter is `Args<slots>` of types.cuh.
struct CudaFunction {
  std::string name{};
  // Index into `CudaPlan.modules`.
  int64_t module = 0;
  // Threads of a block: a multiple of 32.
  int64_t threads = 0;
  // Dynamic shared memory of a block, in bytes.
  int64_t shared_bytes = 0;
  int64_t slots = 0;
};

// `ceil(extent / tile)` blocks along one loop.
struct CudaExtent {
  Affine extent{};
  int64_t tile = 0;
};

struct CudaLaunch {
  // Index into `CudaPlan.functions`.
  int64_t function = 0;
  // Index into the plan program's steps: what this launch belongs to.
  int64_t step = 0;
  // Which part of the step's work: what tells several launches of one function apart.
  int64_t piece = 0;
  // One buffer (index into `Plan.buffers`) per slot of the function.
  std::vector<int64_t> bindings{};
  // Virtual blocks: the product. A launch of zero blocks is left out.
  std::vector<CudaExtent> blocks{};
  // 0: a block for each virtual one. Else the work is shared out over so many blocks per multiprocessor, whatever
  // `blocks` says.
  int64_t per_multiprocessor = 0;
};

// A matrix in memory: rows of contiguous elements, `stride` elements from one to the next.
struct CudaMatrix {
  // Index into `Plan.buffers`; -1 is scratch.
  int64_t buffer = 0;
  PlanDtype dtype{};
  // Its first element, counted in elements.
  int64_t offset = 0;
  int64_t stride = 0;
};

// Where the block scales of a product's operands begin in scratch, in bytes; their order is swizzled-scales.ts.
struct CudaBlockScales {
  int64_t x = 0;
  int64_t weight = 0;
};

// `out[rows][columns] = x[rows][contracted] * weight[columns][contracted]^T + addend`, accumulated in f32. A transposed
// matrix lies in memory as `[contracted][rows]` (`[contracted][columns]`).
struct CudaProduct {
  int64_t columns = 0;
  Affine contracted{};
  CudaMatrix x{};
  bool is_x_transposed = false;
  CudaMatrix weight{};
  bool is_weight_transposed = false;
  CudaMatrix out{};
  // None or one, of `out`'s dtype; it may lie where `out` does.
  std::vector<CudaMatrix> addends{};
  // None: both operands are of bf16. One: both are of nvfp4 and lie in scratch, in rows of two codes to a byte, for units
  // that multiply FP4; `contracted` is then a constant multiple of 32, and nothing else may compute the product.
  std::vector<CudaBlockScales> scales{};
};

// Another way to execute a step, with products of NVIDIA's library: `before`, the products, `after`. Which way is taken
// is decided at load and by the number of rows, so a step has its launches all the same.
struct CudaLibraryStep {
  // Index into the plan program's steps.
  int64_t step = 0;
  // Rows of every product: the product of these.
  std::vector<Affine> rows{};
  // Fewer rows than this are the launches' work.
  int64_t least_rows = 0;
  std::vector<CudaLaunch> before{};
  std::vector<CudaProduct> products{};
  std::vector<CudaLaunch> after{};
};

struct CudaProgram {
  std::string name{};
  std::vector<CudaLaunch> launches{};
  // In the order of the steps.
  std::vector<CudaLibraryStep> library_steps{};
};

struct CudaPlan {
  int64_t version = 0;
  // Hash of the plan that this belongs to.
  std::string plan{};
  std::vector<CudaModule> modules{};
  std::vector<CudaFunction> functions{};
  std::vector<CudaProgram> programs{};
  // Bytes of scratch that the hungriest launch needs; launches run one after the other and share it.
  int64_t scratch_bytes = 0;
  // The same for the hungriest step of `librarySteps`.
  int64_t library_scratch_bytes = 0;
  // Counters that the hungriest launch needs.
  int64_t tickets = 0;
};

// Reads a plain object. Throws weft::Error, with the place, on anything missing or of the wrong type. Says nothing
// about whether the numbers make sense: see check_cuda_plan.h.
CudaPlan read_cuda_plan(const Napi::Value& value);

// The same plan as a plain object again.
Napi::Value write_cuda_plan(Napi::Env env, const CudaPlan& plan);

}  // namespace weft::plan
