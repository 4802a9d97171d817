// Executes a row program over ranges of rows, one runner per thread.
#pragma once

#include <cstdint>

#include "row_code.h"

namespace weft::cpu {

// A slot's buffer during a run. `is_written`: some slot of the same step writes memory that overlaps this buffer, so
// values must be copied when the program loads them, not read where they lie.
struct BoundSlot {
  char* data = nullptr;
  bool is_written = false;
};

struct GatherFault;

// The state of one operation during a run.
struct RowRegister {
  char* memory = nullptr;  // first element at all indices zero; of nvfp4 the whole matrix
  int64_t first = 0;       // of nvfp4: that element
  float* place = nullptr;
  const float* data = nullptr;  // the value: `rows` times `length` floats, `pitch` floats from row to row
  int64_t pitch = 0;
  int64_t full_length = 0;
  int64_t length = 0;  // of the current chunk
  bool is_direct = false;
  bool is_lasting = false;
  bool is_valid = false;
};

// Where finished products of a matmul's panel lie: row m, column n of weight w at
// data[w] + (m - first_row) * row_pitch + (n - first_column).
struct Accumulators {
  const float* data = nullptr;
  int64_t weight_pitch = 0, row_pitch = 0;
  int64_t first_row = 0, first_column = 0;
};

// Where the result of a prologue goes: row-major [rows][row length], as f32 or bf16.
struct RowResults {
  char* data = nullptr;
  plan::PlanDtype storage = plan::PlanDtype::f32;
  plan::PlanDtype rounding = plan::PlanDtype::f32;
};

// Rows [outer_begin, outer_end) of the flattened first `split` loops, times rows [inner_begin, inner_end) of the
// flattened rest, times columns. Only chunkable programs may be given fewer than all columns.
struct RowRange {
  size_t split = 0;
  int64_t outer_begin = 0, outer_end = 1;
  int64_t inner_begin = 0, inner_end = 1;
  int64_t column_begin = 0, column_end = 0;
};

class RowRunner {
 public:
  explicit RowRunner(const KernelTable& kernels) : kernels_(kernels) {}

  // `registers` and `scratch` (64-byte aligned, scratch_floats) belong to this runner until the next prepare.
  void prepare(const RowCode& code, const BoundSlot* slots, const int64_t* symbols, RowRegister* registers,
               float* scratch, GatherFault* fault, int step) noexcept;

  int64_t row_length() const { return row_length_; }
  // Product of the extents of loops [begin, end).
  int64_t rows_of(size_t begin, size_t end) const;
  // Rows that pass through the operations together, when pieces are that many columns wide.
  int64_t rows_per_block(int64_t columns) const;

  void set_accumulators(const Accumulators& accumulators) { accumulators_ = accumulators; }
  void set_results(const RowResults& results) { results_ = results; }

  void run(const RowRange& range) noexcept;

 private:
  void run_rows(size_t first, size_t last, int64_t begin, int64_t end) noexcept;
  void run_block(int loop, int64_t rows) noexcept;
  uint32_t changed_loops() noexcept;

  bool varies(const RowOp& op) const { return block_loop_ >= 0 && (op.depends >> block_loop_ & 1u) != 0; }
  int64_t rows_in(const RowOp& op) const { return varies(op) ? rows_ : 1; }
  int64_t stride_of(const RowOp& op) const;
  char* address(const RowOp& op, const RowRegister& self) const;

  void execute(const RowOp& op, RowRegister& self) noexcept;
  void load(const RowOp& op, RowRegister& self) noexcept;
  void gather(const RowOp& op, RowRegister& self) noexcept;
  void accumulator(const RowOp& op, RowRegister& self) noexcept;
  void loop_index(const RowOp& op, RowRegister& self) noexcept;
  void column_index(const RowOp& op, RowRegister& self) noexcept;
  void unary(const RowOp& op, RowRegister& self) noexcept;
  void binary(const RowOp& op, RowRegister& self) noexcept;
  void select(const RowOp& op, RowRegister& self) noexcept;
  void round(const RowOp& op, RowRegister& self) noexcept;
  void round_row(plan::PlanDtype dtype, float* out, const float* in, int64_t count) noexcept;
  void stochastic_round(const RowOp& op, RowRegister& self) noexcept;
  void quantize(const RowOp& op, RowRegister& self) noexcept;
  Nvfp4Encoding encoding_of(const RowOp& op, int64_t row) const noexcept;
  void load_blocks(const RowOp& op, RowRegister& self) noexcept;
  void gather_blocks(const RowOp& op, RowRegister& self) noexcept;
  void store_blocks(const RowOp& op, const RowRegister& self) noexcept;
  void read_blocks(const RowOp& op, const RowRegister& self, float* out, int64_t element, int64_t count) noexcept;
  int64_t first_element(const RowOp& op, const RowRegister& self) const;
  void reduce(const RowOp& op, RowRegister& self) noexcept;
  void concat(const RowOp& op, RowRegister& self) noexcept;
  void store(const RowOp& op, const RowRegister& self) noexcept;
  void store_result() noexcept;

  const KernelTable& kernels_;
  const RowCode* code_ = nullptr;
  const int64_t* symbols_ = nullptr;
  RowRegister* registers_ = nullptr;
  GatherFault* fault_ = nullptr;
  int step_ = 0;
  Accumulators accumulators_;
  RowResults results_;

  int64_t extents_[row_loops_limit] = {};
  int64_t indices_[row_loops_limit] = {};
  int64_t known_indices_[row_loops_limit] = {};
  size_t split_ = 0;
  int64_t row_length_ = 0;
  int64_t longest_ = 1;  // of all registers
  int64_t block_rows_ = 1;
  int64_t column_begin_ = 0, column_end_ = 0;
  int64_t known_column_begin_ = 0, known_column_end_ = 0;
  int block_loop_ = -1;  // the loop that the rows of the current block run along; -1 when there is one row
  int64_t rows_ = 1;
};

}  // namespace weft::cpu
