#include "exec/rows_code.h"

#include <algorithm>

namespace weft::cpu {
namespace {

// Values below which sharing work out costs more than doing it.
constexpr int64_t smallest_share = 2048;
// Pieces per thread, so that a thread that was interrupted does not keep the others waiting.
constexpr int64_t pieces_per_thread = 4;

}  // namespace

void run_all_rows(RowRunner& runner, const RowCode& code, Worker& worker) noexcept {
  const int64_t rows = runner.rows_of(0, code.loops);
  const int64_t length = runner.row_length();
  if (rows == 0) return;
  RowRange range;
  range.column_end = length;
  range.inner_end = rows;
  const int64_t weight = std::max<int64_t>(length, 1);
  // Division, not multiplication: rows * length may be anything.
  if (worker.threads == 1 || rows <= smallest_share / weight) {
    if (worker.thread == 0) runner.run(range);
    return;
  }
  const int64_t shares = worker.threads * pieces_per_thread;
  int64_t piece = length;
  if (code.is_chunkable) {
    const int64_t even = rows >= shares ? length : (length + shares / rows - 1) / (shares / rows);
    piece = std::min(length, std::clamp<int64_t>((even + 15) / 16 * 16, 512, static_cast<int64_t>(block_floats)));
  }
  piece = std::max<int64_t>(piece, 1);
  const int64_t chunks = std::max<int64_t>((length + piece - 1) / piece, 1);
  int64_t group = std::min(runner.rows_per_block(piece), std::max<int64_t>(rows / shares, 1));
  group = std::max(group, std::min(rows, smallest_share / 4 / piece));
  const int64_t groups = (rows + group - 1) / group;
  int64_t begin, end;
  while (worker.take(groups * chunks, 1, begin, end)) {
    // All rows of one column piece first: what does not change from row to row stays in cache.
    const int64_t chunk = begin / groups, first = begin % groups * group;
    range.inner_begin = first;
    range.inner_end = std::min(rows, first + group);
    range.column_begin = chunk * piece;
    range.column_end = std::min(length, range.column_begin + piece);
    runner.run(range);
  }
}

RowsCode::RowsCode(const plan::RowsKernel& kernel, const plan::SymbolBounds& bounds)
    : code_(compile_row_program(kernel.program, kernel.slots, bounds)), column_sums_(ColumnSums::find(kernel)) {
  ScratchLayout layout;
  scratch_ = RowScratch(layout, code_.ops.size(), code_.scratch_floats);
  scratch_bytes_ = layout.bytes();
}

ScratchNeeds RowsCode::scratch_needs() const { return {scratch_bytes_, 0}; }

void RowsCode::execute(const StepBinding& step, Worker& worker) const noexcept {
  if (column_sums_) return column_sums_->execute(step, worker);
  RowRunner runner(worker.kernels);
  scratch_.prepare(runner, code_, step, worker);
  run_all_rows(runner, code_, worker);
}

}  // namespace weft::cpu
