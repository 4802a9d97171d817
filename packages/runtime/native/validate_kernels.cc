// Checks of kernels, one function per kind.
#include <algorithm>
#include <limits>

#include "validate_checker.h"

namespace weft::plan {
namespace {

// Values; bytes stay far from overflow.
constexpr Wide largest_scratch = Wide{1} << 40;

bool is_float(PlanDtype dtype) { return dtype != PlanDtype::i32 && dtype != PlanDtype::i8 && dtype != PlanDtype::f8e4m3; }

// What the weights of a product may be of beside that.
bool is_weight(PlanDtype dtype) { return is_float(dtype) || dtype == PlanDtype::f8e4m3; }

// The constant value of a loop's extent, or -1.
int64_t constant_extent(Checker& checker, const Loop& loop, const std::string& place) {
  const Linear extent = checker.linear(loop.extent, place);
  if (!extent.is_constant() || extent.constant < 0 || extent.constant > largest_extent) return -1;
  return static_cast<int64_t>(extent.constant);
}

void check(Checker& checker, const RowsKernel& kernel, const std::string& place, KernelFacts& facts) {
  check_row_program(checker, kernel.program, kernel.slots, {}, place + ".program", facts);
}

void check_group(Checker& checker, const MatmulKernel& kernel, const MatmulGroup& group, const std::string& place,
                 KernelFacts& facts) {
  if (!checker.require(group.columns >= 1 && group.columns <= largest_extent, place + ".columns", "must be 1 to 2^31"))
    return;
  checker.require(!group.weights.empty() && group.weights.size() <= most_slots, place + ".weights", "must be 1 to 64");
  for (size_t i = 0; i < group.weights.size(); ++i) {
    const std::string at = place + ".weights[" + std::to_string(i) + "]";
    const int64_t slot = group.weights[i];
    if (!checker.slot(kernel.slots, slot, false, at, true)) continue;
    const Slot& weight = kernel.slots[static_cast<size_t>(slot)];
    checker.require(is_weight(weight.dtype), at, "must be of a float dtype");
    checker.require(weight.dtype != PlanDtype::nvfp4 || weight.row_length == kernel.contracted, at,
                    "must have rows of the contracted size");
    checker.range(slot, {}, {kernel.contracted, 1}, {constant_of(group.columns), constant_of(kernel.contracted)}, at,
                  facts);
  }
  ProgramRole role;
  role.leading = &kernel.rows;
  role.accumulators = static_cast<int64_t>(group.weights.size());
  check_row_program(checker, group.epilogue, kernel.slots, role, place + ".epilogue", facts);
  Wide columns = constant_extent(checker, group.epilogue.row, place + ".epilogue.row");
  for (size_t i = kernel.rows.size(); i < group.epilogue.loops.size(); ++i) {
    const Wide extent = constant_extent(checker, group.epilogue.loops[i], place + ".epilogue.loops");
    columns = extent < 1 || columns < 0 || columns > largest_extent ? -1 : columns * extent;
  }
  checker.require(columns == group.columns, place + ".columns", "must be the epilogue's row times its column loops");
}

void check(Checker& checker, const MatmulKernel& kernel, const std::string& place, KernelFacts& facts) {
  if (!checker.require(kernel.contracted >= 1 && kernel.contracted <= largest_extent, place + ".contracted",
                       "must be 1 to 2^31"))
    return;
  checker.require(is_float(kernel.input_dtype) && kernel.input_dtype != PlanDtype::nvfp4, place + ".inputDtype",
                  "must be a float dtype");
  checker.require(!kernel.groups.empty(), place + ".groups", "is empty");
  ProgramRole role;
  role.leading = &kernel.rows;
  role.is_prologue = true;
  check_row_program(checker, kernel.prologue, kernel.slots, role, place + ".prologue", facts);
  checker.require(constant_extent(checker, kernel.prologue.row, place + ".prologue.row") == kernel.contracted,
                  place + ".prologue.row.extent", "must be the contracted size");
  Wide rows = 1;
  for (const Loop& loop : kernel.rows)
    rows *= std::clamp<Wide>(checker.bounds.highest(checker.linear(loop.extent, place + ".rows")), 1, largest_extent + 1);
  // Executors keep rows of input, and sometimes all products, in scratch.
  Wide products = kernel.contracted;
  for (const MatmulGroup& group : kernel.groups)
    products += Wide{std::max<int64_t>(group.columns, 0)} * static_cast<Wide>(group.weights.size());
  checker.require(rows <= largest_extent && rows * products <= largest_scratch, place + ".rows",
                  "make a product of more than 2^40 values");
  for (size_t i = 0; i < kernel.groups.size(); ++i)
    check_group(checker, kernel, kernel.groups[i], place + ".groups[" + std::to_string(i) + "]", facts);
}

template <class Attention>
void check_heads(Checker& checker, const Attention& kernel, const HeadsAccess& access, const Linear& positions,
                 int64_t heads, bool writes, const std::string& place, KernelFacts& facts) {
  if (!checker.slot(kernel.slots, access.slot, writes, place)) return;
  checker.require(is_float(kernel.slots[static_cast<size_t>(access.slot)].dtype), place, "must be of a float dtype");
  if (!checker.require(access.position_stride >= 0 && access.head_stride >= 0, place, "its strides must not be negative"))
    return;
  checker.range(access.slot, checker.linear(access.offset, place + ".offset"),
                {access.position_stride, access.head_stride, 1},
                {positions, constant_of(heads), constant_of(kernel.head_dim)}, place, facts);
}

// Sizes and the operands that every kind of attention has; false where the sizes make no sense.
template <class Attention>
bool check_attention(Checker& checker, const Attention& kernel, const std::string& place, KernelFacts& facts,
                     Linear& queries, Linear& keys) {
  constexpr int64_t largest = 1 << 16;
  const auto size = [&](int64_t value, const char* name) {
    return checker.require(value >= 1 && value <= largest, place + "." + name, "must be 1 to 65536");
  };
  if (!size(kernel.heads, "heads") || !size(kernel.kv_heads, "kvHeads") || !size(kernel.head_dim, "headDim"))
    return false;
  checker.require(kernel.heads % kernel.kv_heads == 0, place + ".heads", "must be a multiple of kvHeads");
  queries = checker.count(kernel.queries, place + ".queries", facts);
  keys = checker.count(kernel.keys, place + ".keys", facts);
  const Linear past = checker.count(kernel.past, place + ".past", facts);
  checker.require(checker.bounds.highest(queries) * kernel.heads * kernel.head_dim <= largest_scratch, place + ".queries",
                  "make more than 2^40 values");
  check_heads(checker, kernel, kernel.query, queries, kernel.heads, false, place + ".query", facts);
  check_heads(checker, kernel, kernel.key, keys, kernel.kv_heads, false, place + ".key", facts);
  check_heads(checker, kernel, kernel.value, keys, kernel.kv_heads, false, place + ".value", facts);
  if (!kernel.causal) return true;
  const Linear unseen = keys - past - queries;
  if (checker.bounds.lowest(unseen) >= 0) return true;
  if (checker.bounds.highest(unseen) < 0)
    checker.fail(place + ".keys", "is always less than past + queries");
  else
    facts.conditions.push_back({{queries}, unseen, place + ".keys: is less than past + queries"});
  return true;
}

void check(Checker& checker, const AttentionKernel& kernel, const std::string& place, KernelFacts& facts) {
  Linear queries, keys;
  if (!check_attention(checker, kernel, place, facts, queries, keys)) return;
  check_heads(checker, kernel, kernel.output, queries, kernel.heads, true, place + ".output", facts);
}

// One value per index of `over`, of this dtype.
void check_values(Checker& checker, const std::vector<Slot>& slots, const Access& access, const std::vector<Linear>& over,
                  PlanDtype dtype, bool writes, const std::string& place, KernelFacts& facts) {
  if (!checker.slot(slots, access.slot, writes, place)) return;
  checker.require(slots[static_cast<size_t>(access.slot)].dtype == dtype, place, "must be " + std::string(name_of(dtype)));
  if (!checker.require(access.strides.size() == over.size(), place + ".strides", "must have one stride per loop")) return;
  for (const int64_t stride : access.strides)
    if (!checker.require(stride >= 0, place + ".strides", "must not be negative")) return;
  checker.range(access.slot, checker.linear(access.offset, place + ".offset"), access.strides, over, place, facts);
}

template <class Attention>
void check_starts(Checker& checker, const Attention& kernel, const Linear& queries, const std::string& place,
                  KernelFacts& facts) {
  checker.require(kernel.starts.size() <= 1, place + ".starts", "are more than 1");
  checker.require(kernel.starts.empty() || kernel.causal, place + ".starts", "need causal attention");
  for (const Access& starts : kernel.starts)
    check_values(checker, kernel.slots, starts, {queries}, PlanDtype::i32, false, place + ".starts[0]", facts);
}

// A gradient or a result: f32, each element its own.
template <class Attention>
void check_result(Checker& checker, const Attention& kernel, const HeadsAccess& access, const Linear& positions,
                  int64_t heads, const std::string& place, KernelFacts& facts) {
  check_heads(checker, kernel, access, positions, heads, true, place, facts);
  if (access.slot < 0 || static_cast<size_t>(access.slot) >= kernel.slots.size()) return;
  checker.require(kernel.slots[static_cast<size_t>(access.slot)].dtype == PlanDtype::f32, place, "must be f32");
  checker.require((access.position_stride != 0 || checker.bounds.highest(positions) <= 1) &&
                      (access.head_stride != 0 || heads == 1),
                  place, "is written to the same place again");
}

void check(Checker& checker, const AttentionForwardKernel& kernel, const std::string& place, KernelFacts& facts) {
  Linear queries, keys;
  if (!check_attention(checker, kernel, place, facts, queries, keys)) return;
  check_starts(checker, kernel, queries, place, facts);
  checker.require(kernel.outputs.size() <= 1, place + ".outputs", "are more than 1");
  checker.require(kernel.log_sum_exps.size() <= 1, place + ".logSumExps", "are more than 1");
  for (const HeadsAccess& output : kernel.outputs)
    check_result(checker, kernel, output, queries, kernel.heads, place + ".outputs[0]", facts);
  for (const Access& sums : kernel.log_sum_exps)
    check_values(checker, kernel.slots, sums, {queries, constant_of(kernel.heads)}, PlanDtype::f32, true,
                 place + ".logSumExps[0]", facts);
}

void check(Checker& checker, const AttentionBackwardKernel& kernel, const std::string& place, KernelFacts& facts) {
  Linear queries, keys;
  if (!check_attention(checker, kernel, place, facts, queries, keys)) return;
  check_starts(checker, kernel, queries, place, facts);
  check_heads(checker, kernel, kernel.result, queries, kernel.heads, false, place + ".result", facts);
  check_heads(checker, kernel, kernel.cotangent, queries, kernel.heads, false, place + ".cotangent", facts);
  check_values(checker, kernel.slots, kernel.log_sum_exp, {queries, constant_of(kernel.heads)}, PlanDtype::f32, false,
               place + ".logSumExp", facts);
  check_result(checker, kernel, kernel.query_gradient, queries, kernel.heads, place + ".queryGradient", facts);
  check_result(checker, kernel, kernel.key_gradient, keys, kernel.kv_heads, place + ".keyGradient", facts);
  check_result(checker, kernel, kernel.value_gradient, keys, kernel.kv_heads, place + ".valueGradient", facts);
}

void check(Checker& checker, const LinearCrossEntropyKernel& kernel, const std::string& place, KernelFacts& facts) {
  const auto size = [&](int64_t value, const char* name) {
    return checker.require(value >= 1 && value <= (int64_t{1} << 24), place + "." + name, "must be 1 to 2^24");
  };
  if (!size(kernel.chunk, "chunk") || !size(kernel.contracted, "contracted") || !size(kernel.classes, "classes")) return;
  const Linear positions = checker.count(kernel.positions, place + ".positions", facts);
  checker.require(checker.bounds.highest(positions) * std::max(kernel.contracted, kernel.classes) <= largest_scratch,
                  place + ".positions", "make a product of more than 2^40 values");
  const Linear contracted = constant_of(kernel.contracted), classes = constant_of(kernel.classes);
  const auto rows = [&](const Access& access, const Linear& over, bool writes, const std::string& at) {
    if (!checker.slot(kernel.slots, access.slot, writes, at)) return;
    const PlanDtype dtype = kernel.slots[static_cast<size_t>(access.slot)].dtype;
    const bool fits = writes ? dtype == PlanDtype::f32 : dtype == PlanDtype::f32 || dtype == PlanDtype::bf16;
    checker.require(fits, at, writes ? "must be f32" : "must be f32 or bf16");
    checker.require(access.row_stride == 1, at + ".rowStride", "must be 1");
    if (!checker.require(access.strides.size() == 1 && access.strides[0] >= (writes ? 1 : 0), at + ".strides",
                         "must be one step that moves on"))
      return;
    checker.range(access.slot, checker.linear(access.offset, at + ".offset"), {access.strides[0], 1}, {over, contracted}, at,
                  facts);
  };
  const auto matrix = [&](int64_t slot, const Linear& over, const Linear& columns, bool writes, const std::string& at) {
    if (!checker.slot(kernel.slots, slot, writes, at)) return;
    const PlanDtype dtype = kernel.slots[static_cast<size_t>(slot)].dtype;
    checker.require(writes ? dtype == PlanDtype::f32 : is_float(dtype), at, writes ? "must be f32" : "must be of a float dtype");
    checker.range(slot, {}, {static_cast<int64_t>(columns.constant), 1}, {over, columns}, at, facts);
  };
  const auto values = [&](const std::vector<Access>& accesses, bool writes, const char* name) {
    const std::string at = place + "." + name;
    checker.require(accesses.size() <= 1, at, "are more than 1");
    for (const Access& access : accesses)
      check_values(checker, kernel.slots, access, {positions}, PlanDtype::f32, writes, at + "[0]", facts);
  };
  rows(kernel.input, positions, false, place + ".input");
  matrix(kernel.weight, classes, contracted, false, place + ".weight");
  matrix(kernel.scores, constant_of(kernel.chunk), classes, true, place + ".scores");
  check_values(checker, kernel.slots, kernel.targets, {positions}, PlanDtype::i32, false, place + ".targets", facts);
  values(kernel.losses, true, "losses");
  values(kernel.cotangents, false, "cotangents");
  checker.require(kernel.input_gradients.size() <= 1, place + ".inputGradients", "are more than 1");
  checker.require(kernel.weight_gradients.size() <= 1, place + ".weightGradients", "are more than 1");
  for (const Access& one : kernel.input_gradients) rows(one, positions, true, place + ".inputGradients[0]");
  for (const Access& one : kernel.weight_gradients) rows(one, classes, true, place + ".weightGradients[0]");
  checker.require(!kernel.cotangents.empty() || (kernel.input_gradients.empty() && kernel.weight_gradients.empty()),
                  place + ".cotangents", "must be there for a gradient");
  checker.require(kernel.slope_dtype == PlanDtype::f32 || kernel.slope_dtype == PlanDtype::bf16, place + ".slopeDtype",
                  "must be f32 or bf16");
}

void check(Checker& checker, const TopKKernel& kernel, const std::string& place, KernelFacts& facts) {
  // Indices are given as f32.
  constexpr int64_t most_elements = 1 << 24;
  constexpr int64_t most_kept = 32;
  if (!checker.require(kernel.count >= 1 && kernel.count <= most_kept, place + ".count", "must be 1 to 32")) return;
  if (!checker.require(kernel.length >= kernel.count && kernel.length <= most_elements, place + ".length",
                       "must be the count to 2^24"))
    return;
  if (!checker.require(kernel.loops.size() < most_loops, place + ".loops", "are more than 7")) return;
  std::vector<Linear> extents;
  Wide rows = 1;
  for (size_t i = 0; i < kernel.loops.size(); ++i) {
    const std::string at = place + ".loops[" + std::to_string(i) + "].extent";
    extents.push_back(checker.count(kernel.loops[i].extent, at, facts));
    rows *= std::clamp<Wide>(checker.bounds.highest(extents.back()), 1, largest_extent + 1);
    if (!checker.require(rows * kernel.length <= largest_scratch, at, "makes more than 2^40 values")) return;
  }
  const auto access = [&](const Access& access, int64_t row, bool writes, const char* name) {
    const std::string at = place + "." + name;
    if (!checker.slot(kernel.slots, access.slot, writes, at)) return;
    const PlanDtype dtype = kernel.slots[static_cast<size_t>(access.slot)].dtype;
    checker.require(writes ? dtype == PlanDtype::f32 : is_float(dtype), at, writes ? "must be f32" : "must be of a float dtype");
    if (!checker.require(access.strides.size() == extents.size(), at + ".strides", "must have one stride per loop")) return;
    std::vector<int64_t> strides = access.strides;
    std::vector<Linear> all = extents;
    strides.push_back(access.row_stride);
    all.push_back(constant_of(row));
    checker.range(access.slot, checker.linear(access.offset, at + ".offset"), strides, all, at, facts);
  };
  access(kernel.input, kernel.length, false, "input");
  access(kernel.output, 2 * kernel.count, true, "output");
  checker.require(kernel.output.row_stride == 1, place + ".output.rowStride", "must be 1");
  for (size_t i = 0; i < extents.size(); ++i)
    checker.require((i < kernel.output.strides.size() && kernel.output.strides[i] != 0) || checker.bounds.highest(extents[i]) <= 1,
                    place, "loop " + std::to_string(i) + " moves nothing");
}

void check(Checker& checker, const ScatterAddKernel& kernel, const std::string& place, KernelFacts& facts) {
  if (!checker.require(kernel.positions.size() + kernel.loops.size() < most_loops - 1, place + ".loops",
                       "and positions are more than 6"))
    return;
  if (!checker.require(kernel.addends.size() <= 1, place + ".addends", "are more than 1")) return;
  Wide product = 1;
  const auto count = [&](const Affine& extent, const std::string& at) {
    const Linear value = checker.count(extent, at, facts);
    product *= std::clamp<Wide>(checker.bounds.highest(value), 1, largest_extent + 1);
    if (product > largest_scratch) checker.fail(at, "makes more than 2^40 values");
    product = std::min(product, largest_scratch + 1);
    return value;
  };
  const auto extents_of = [&](const std::vector<Loop>& loops, const char* name) {
    std::vector<Linear> extents;
    for (size_t i = 0; i < loops.size(); ++i)
      extents.push_back(count(loops[i].extent, place + "." + name + "[" + std::to_string(i) + "].extent"));
    return extents;
  };
  const std::vector<Linear> positions = extents_of(kernel.positions, "positions");
  std::vector<Linear> columns = extents_of(kernel.loops, "loops");
  columns.push_back(count(kernel.row.extent, place + ".row.extent"));
  product = 1;
  std::vector<Linear> rows = {count(kernel.bound, place + ".bound")};
  rows.insert(rows.end(), columns.begin(), columns.end());
  std::vector<Linear> updates = positions;
  updates.insert(updates.end(), columns.begin(), columns.end());
  // `over`: one extent per stride, then that of the row, if the access has one.
  const auto access = [&](const Access& access, const std::vector<Linear>& over, bool has_row, bool writes, bool fits,
                          const char* what, const std::string& at) {
    if (!checker.slot(kernel.slots, access.slot, writes, at) || !checker.require(fits, at, what)) return;
    std::vector<int64_t> strides = access.strides;
    if (has_row) strides.push_back(access.row_stride);
    if (!checker.require(strides.size() == over.size(), at + ".strides", "must have one stride per loop")) return;
    checker.range(access.slot, checker.linear(access.offset, at + ".offset"), strides, over, at, facts);
  };
  const auto dtype = [&](const Access& access) {
    const bool exists = access.slot >= 0 && static_cast<size_t>(access.slot) < kernel.slots.size();
    return exists ? kernel.slots[static_cast<size_t>(access.slot)].dtype : PlanDtype::f32;
  };
  access(kernel.indices, positions, false, false, dtype(kernel.indices) == PlanDtype::i32, "must be i32",
         place + ".indices");
  access(kernel.updates, updates, true, false, is_float(dtype(kernel.updates)), "must be of a float dtype",
         place + ".updates");
  access(kernel.out, rows, true, true, dtype(kernel.out) == PlanDtype::f32, "must be f32", place + ".out");
  checker.require(kernel.out.row_stride == 1, place + ".out.rowStride", "must be 1");
  for (size_t i = 0; i < kernel.addends.size(); ++i) {
    const Access& addend = kernel.addends[i];
    const std::string at = place + ".addends[" + std::to_string(i) + "]";
    access(addend, rows, true, false, dtype(addend) == PlanDtype::f32, "must be f32", at);
    const bool same = addend.strides == kernel.out.strides && addend.row_stride == kernel.out.row_stride;
    checker.require(same, at + ".strides", "must be those of out");
  }
  for (size_t i = 0; i < kernel.out.strides.size() && i < rows.size(); ++i)
    checker.require(kernel.out.strides[i] != 0 || checker.bounds.highest(rows[i]) <= 1, place,
                    "loop " + std::to_string(i) + " of out moves nothing");
}

void check(Checker& checker, const ContractKernel& kernel, const std::string& place, KernelFacts& facts) {
  checker.require(kernel.loops.size() + kernel.contracted.size() <= most_loops, place + ".loops",
                  "and contracted loops are more than 8");
  std::vector<Linear> extents;
  const auto add_extents = [&](const std::vector<Loop>& loops, const char* name) {
    Wide product = 1;
    for (size_t i = 0; i < loops.size(); ++i) {
      const std::string at = place + "." + name + "[" + std::to_string(i) + "].extent";
      extents.push_back(checker.count(loops[i].extent, at, facts));
      product *= std::clamp<Wide>(checker.bounds.highest(extents.back()), 1, largest_extent + 1);
      if (product > (Wide{1} << 40)) return checker.fail(at, "makes more than 2^40 indices");
    }
    return true;
  };
  if (!add_extents(kernel.loops, "loops")) return;
  const std::vector<Linear> outer = extents;
  if (!add_extents(kernel.contracted, "contracted")) return;
  const auto access = [&](const Access& access, const std::vector<Linear>& over, bool writes, const char* name) {
    const std::string at = place + "." + name;
    if (!checker.slot(kernel.slots, access.slot, writes, at, !writes)) return;
    if (!checker.require(access.strides.size() == over.size(), at + ".strides", "must have one stride per loop")) return;
    checker.range(access.slot, checker.linear(access.offset, at + ".offset"), access.strides, over, at, facts);
  };
  access(kernel.a, extents, false, "a");
  access(kernel.b, extents, false, "b");
  access(kernel.out, outer, true, "out");
  for (size_t i = 0; i < extents.size(); ++i) {
    const bool moves = i < outer.size()
                           ? i < kernel.out.strides.size() && kernel.out.strides[i] != 0
                           : (i < kernel.a.strides.size() && kernel.a.strides[i] != 0) ||
                                 (i < kernel.b.strides.size() && kernel.b.strides[i] != 0);
    checker.require(moves || checker.bounds.highest(extents[i]) <= 1, place,
                    "loop " + std::to_string(i) + " moves nothing");
  }
}

}  // namespace

KernelFacts check_kernel(Checker& checker, const Kernel& kernel, const std::string& place) {
  KernelFacts facts;
  std::visit(
      [&](const auto& kind) {
        facts.slot_elements.resize(kind.slots.size(), 0);
        if (checker.require(kind.slots.size() <= most_slots, place + ".slots", "has more than 64 slots"))
          check(checker, kind, place, facts);
      },
      kernel);
  return facts;
}

}  // namespace weft::plan
