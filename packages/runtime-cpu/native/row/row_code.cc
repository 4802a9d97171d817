#include "row_code.h"

#include <algorithm>
#include <limits>

#include "validate.h"

namespace weft::cpu {
namespace {

uint8_t unary_function(plan::UnaryName name) {
  // Table order differs from the plan's, so each name is mapped.
  switch (name) {
    case plan::UnaryName::neg: return static_cast<uint8_t>(UnaryOp::neg);
    case plan::UnaryName::abs: return static_cast<uint8_t>(UnaryOp::abs);
    case plan::UnaryName::exp: return static_cast<uint8_t>(UnaryOp::exp);
    case plan::UnaryName::log: return static_cast<uint8_t>(UnaryOp::log);
    case plan::UnaryName::sqrt: return static_cast<uint8_t>(UnaryOp::sqrt);
    case plan::UnaryName::rsqrt: return static_cast<uint8_t>(UnaryOp::rsqrt);
    case plan::UnaryName::reciprocal: return static_cast<uint8_t>(UnaryOp::reciprocal);
    case plan::UnaryName::sin: return static_cast<uint8_t>(UnaryOp::sin);
    case plan::UnaryName::cos: return static_cast<uint8_t>(UnaryOp::cos);
    case plan::UnaryName::tanh: return static_cast<uint8_t>(UnaryOp::tanh);
    case plan::UnaryName::sigmoid: return static_cast<uint8_t>(UnaryOp::sigmoid);
    case plan::UnaryName::floor: return static_cast<uint8_t>(UnaryOp::floor);
  }
  return 0;
}

uint8_t binary_function(plan::BinaryName name) {
  switch (name) {
    case plan::BinaryName::add: return static_cast<uint8_t>(BinaryOp::add);
    case plan::BinaryName::sub: return static_cast<uint8_t>(BinaryOp::sub);
    case plan::BinaryName::mul: return static_cast<uint8_t>(BinaryOp::mul);
    case plan::BinaryName::div: return static_cast<uint8_t>(BinaryOp::div);
    case plan::BinaryName::max: return static_cast<uint8_t>(BinaryOp::max);
    case plan::BinaryName::min: return static_cast<uint8_t>(BinaryOp::min);
    case plan::BinaryName::pow: return static_cast<uint8_t>(BinaryOp::pow);
    case plan::BinaryName::less: return static_cast<uint8_t>(BinaryOp::less);
    case plan::BinaryName::less_equal: return static_cast<uint8_t>(BinaryOp::less_equal);
    case plan::BinaryName::equal: return static_cast<uint8_t>(BinaryOp::equal);
  }
  return 0;
}

float special_value(const plan::ConstantInstruction& constant) {
  switch (constant.special) {
    case plan::ConstantInstructionSpecial::none: return static_cast<float>(constant.value);
    case plan::ConstantInstructionSpecial::inf: return std::numeric_limits<float>::infinity();
    case plan::ConstantInstructionSpecial::minus_inf: return -std::numeric_limits<float>::infinity();
    case plan::ConstantInstructionSpecial::nan: return std::numeric_limits<float>::quiet_NaN();
  }
  return 0;
}

class RowCompiler {
 public:
  RowCompiler(const plan::RowProgram& program, const std::vector<plan::Slot>& slots, const plan::SymbolBounds& bounds)
      : slots_(slots), bounds_(bounds) {
    code_.program = &program;
    code_.loops = program.loops.size();
    code_.slots_read.resize(slots.size(), false);
    code_.slots_written.resize(slots.size(), false);
    row_ = bounds.linear(program.row.extent).value_or(plan::Linear{});
    all_loops_ = (1u << code_.loops) - 1;
  }

  RowCode compile() {
    code_.is_chunkable = true;
    for (const plan::Instruction& instruction : code_.program->body) {
      RowOp op;
      plan::Linear length = plan::constant_of(1);
      std::visit([&](const auto& kind) { translate(kind, op, length); }, instruction);
      op.is_scalar = length == plan::constant_of(1);
      const bool has_register = op.kind != RowOpKind::store;
      const bool stores_blocks = op.kind == RowOpKind::store && op.dtype == plan::PlanDtype::nvfp4;
      if (!stores_blocks) for_operands(op, [&](size_t operand) { code_.ops[operand].is_read = true; });
      op.is_lasting = has_register && op.depends != all_loops_;
      if (!op.is_scalar && length != row_) code_.is_chunkable = false;
      lengths_.push_back(length);
      code_.ops.push_back(op);
    }
    place_registers();
    return std::move(code_);
  }

 private:
  const plan::Linear one_ = plan::constant_of(1);

  // A register as long as its longest operand, changing with whatever they change with.
  void take_operands(RowOp& op, plan::Linear& length, std::initializer_list<int64_t> operands) {
    size_t position = 0;
    for (const int64_t operand : operands) {
      const size_t index = static_cast<size_t>(operand);
      op.operands[position++] = static_cast<int>(operand);
      op.depends |= code_.ops[index].depends;
      if (lengths_[index] != one_) length = lengths_[index];
    }
  }

  void take_access(RowOp& op, const plan::Access& access, bool writes) {
    const size_t slot = static_cast<size_t>(access.slot);
    op.access = &access;
    op.dtype = slots_[slot].dtype;
    for (size_t i = 0; i < access.strides.size(); ++i)
      if (access.strides[i] != 0) op.depends |= 1u << i;
    op.row_elements = static_cast<size_t>(slots_[slot].row_length);
    (writes ? code_.slots_written : code_.slots_read)[slot] = true;
  }

  plan::Linear linear(const plan::Affine& affine) { return bounds_.linear(affine).value_or(plan::Linear{}); }

  void translate(const plan::LoadInstruction& load, RowOp& op, plan::Linear& length) {
    op.kind = RowOpKind::load;
    op.length = &load.length;
    length = linear(load.length);
    take_access(op, load.access, false);
  }
  void translate(const plan::GatherInstruction& gather, RowOp& op, plan::Linear& length) {
    op.kind = RowOpKind::gather;
    take_operands(op, length, {gather.index});
    op.length = &gather.length;
    length = linear(gather.length);
    op.index_stride = gather.index_stride;
    op.bound = gather.bound;
    take_access(op, gather.access, false);
  }
  void translate(const plan::ConstantInstruction& constant, RowOp& op, plan::Linear&) {
    op.kind = RowOpKind::constant;
    op.value = special_value(constant);
  }
  void translate(const plan::IndexInstruction& index, RowOp& op, plan::Linear& length) {
    op.kind = index.loop < 0 ? RowOpKind::column_index : RowOpKind::loop_index;
    op.loop = static_cast<int>(index.loop);
    if (index.loop >= 0) op.depends = 1u << index.loop;
    op.length = &index.length;
    op.index_offset = &index.offset;
    length = linear(index.length);
  }
  void translate(const plan::AccumulatorInstruction& accumulator, RowOp& op, plan::Linear& length) {
    op.kind = RowOpKind::accumulator;
    op.weight = static_cast<int>(accumulator.weight);
    op.depends = all_loops_;
    op.length = &accumulator.length;
    length = linear(accumulator.length);
  }
  void translate(const plan::UnaryInstruction& unary, RowOp& op, plan::Linear& length) {
    op.kind = RowOpKind::unary;
    op.function = unary_function(unary.function);
    take_operands(op, length, {unary.operand});
  }
  void translate(const plan::BinaryInstruction& binary, RowOp& op, plan::Linear& length) {
    op.kind = RowOpKind::binary;
    op.function = binary_function(binary.function);
    take_operands(op, length, {binary.left, binary.right});
  }
  void translate(const plan::SelectInstruction& select, RowOp& op, plan::Linear& length) {
    op.kind = RowOpKind::select;
    take_operands(op, length, {select.condition, select.then, select.otherwise});
  }
  void translate(const plan::RoundInstruction& round, RowOp& op, plan::Linear& length) {
    op.kind = RowOpKind::round;
    op.dtype = round.dtype;
    take_operands(op, length, {round.operand});
  }
  void translate(const plan::StochasticRoundInstruction& round, RowOp& op, plan::Linear& length) {
    op.kind = RowOpKind::stochastic_round;
    op.stochastic_round = &round;
    take_operands(op, length, {round.operand, round.key_low, round.key_high, round.stream});
    // Equal values in different places get different bits.
    for (size_t i = 0; i < round.strides.size(); ++i)
      if (round.strides[i] != 0) op.depends |= 1u << i;
  }
  void translate(const plan::QuantizeNvfp4Instruction& quantize, RowOp& op, plan::Linear& length) {
    op.kind = RowOpKind::quantize;
    op.quantize = &quantize;
    op.is_read = false;
    take_operands(op, length, {quantize.operand, quantize.encode_scale});
    for (size_t i = 0; i < quantize.random.size(); ++i) {
      op.operands[2 + i] = static_cast<int>(quantize.random[i]);
      op.depends |= code_.ops[static_cast<size_t>(quantize.random[i])].depends;
    }
    for (size_t i = 0; i < quantize.strides.size(); ++i)
      if (quantize.strides[i] != 0) op.depends |= 1u << i;
    // A cut would have to fall between blocks.
    code_.is_chunkable = false;
  }
  void translate(const plan::ReduceInstruction& reduce, RowOp& op, plan::Linear& length) {
    op.kind = reduce.function == plan::ReduceInstructionFunction::sum ? RowOpKind::reduce_sum : RowOpKind::reduce_max;
    take_operands(op, length, {reduce.operand});
    length = one_;
    code_.is_chunkable = false;
  }
  void translate(const plan::SliceInstruction& slice, RowOp& op, plan::Linear& length) {
    op.kind = RowOpKind::slice;
    take_operands(op, length, {slice.operand});
    op.start = slice.start;
    op.slice_length = slice.length;
    length = plan::constant_of(slice.length);
    code_.is_chunkable = false;
  }
  void translate(const plan::ConcatInstruction& concat, RowOp& op, plan::Linear& length) {
    op.kind = RowOpKind::concat;
    op.concat = &concat;
    length = plan::Linear{};
    for (const int64_t operand : concat.operands) {
      op.depends |= code_.ops[static_cast<size_t>(operand)].depends;
      length.add(lengths_[static_cast<size_t>(operand)], 1);
    }
    code_.is_chunkable = false;
  }
  void translate(const plan::StoreInstruction& store, RowOp& op, plan::Linear& length) {
    op.kind = RowOpKind::store;
    take_operands(op, length, {store.operand});
    op.length = &store.length;
    length = linear(store.length);
    take_access(op, store.access, true);
    code_.has_stores = true;
  }

  // The register whose place a view shows.
  size_t root_of(size_t index) const {
    while (code_.ops[index].kind == RowOpKind::slice) index = static_cast<size_t>(code_.ops[index].operands[0]);
    return index;
  }

  template <class Visit>
  static void for_operands(const RowOp& op, Visit&& visit) {
    if (op.concat)
      for (const int64_t operand : op.concat->operands) visit(static_cast<size_t>(operand));
    for (const int operand : op.operands)
      if (operand >= 0) visit(static_cast<size_t>(operand));
  }

  static bool is_elementwise(RowOpKind kind) {
    return kind == RowOpKind::unary || kind == RowOpKind::binary || kind == RowOpKind::select ||
           kind == RowOpKind::round || kind == RowOpKind::stochastic_round;
  }

  void place_registers() {
    const size_t count = code_.ops.size();
    size_t vector_floats = block_floats;
    if (!code_.is_chunkable)
      for (const plan::Linear& length : lengths_)
        vector_floats = std::max(vector_floats, static_cast<size_t>(std::max<plan::Wide>(bounds_.highest(length), 0)));
    vector_floats = (vector_floats + 15) / 16 * 16;
    std::vector<size_t> last_reader(count, 0);
    for (size_t i = 0; i < count; ++i) {
      last_reader[i] = std::max(last_reader[i], i);
      for_operands(code_.ops[i], [&](size_t operand) { last_reader[root_of(operand)] = i; });
    }
    // The result of a prologue is read after the last operation, and what a store quantises when it stores.
    if (count > 0) code_.ops[count - 1].is_read = true;
    for (size_t i = 0; i < count; ++i) {
      const RowOp& op = code_.ops[i];
      if (op.kind != RowOpKind::store || code_.ops[static_cast<size_t>(op.operands[0])].kind != RowOpKind::quantize) continue;
      for_operands(code_.ops[static_cast<size_t>(op.operands[0])], [&](size_t operand) { last_reader[root_of(operand)] = std::max(last_reader[root_of(operand)], i); });
    }
    if (count > 0) last_reader[root_of(count - 1)] = count;
    std::vector<size_t> free[2];
    for (size_t i = 0; i < count; ++i) {
      RowOp& op = code_.ops[i];
      if (op.kind != RowOpKind::store && op.kind != RowOpKind::slice) {
        const bool reused = !op.is_lasting && is_elementwise(op.kind) && take_place_of_operand(i, last_reader);
        if (!reused) {
          std::vector<size_t>& places = free[op.is_scalar];
          if (!op.is_lasting && !places.empty()) {
            op.place = places.back();
            places.pop_back();
          } else {
            op.place = code_.scratch_floats;
            code_.scratch_floats += op.is_scalar ? block_rows_limit : vector_floats;
          }
        }
      }
      for (size_t earlier = 0; earlier <= i; ++earlier) {
        const RowOp& done = code_.ops[earlier];
        const bool has_place = done.kind != RowOpKind::store && done.kind != RowOpKind::slice && !done.is_lasting;
        if (!has_place || last_reader[earlier] != i) continue;
        last_reader[earlier] = count + 1;
        free[done.is_scalar].push_back(done.place);
      }
    }
  }

  // In place where an operand ends here and lies exactly as the result does.
  bool take_place_of_operand(size_t index, std::vector<size_t>& last_reader) {
    RowOp& op = code_.ops[index];
    bool taken = false;
    for_operands(op, [&](size_t operand) {
      const RowOp& source = code_.ops[operand];
      if (taken || source.kind == RowOpKind::slice || source.is_lasting || source.is_scalar != op.is_scalar ||
          source.depends != op.depends || last_reader[operand] != index)
        return;
      op.place = source.place;
      last_reader[operand] = code_.ops.size() + 1;
      taken = true;
    });
    return taken;
  }

  const std::vector<plan::Slot>& slots_;
  const plan::SymbolBounds& bounds_;
  RowCode code_;
  plan::Linear row_;
  uint32_t all_loops_ = 0;
  std::vector<plan::Linear> lengths_;
};

}  // namespace

RowCode compile_row_program(const plan::RowProgram& program, const std::vector<plan::Slot>& slots,
                            const plan::SymbolBounds& bounds) {
  return RowCompiler(program, slots, bounds).compile();
}

}  // namespace weft::cpu
