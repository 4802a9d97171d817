// A row program made ready to run: operations with their registers' places in scratch memory.
//
// A block of up to `block_floats` values (several short rows, or a piece of a long one) passes through one operation
// after the other, so that choosing the operation costs nothing beside doing it and values stay in the first cache.
//
// Which registers get a place: all but stores and slices (a slice is a view of its operand). Places are reused when
// their last reader is done. A register that does not depend on every loop keeps a place of its own: it is computed
// again only when an index that it depends on has changed (angles per position are shared by all heads).
#pragma once

#include <cstdint>
#include <vector>

#include "affine_bounds.h"
#include "kernels.h"
#include "plan_generated.h"

namespace weft::cpu {

inline constexpr size_t block_floats = 2048;
inline constexpr size_t block_rows_limit = 256;
inline constexpr size_t row_loops_limit = 8;

enum class RowOpKind : uint8_t {
  load, gather, constant, loop_index, column_index, accumulator, unary, binary, select, round, stochastic_round, quantize, reduce_sum, reduce_max,
  slice, concat, store,
};

struct RowOp {
  RowOpKind kind{};
  uint8_t function = 0;  // position in the kernel table's row of functions
  plan::PlanDtype dtype{};  // of the slot, or what to round to
  bool is_scalar = false;   // one value per row
  bool is_lasting = false;  // has a place of its own, see above
  uint32_t depends = 0;     // loops that its value changes with, one bit each
  bool is_read = true;      // quantize: whether anything but stores reads it
  int operands[5] = {-1, -1, -1, -1, -1};
  const plan::Access* access = nullptr;
  const plan::Affine* length = nullptr;  // nullptr: as the operand's
  const plan::ConcatInstruction* concat = nullptr;
  const plan::StochasticRoundInstruction* stochastic_round = nullptr;
  const plan::QuantizeNvfp4Instruction* quantize = nullptr;
  size_t row_elements = 0;  // access of nvfp4: of a row of its matrix
  const plan::Affine* index_offset = nullptr;
  int64_t index_stride = 0, bound = 0;  // gather
  int64_t start = 0, slice_length = 0;  // slice
  int loop = 0;                         // loop_index
  int weight = 0;                       // accumulator
  float value = 0;                      // constant
  size_t place = 0;                     // floats from the start of scratch
};

struct RowCode {
  const plan::RowProgram* program = nullptr;
  std::vector<RowOp> ops;
  bool is_chunkable = false;  // rows may be cut anywhere
  bool has_stores = false;
  size_t loops = 0;
  size_t scratch_floats = 0;
  std::vector<bool> slots_read, slots_written;
};

// `program` is validated and must outlive the code.
RowCode compile_row_program(const plan::RowProgram& program, const std::vector<plan::Slot>& slots,
                            const plan::SymbolBounds& bounds);

}  // namespace weft::cpu
