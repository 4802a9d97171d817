// Checks of row programs: registers backward and of consistent lengths, accesses in range, roles kept.
#include <algorithm>
#include <limits>
#include <set>

#include "validate_checker.h"

namespace weft::plan {
namespace {

const Linear one = constant_of(1);
constexpr Wide largest_place = Wide{1} << 53;

// What an instruction leaves in its register; `store` leaves nothing.
struct Register {
  bool holds = false;
  Linear length;
};

class RowProgramChecker {
 public:
  RowProgramChecker(Checker& checker, const RowProgram& program, const std::vector<Slot>& slots,
                    const ProgramRole& role, const std::string& place, KernelFacts& facts)
      : checker_(checker), program_(program), slots_(slots), role_(role), place_(place), facts_(facts) {}

  void check() {
    if (!loops()) return;
    if (!checker_.require(program_.body.size() <= most_instructions, place_ + ".body", "has too many instructions"))
      return;
    for (size_t i = 0; i < program_.body.size(); ++i) {
      at_ = place_ + ".body[" + std::to_string(i) + "]";
      Register result;
      // After a problem the register counts as a scalar, so that one mistake gives one message.
      result.holds = true;
      result.length = one;
      std::visit([&](const auto& instruction) { step(instruction, result); }, program_.body[i]);
      if (checker_.bounds.highest(result.length) > largest_extent) checker_.fail(at_, "its row can pass 2^31 values");
      registers_.push_back(result);
    }
    if (role_.is_prologue) {
      checker_.require(!registers_.empty() && registers_.back().holds && registers_.back().length == row_, place_ + ".body",
                       "must end with a register as long as the row");
    }
  }

 private:
  bool loops() {
    if (!checker_.require(program_.loops.size() <= most_loops, place_ + ".loops", "has more than 8 loops")) return false;
    Wide rows = 1;
    for (size_t i = 0; i < program_.loops.size(); ++i) {
      const std::string at = place_ + ".loops[" + std::to_string(i) + "].extent";
      extents_.push_back(checker_.count(program_.loops[i].extent, at, facts_));
      rows *= std::max<Wide>(checker_.bounds.highest(extents_.back()), 1);
      if (!checker_.require(rows <= (Wide{1} << 40), at, "makes more than 2^40 rows")) return false;
    }
    row_ = checker_.count(program_.row.extent, place_ + ".row.extent", facts_);
    if (!role_.leading) return true;
    const auto& leading = *role_.leading;
    bool same = role_.is_prologue ? leading.size() == extents_.size() : leading.size() <= extents_.size();
    for (size_t i = 0; same && i < leading.size(); ++i)
      same = checker_.linear(leading[i].extent, place_) == extents_[i];
    return checker_.require(same, place_ + ".loops", "must begin with the kernel's rows");
  }

  bool operand(int64_t index, Register& out) {
    if (index < 0 || static_cast<size_t>(index) >= registers_.size())
      return checker_.fail(at_, "reads register " + std::to_string(index) + ", which is not an earlier one");
    out = registers_[static_cast<size_t>(index)];
    return checker_.require(out.holds, at_, "reads register " + std::to_string(index) + ", which a store leaves empty");
  }

  // The common length of operands: all equal, or scalars that broadcast.
  void broadcast(std::initializer_list<int64_t> operands, Register& result) {
    result.length = one;
    for (const int64_t index : operands) {
      Register value;
      if (!operand(index, value)) return;
      if (value.length == one || value.length == result.length) continue;
      if (result.length != one) {
        checker_.fail(at_, "its operands have different lengths");
        return;
      }
      result.length = value.length;
    }
  }

  // Elements that one access reaches; `rows` and `row_stride` add the dimension of a gather.
  bool access(const Access& access, const Linear& length, bool writes, int64_t rows, int64_t rows_stride) {
    if (!checker_.slot(slots_, access.slot, writes, at_ + ".access", true)) return false;
    if (access.strides.size() != extents_.size())
      return checker_.fail(at_ + ".access.strides", "has " + std::to_string(access.strides.size()) + " strides for " +
                                                        std::to_string(extents_.size()) + " loops");
    const Linear offset = checker_.linear(access.offset, at_ + ".access.offset");
    std::vector<Linear> extents = extents_;
    std::vector<int64_t> strides = access.strides;
    extents.push_back(length);
    strides.push_back(access.row_stride);
    extents.push_back(constant_of(rows));
    strides.push_back(rows_stride);
    return checker_.range(access.slot, offset, strides, extents, at_ + ".access", facts_);
  }

  void step(const LoadInstruction& load, Register& result) {
    result.length = checker_.count(load.length, at_ + ".length", facts_);
    access(load.access, result.length, false, 1, 0);
  }

  void step(const GatherInstruction& gather, Register& result) {
    result.length = checker_.count(gather.length, at_ + ".length", facts_);
    Register index;
    if (!operand(gather.index, index)) return;
    checker_.require(index.length == one, at_ + ".index", "must be a scalar");
    if (checker_.require(gather.bound >= 1 && gather.bound <= largest_extent, at_ + ".bound", "must be 1 to 2^31"))
      access(gather.access, result.length, false, gather.bound, gather.index_stride);
  }

  void step(const ConstantInstruction&, Register&) {}

  void step(const IndexInstruction& index, Register& result) {
    result.length = checker_.count(index.length, at_ + ".length", facts_);
    checker_.linear(index.offset, at_ + ".offset");
    const int64_t loops = static_cast<int64_t>(extents_.size());
    checker_.require(index.loop >= -1 && index.loop < loops, at_ + ".loop", "names no loop");
    if (index.loop >= 0) checker_.require(result.length == one, at_ + ".length", "must be 1 for the index of a loop");
  }

  void step(const AccumulatorInstruction& accumulator, Register& result) {
    result.length = checker_.count(accumulator.length, at_ + ".length", facts_);
    checker_.require(role_.accumulators > 0, at_, "is only for epilogues");
    checker_.require(accumulator.weight >= 0 && accumulator.weight < role_.accumulators, at_ + ".weight",
                     "names no weight of the group");
    checker_.require(result.length == row_, at_ + ".length", "must be the row's extent");
  }

  void step(const UnaryInstruction& unary, Register& result) { broadcast({unary.operand}, result); }
  void step(const RoundInstruction& round, Register& result) {
    checker_.require(round.dtype != PlanDtype::nvfp4 && round.dtype != PlanDtype::f8e4m3, at_ + ".dtype",
                     "must not be nvfp4 or f8e4m3");
    broadcast({round.operand}, result);
  }
  void step(const BinaryInstruction& binary, Register& result) { broadcast({binary.left, binary.right}, result); }
  void step(const SelectInstruction& select, Register& result) {
    broadcast({select.condition, select.then, select.otherwise}, result);
  }

  void step(const StochasticRoundInstruction& round, Register& result) {
    broadcast({round.operand}, result);
    for (const int64_t register_ : {round.key_low, round.key_high, round.stream}) scalar(register_, "its key and stream");
    places(round, result);
  }

  void step(const QuantizeNvfp4Instruction& quantize, Register& result) {
    Register value;
    if (!operand(quantize.operand, value)) return;
    result.length = value.length;
    checker_.require(value.length.is_constant() && value.length.constant >= 16 && value.length.constant % 16 == 0, at_,
                     "its rows must have a multiple of 16 elements");
    scalar(quantize.encode_scale, "its scale");
    checker_.require(quantize.random.empty() || quantize.random.size() == 3, at_ + ".random", "must be none or three");
    for (const int64_t register_ : quantize.random) scalar(register_, "its key and stream");
    places(quantize, result);
    quantized_.insert(registers_.size());
  }

  void scalar(int64_t index, const char* what) {
    Register value;
    if (operand(index, value)) checker_.require(value.length == one, at_, std::string(what) + " must be scalars");
  }

  // Places of elements in their tensor stay countable.
  template <class Instruction>
  void places(const Instruction& round, const Register& result) {
    if (!checker_.require(round.strides.size() == extents_.size(), at_ + ".strides", "must have one for each loop")) return;
    Wide last = 0;
    const auto count = [&](int64_t stride, const Linear& extent) {
      const Wide indices = std::max<Wide>(checker_.bounds.highest(extent), 1) - 1;
      const bool fits = stride >= 0 && Wide{stride} * indices <= largest_place;
      last += fits ? Wide{stride} * indices : largest_place + 1;
    };
    for (size_t i = 0; i < extents_.size(); ++i) count(round.strides[i], extents_[i]);
    count(round.row_stride, result.length);
    checker_.require(last <= largest_place, at_ + ".strides", "must be at least 0 and lead to no place beyond 2^53");
  }

  void step(const ReduceInstruction& reduce, Register&) {
    Register value;
    operand(reduce.operand, value);
  }

  void step(const SliceInstruction& slice, Register& result) {
    Register value;
    if (!operand(slice.operand, value)) return;
    if (!checker_.require(slice.start >= 0 && slice.length >= 0 && slice.start <= largest_extent &&
                              slice.length <= largest_extent,
                          at_, "start and length must be 0 to 2^31"))
      return;
    result.length = constant_of(slice.length);
    checker_.not_negative(value.length - constant_of(Wide{slice.start} + slice.length), {}, at_,
                          "ends after its operand", facts_);
  }

  void step(const ConcatInstruction& concat, Register& result) {
    if (!checker_.require(!concat.operands.empty(), at_ + ".operands", "is empty")) return;
    Linear length;
    for (const int64_t index : concat.operands) {
      Register value;
      if (!operand(index, value)) return;
      length.add(value.length, 1);
      if (!checker_.require(checker_.bounds.is_moderate(length), at_, "can pass 2^53")) return;
    }
    result.length = length;
  }

  void step(const StoreInstruction& store, Register& result) {
    const Linear length = checker_.count(store.length, at_ + ".length", facts_);
    Register value;
    result.holds = false;
    if (!operand(store.operand, value)) return;
    checker_.require(value.length == length || value.length == one, at_ + ".length", "is not the length of its operand");
    if (!access(store.access, length, true, 1, 0)) return;
    for (size_t i = 0; i < extents_.size(); ++i)
      checker_.require(store.access.strides[i] != 0 || checker_.bounds.highest(extents_[i]) <= 1, at_ + ".access.strides",
                       "writes all rows of loop " + std::to_string(i) + " to one place");
    const PlanDtype dtype = slots_[static_cast<size_t>(store.access.slot)].dtype;
    checker_.require(dtype != PlanDtype::f8e4m3, at_ + ".access", "must not write f8e4m3");
    if (dtype == PlanDtype::nvfp4) blocks(store);
  }

  void blocks(const StoreInstruction& store) {
    checker_.require(quantized_.count(static_cast<size_t>(store.operand)) > 0, at_ + ".operand",
                     "must be a quantizeNvfp4 instruction for a slot of nvfp4");
    bool whole = store.access.row_stride == 1 && store.access.offset.constant % 16 == 0;
    for (const AffineTerm& term : store.access.offset.terms) whole = whole && term.factor % 16 == 0;
    for (const int64_t stride : store.access.strides) whole = whole && stride % 16 == 0;
    checker_.require(whole, at_ + ".access", "must begin at whole blocks of 16");
  }

  Checker& checker_;
  const RowProgram& program_;
  const std::vector<Slot>& slots_;
  const ProgramRole& role_;
  const std::string& place_;
  KernelFacts& facts_;
  std::string at_;
  std::vector<Linear> extents_;
  Linear row_;
  std::vector<Register> registers_;
  std::set<size_t> quantized_;
};

}  // namespace

void check_row_program(Checker& checker, const RowProgram& program, const std::vector<Slot>& slots,
                       const ProgramRole& role, const std::string& place, KernelFacts& facts) {
  RowProgramChecker(checker, program, slots, role, place, facts).check();
}

}  // namespace weft::plan
