#include "exec/attention_code.h"

#include <algorithm>

#include "error.h"
#include "row/convert_dtype.h"
#include "validate.h"

namespace weft::cpu {
namespace {

// Queries come in blocks that are far smaller than this, so more of them need no more scratch.
constexpr int64_t most_distinct_queries = 4096;

}  // namespace

AttentionCode::AttentionCode(const plan::AttentionKernel& kernel, const plan::SymbolBounds& bounds,
                             const KernelTable& kernels)
    : kernel_(kernel), kernels_(kernels) {
  if (dtype_of(kernel.key) != dtype_of(kernel.value))
    throw Error("unsupported: [attention] keys and values must have the same dtype on the CPU; at kernel " + kernel.name);
  const int64_t queries = plan::highest_value(bounds, kernel.queries);
  const int64_t keys = plan::highest_value(bounds, kernel.keys);
  ScratchLayout shared;
  const size_t dense = static_cast<size_t>(queries * kernel.heads * kernel.head_dim) * sizeof(float);
  query_ = shared.add(is_plain(kernel.query) ? 0 : dense);
  output_ = shared.add(is_plain(kernel.output) ? 0 : dense);
  // Few queries go one way, many the other; which, depends on nothing that grows with the keys.
  size_t partials = 0;
  for (int64_t count = 1; count <= queries; ++count) {
    const AttentionArguments most = arguments(count, keys, std::max<int64_t>(keys - count, 0));
    if (kernels.prefer_attention_decode(most)) {
      partials = std::max(partials, kernels.attention_decode_partials_bytes(most));
      per_thread_ = std::max(per_thread_, kernels.attention_decode_scratch_bytes(most));
    } else {
      const AttentionArguments all = arguments(queries, keys, std::max<int64_t>(keys - queries, 0));
      per_thread_ = std::max({per_thread_, kernels.attention_prefill_scratch_bytes(most),
                              kernels.attention_prefill_scratch_bytes(all)});
      if (count >= most_distinct_queries) break;
    }
  }
  partials_ = shared.add(partials);
  shared_ = shared.bytes();
}

bool AttentionCode::is_plain(const plan::HeadsAccess& access) const {
  return dtype_of(access) == plan::PlanDtype::f32 && access.head_stride == kernel_.head_dim;
}

plan::PlanDtype AttentionCode::dtype_of(const plan::HeadsAccess& access) const {
  return kernel_.slots[static_cast<size_t>(access.slot)].dtype;
}

AttentionArguments AttentionCode::arguments(int64_t queries, int64_t keys, int64_t past) const {
  AttentionArguments a{};
  a.queries = static_cast<size_t>(queries);
  a.heads = static_cast<size_t>(kernel_.heads);
  a.kv_heads = static_cast<size_t>(kernel_.kv_heads);
  a.head_dim = static_cast<size_t>(kernel_.head_dim);
  a.keys = static_cast<size_t>(keys);
  a.past = static_cast<size_t>(past);
  a.causal = kernel_.causal;
  a.scale = static_cast<float>(kernel_.scale);
  a.q_stride = a.out_stride = static_cast<size_t>(kernel_.heads * kernel_.head_dim);
  a.kv_type = kernel_dtype(dtype_of(kernel_.key));
  a.k_head_stride = static_cast<size_t>(kernel_.key.head_stride);
  a.k_position_stride = static_cast<size_t>(kernel_.key.position_stride);
  a.v_head_stride = static_cast<size_t>(kernel_.value.head_stride);
  a.v_position_stride = static_cast<size_t>(kernel_.value.position_stride);
  return a;
}

void AttentionCode::copy_heads(const StepBinding& step, Worker& worker, const plan::HeadsAccess& access, float* dense,
                               int64_t queries, bool to_slot) const noexcept {
  const plan::PlanDtype dtype = dtype_of(access);
  const int64_t width = plan::element_bytes(dtype);
  char* slot = step.slots[static_cast<size_t>(access.slot)].data + plan::evaluate(access.offset, worker.symbols) * width;
  int64_t begin, end;
  while (worker.take(queries, 1, begin, end)) {
    for (int64_t head = 0; head < kernel_.heads; ++head) {
      float* row = dense + (begin * kernel_.heads + head) * kernel_.head_dim;
      char* memory = slot + (begin * access.position_stride + head * access.head_stride) * width;
      if (to_slot) write_elements(kernels_, memory, dtype, row, static_cast<size_t>(kernel_.head_dim));
      else read_elements(kernels_, row, memory, dtype, static_cast<size_t>(kernel_.head_dim));
    }
  }
}

void AttentionCode::execute(const StepBinding& step, Worker& worker) const noexcept {
  const int64_t queries = plan::evaluate(kernel_.queries, worker.symbols);
  if (queries == 0) return;
  AttentionArguments a = arguments(queries, plan::evaluate(kernel_.keys, worker.symbols),
                                   plan::evaluate(kernel_.past, worker.symbols));
  const auto memory = [&](const plan::HeadsAccess& access) {
    return step.slots[static_cast<size_t>(access.slot)].data +
           plan::evaluate(access.offset, worker.symbols) * plan::element_bytes(dtype_of(access));
  };
  a.k = memory(kernel_.key);
  a.v = memory(kernel_.value);
  if (is_plain(kernel_.query)) {
    a.q = reinterpret_cast<const float*>(memory(kernel_.query));
    a.q_stride = static_cast<size_t>(kernel_.query.position_stride);
  } else {
    float* dense = reinterpret_cast<float*>(worker.shared + query_);
    copy_heads(step, worker, kernel_.query, dense, queries, false);
    if (worker.barrier()) return;
    a.q = dense;
  }
  if (is_plain(kernel_.output)) {
    a.out = reinterpret_cast<float*>(memory(kernel_.output));
    a.out_stride = static_cast<size_t>(kernel_.output.position_stride);
  } else {
    a.out = reinterpret_cast<float*>(worker.shared + output_);
  }
  int64_t begin, end;
  if (kernels_.prefer_attention_decode(a)) {
    void* partials = worker.shared + partials_;
    const int64_t items = static_cast<int64_t>(kernels_.attention_decode_items(a));
    while (worker.take(items, 1, begin, end))
      kernels_.attention_decode(a, partials, worker.scratch, static_cast<size_t>(begin), static_cast<size_t>(end));
    const int64_t merges = static_cast<int64_t>(kernels_.attention_merge_items(a));
    if (merges > 0) {
      if (worker.barrier()) return;
      while (worker.take(merges, 1, begin, end))
        kernels_.attention_merge(a, partials, static_cast<size_t>(begin), static_cast<size_t>(end));
    }
  } else {
    const int64_t items = static_cast<int64_t>(kernels_.attention_prefill_items(a));
    // The last blocks of queries see the most keys: taken first, they do not end last.
    while (worker.take(items, 1, begin, end)) {
      const size_t item = static_cast<size_t>(items - 1 - begin);
      kernels_.attention_prefill(a, worker.scratch, item, item + 1);
    }
  }
  if (is_plain(kernel_.output)) return;
  if (worker.barrier()) return;
  copy_heads(step, worker, kernel_.output, reinterpret_cast<float*>(worker.shared + output_), queries, true);
}

}  // namespace weft::cpu
