// What is a product of matrices of some size goes to the kernel library (contract_gemm.h). The rest is shared out by blocks of
// outputs along the last loop. For each block, how to sum depends on strides alone, so that results never depend on the
// number of threads:
//  * both operands are contiguous along the last contracted loop: dot products of rows;
//  * one operand is contiguous along the block and the other constant: scaled rows are added to the block;
//  * else: one product after the other.
#include "exec/contract_code.h"

#include <algorithm>

#include "row/convert_dtype.h"
#include "validate.h"

namespace weft::cpu {
namespace {

constexpr int64_t most_block_outputs = 512;
constexpr int64_t dot_floats = 2048;

struct Operand {
  const char* memory = nullptr;
  plan::PlanDtype dtype{};
  int64_t width = 4;
  const int64_t* strides = nullptr;
  // Of nvfp4, whose memory is the whole matrix: the first element, and elements of a row.
  int64_t first = 0, row_length = 0;

  const char* at(int64_t element) const { return memory + element * width; }

  // Neighbouring elements.
  void read(const KernelTable& kernels, float* out, int64_t element, size_t count) const {
    if (dtype != plan::PlanDtype::nvfp4) return read_elements(kernels, out, at(element), dtype, count);
    for (size_t done = 0; done < count;) {
      const int64_t from = first + element + static_cast<int64_t>(done), place = from % row_length;
      const size_t size = std::min(count - done, static_cast<size_t>(row_length - place));
      kernels.nvfp4_load_row(out + done, reinterpret_cast<const uint8_t*>(memory), static_cast<size_t>(from / row_length),
                             static_cast<size_t>(row_length), static_cast<size_t>(place), size);
      done += size;
    }
  }
  float one(const KernelTable& kernels, int64_t element) const {
    if (dtype != plan::PlanDtype::nvfp4) return read_element(at(element), dtype);
    float value;
    read(kernels, &value, element, 1);
    return value;
  }
};

}  // namespace

struct ContractCode::Run {
  Operand a, b;
  char* out = nullptr;
  plan::PlanDtype out_dtype{};
  int64_t extents[row_loops_limit] = {};
  size_t loops = 0, all = 0;
  int64_t terms = 1;  // of one sum
};

ContractCode::ContractCode(const plan::ContractKernel& kernel, const plan::SymbolBounds& bounds, const KernelTable& kernels)
    : kernel_(kernel), gemm_(kernel, bounds, kernels) {}

ScratchNeeds ContractCode::scratch_needs() const {
  const size_t blocks = static_cast<size_t>(most_block_outputs * 2 + dot_floats * 2) * sizeof(float);
  return {std::max(blocks, gemm_.scratch_bytes()), gemm_.shared_bytes()};
}

void ContractCode::execute(const StepBinding& step, Worker& worker) const noexcept {
  Run run;
  const auto operand = [&](const plan::Access& access) {
    Operand bound;
    const size_t slot = static_cast<size_t>(access.slot);
    bound.dtype = kernel_.slots[slot].dtype;
    bound.width = plan::element_bytes(bound.dtype);
    const int64_t offset = plan::evaluate(access.offset, worker.symbols);
    const bool is_blocks = bound.dtype == plan::PlanDtype::nvfp4;
    bound.row_length = kernel_.slots[slot].row_length;
    bound.first = is_blocks ? offset : 0;
    bound.memory = reinterpret_cast<const char*>(reinterpret_cast<uintptr_t>(step.slots[slot].data) +
                                                 static_cast<uintptr_t>(is_blocks ? 0 : offset * bound.width));
    bound.strides = access.strides.data();
    return bound;
  };
  run.loops = kernel_.loops.size();
  run.all = run.loops + kernel_.contracted.size();
  int64_t outputs = 1;
  for (size_t i = 0; i < run.all; ++i) {
    const plan::Loop& loop = i < run.loops ? kernel_.loops[i] : kernel_.contracted[i - run.loops];
    run.extents[i] = plan::evaluate(loop.extent, worker.symbols);
    (i < run.loops ? outputs : run.terms) *= run.extents[i];
  }
  if (outputs == 0) return;
  const ContractShape shape(kernel_, worker.symbols);
  if (gemm_.fits(shape)) return gemm_.execute(shape, step, worker);
  run.a = operand(kernel_.a);
  run.b = operand(kernel_.b);
  const Operand out = operand(kernel_.out);
  run.out = const_cast<char*>(out.memory);
  run.out_dtype = out.dtype;
  const int64_t row = run.loops == 0 ? 1 : run.extents[run.loops - 1];
  const int64_t rows = outputs / row;
  const int64_t share = rows >= worker.threads * 4 ? row : (row + 7) / 8;
  const int64_t piece = std::clamp<int64_t>(share, std::min<int64_t>(row, 16), most_block_outputs);
  const int64_t pieces = (row + piece - 1) / piece;
  int64_t begin, end;
  while (worker.take(rows * pieces, 1, begin, end)) {
    int64_t indices[row_loops_limit] = {};
    int64_t rest = begin / pieces;
    for (size_t i = run.loops; i-- > 0;) {
      if (i + 1 == run.loops) continue;
      indices[i] = rest % run.extents[i];
      rest /= run.extents[i];
    }
    const int64_t first = begin % pieces * piece;
    if (run.loops > 0) indices[run.loops - 1] = first;
    block(run, worker, indices, std::min(piece, row - first));
  }
}

// `count` outputs along the last loop, from `indices` on.
void ContractCode::block(const Run& run, Worker& worker, const int64_t* indices, int64_t count) const noexcept {
  float* sums = reinterpret_cast<float*>(worker.scratch);
  float* row = sums + most_block_outputs;
  float* left = row + most_block_outputs;
  float* right = left + dot_floats;
  int64_t a_first = 0, b_first = 0, out_first = 0;
  for (size_t i = 0; i < run.loops; ++i) {
    a_first += run.a.strides[i] * indices[i];
    b_first += run.b.strides[i] * indices[i];
    out_first += kernel_.out.strides[i] * indices[i];
  }
  const size_t last = run.loops - 1;  // only used when there are loops
  const int64_t a_step = run.loops > 0 ? run.a.strides[last] : 0, b_step = run.loops > 0 ? run.b.strides[last] : 0;
  const bool has_terms = run.all > run.loops;
  const int64_t a_term = has_terms ? run.a.strides[run.all - 1] : 0, b_term = has_terms ? run.b.strides[run.all - 1] : 0;
  const int64_t inner = has_terms ? run.extents[run.all - 1] : 1;
  const bool by_dot = a_term == 1 && b_term == 1;
  const bool a_is_row = a_step == 1 && b_step == 0, b_is_row = b_step == 1 && a_step == 0;
  std::fill(sums, sums + count, 0.0f);
  // The odometer runs over all contracted loops, or all but the last when that is summed at once.
  const size_t end = by_dot ? run.all - 1 : run.all;
  int64_t terms = 1;
  for (size_t i = run.loops; i < end; ++i) terms *= run.extents[i];
  if (run.terms == 0) terms = 0;
  for (int64_t term = 0; term < terms; ++term) {
    int64_t a = a_first, b = b_first, rest = term;
    for (size_t i = end; i-- > run.loops;) {
      const int64_t index = rest % run.extents[i];
      rest /= run.extents[i];
      a += run.a.strides[i] * index;
      b += run.b.strides[i] * index;
    }
    if (by_dot) {
      for (int64_t i = 0; i < count; ++i) {
        for (int64_t from = 0; from < inner; from += dot_floats) {
          const size_t size = static_cast<size_t>(std::min(dot_floats, inner - from));
          run.a.read(worker.kernels, left, a + i * a_step + from, size);
          run.b.read(worker.kernels, right, b + i * b_step + from, size);
          sums[i] += worker.kernels.dot(left, right, size);
        }
      }
    } else if (a_is_row || b_is_row) {
      const Operand& vector = a_is_row ? run.a : run.b;
      const Operand& scalar = a_is_row ? run.b : run.a;
      vector.read(worker.kernels, row, a_is_row ? a : b, static_cast<size_t>(count));
      const float factor = scalar.one(worker.kernels, a_is_row ? b : a);
      worker.kernels.multiply_add_scalar(sums, row, factor, sums, static_cast<size_t>(count));
    } else {
      for (int64_t i = 0; i < count; ++i)
        sums[i] += run.a.one(worker.kernels, a + i * a_step) * run.b.one(worker.kernels, b + i * b_step);
    }
  }
  const int64_t out_step = run.loops > 0 ? kernel_.out.strides[last] : 0;
  char* out = run.out + out_first * plan::element_bytes(run.out_dtype);
  if (out_step == 1 || count == 1) write_elements(worker.kernels, out, run.out_dtype, sums, static_cast<size_t>(count));
  else write_strided(worker.kernels, out, run.out_dtype, out_step, sums, static_cast<size_t>(count));
}

}  // namespace weft::cpu
