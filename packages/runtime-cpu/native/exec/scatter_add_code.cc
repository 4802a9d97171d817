#include "exec/scatter_add_code.h"

#include <algorithm>

#include "row/convert_dtype.h"
#include "validate.h"

namespace weft::cpu {
namespace {

// Elements that are begun, or converted, at once.
constexpr int64_t piece_floats = 256;
constexpr int64_t most_begun = 1 << 14;

}  // namespace

struct ScatterAddCode::Run {
  int64_t extents[plan::most_loops] = {};  // of the positions, then of the loops
  size_t positions = 0, loops = 0;         // how many
  int64_t all_positions = 1, all_loops = 1;
  int64_t bound = 0, row = 0;

  // The offset of item `item` of the loops [first, first + count) with these strides.
  int64_t element(int64_t item, size_t first, size_t count, const int64_t* strides) const {
    int64_t result = 0;
    for (size_t i = count; i-- > 0;) {
      result += strides[i] * (item % extents[first + i]);
      item /= extents[first + i];
    }
    return result;
  }
};

void ScatterAddCode::execute(const StepBinding& step, Worker& worker) const noexcept {
  Run run;
  run.positions = kernel_.positions.size();
  run.loops = kernel_.loops.size();
  for (size_t i = 0; i < run.positions; ++i)
    run.all_positions *= run.extents[i] = plan::evaluate(kernel_.positions[i].extent, worker.symbols);
  for (size_t i = 0; i < run.loops; ++i)
    run.all_loops *= run.extents[run.positions + i] = plan::evaluate(kernel_.loops[i].extent, worker.symbols);
  run.bound = plan::evaluate(kernel_.bound, worker.symbols);
  run.row = plan::evaluate(kernel_.row.extent, worker.symbols);
  if (run.bound == 0 || run.all_loops == 0 || run.row == 0) return;
  begin_rows(step, worker, run);
  if (worker.barrier()) return;
  add_columns(step, worker, run);
}

void ScatterAddCode::begin_rows(const StepBinding& step, Worker& worker, const Run& run) const noexcept {
  const plan::Access& access = kernel_.out;
  float* out = reinterpret_cast<float*>(step.slots[static_cast<size_t>(access.slot)].data) +
               plan::evaluate(access.offset, worker.symbols);
  const float* from = nullptr;
  if (!kernel_.addends.empty()) {
    const plan::Access& addend = kernel_.addends.front();
    from = reinterpret_cast<const float*>(step.slots[static_cast<size_t>(addend.slot)].data) +
           plan::evaluate(addend.offset, worker.symbols);
    if (from == out) return;
  }
  const int64_t rows = run.bound * run.all_loops;
  const int64_t grain = std::max<int64_t>(most_begun / run.row, 1);
  int64_t begin, end;
  while (worker.take(rows, grain, begin, end)) {
    for (int64_t row = begin; row < end; ++row) {
      const auto first = [&](const plan::Access& one) {
        return row / run.all_loops * one.strides[0] +
               run.element(row % run.all_loops, run.positions, run.loops, one.strides.data() + 1);
      };
      float* to = out + first(access);
      if (from) worker.kernels.copy(to, from + first(kernel_.addends.front()), static_cast<size_t>(run.row));
      else worker.kernels.fill(to, 0.0f, static_cast<size_t>(run.row));
    }
  }
}

void ScatterAddCode::add_columns(const StepBinding& step, Worker& worker, const Run& run) const noexcept {
  const auto memory = [&](const plan::Access& access, int64_t width) {
    return step.slots[static_cast<size_t>(access.slot)].data + plan::evaluate(access.offset, worker.symbols) * width;
  };
  const plan::PlanDtype dtype = kernel_.slots[static_cast<size_t>(kernel_.updates.slot)].dtype;
  const int64_t width = plan::element_bytes(dtype);
  const char* updates = memory(kernel_.updates, width);
  const int32_t* indices = reinterpret_cast<const int32_t*>(memory(kernel_.indices, sizeof(int32_t)));
  float* out = reinterpret_cast<float*>(memory(kernel_.out, sizeof(float)));
  const int64_t step_of_row = kernel_.out.strides[0], row_stride = kernel_.updates.row_stride;
  const bool is_plain = dtype == plan::PlanDtype::f32 && row_stride == 1;
  // Whole cache lines for each thread, so that no line is written by two.
  const int64_t share = (run.row + worker.threads * 2 - 1) / (worker.threads * 2);
  const int64_t piece = std::min<int64_t>((share + 15) / 16 * 16, piece_floats);
  const int64_t pieces = (run.row + piece - 1) / piece;
  int64_t begin, end;
  while (worker.take(run.all_loops * pieces, 1, begin, end)) {
    const int64_t loop = begin / pieces, first = begin % pieces * piece;
    const size_t columns = static_cast<size_t>(std::min(piece, run.row - first));
    float* own = out + run.element(loop, run.positions, run.loops, kernel_.out.strides.data() + 1) + first;
    const int64_t of_loop =
        run.element(loop, run.positions, run.loops, kernel_.updates.strides.data() + run.positions) + first * row_stride;
    for (int64_t position = 0; position < run.all_positions; ++position) {
      const int64_t index = indices[run.element(position, 0, run.positions, kernel_.indices.strides.data())];
      if (index < 0 || index >= run.bound) {
        worker.team.fault.report(worker.step, static_cast<float>(index), run.bound);
        continue;
      }
      const int64_t element = of_loop + run.element(position, 0, run.positions, kernel_.updates.strides.data());
      const char* from = updates + element * width;
      float converted[piece_floats];
      if (!is_plain) {
        if (row_stride == 1) read_elements(worker.kernels, converted, from, dtype, columns);
        else read_strided(converted, from, dtype, row_stride, columns);
      }
      float* to = own + index * step_of_row;
      const float* values = is_plain ? reinterpret_cast<const float*>(from) : converted;
      worker.kernels.binary[static_cast<size_t>(BinaryOp::add)](to, to, values, columns);
    }
  }
}

}  // namespace weft::cpu
