#include "exec/attention_training_code.h"

#include "validate.h"

namespace weft::cpu {
namespace {

// Where one step's operands lie.
struct Bound {
  const std::vector<plan::Slot>& slots;
  const StepBinding& step;
  const Worker& worker;

  char* memory(int64_t slot, const plan::Affine& offset) const {
    const plan::PlanDtype dtype = slots[static_cast<size_t>(slot)].dtype;
    return step.slots[static_cast<size_t>(slot)].data +
           plan::evaluate(offset, worker.symbols) * plan::element_bytes(dtype);
  }
  HeadsOperand operand(const plan::HeadsAccess& access) const {
    return {memory(access.slot, access.offset), kernel_dtype(slots[static_cast<size_t>(access.slot)].dtype),
            static_cast<size_t>(access.position_stride), static_cast<size_t>(access.head_stride)};
  }
  float* floats(int64_t slot, const plan::Affine& offset) const { return reinterpret_cast<float*>(memory(slot, offset)); }
};

// What both directions have in common, but for where operands lie.
template <class Kernel>
TrainingAttentionArguments sizes_of(const Kernel& kernel, int64_t queries, int64_t keys, int64_t past) {
  TrainingAttentionArguments a{};
  a.queries = static_cast<size_t>(queries);
  a.keys = static_cast<size_t>(keys);
  a.past = static_cast<size_t>(past);
  a.heads = static_cast<size_t>(kernel.heads);
  a.kv_heads = static_cast<size_t>(kernel.kv_heads);
  a.head_dim = static_cast<size_t>(kernel.head_dim);
  a.causal = kernel.causal;
  a.scale = static_cast<float>(kernel.scale);
  return a;
}

template <class Kernel>
TrainingAttentionArguments arguments_of(const Kernel& kernel, const Bound& bound) {
  const int64_t* symbols = bound.worker.symbols;
  TrainingAttentionArguments a = sizes_of(kernel, plan::evaluate(kernel.queries, symbols),
                                          plan::evaluate(kernel.keys, symbols), plan::evaluate(kernel.past, symbols));
  a.q = bound.operand(kernel.query);
  a.k = bound.operand(kernel.key);
  a.v = bound.operand(kernel.value);
  if (!kernel.starts.empty()) {
    const plan::Access& starts = kernel.starts.front();
    a.starts = reinterpret_cast<const int32_t*>(bound.memory(starts.slot, starts.offset));
    a.starts_stride = static_cast<size_t>(starts.strides[0]);
  }
  return a;
}

void set_sums(TrainingAttentionArguments& a, const Bound& bound, const plan::Access& sums) {
  a.log_sum_exp = bound.floats(sums.slot, sums.offset);
  a.sum_position_stride = static_cast<size_t>(sums.strides[0]);
  a.sum_head_stride = static_cast<size_t>(sums.strides[1]);
}

template <class Kernel>
size_t scratch_of(const Kernel& kernel, const plan::SymbolBounds& bounds, const KernelTable& kernels) {
  return kernels.attention_training_scratch_bytes(
      sizes_of(kernel, plan::highest_value(bounds, kernel.queries), plan::highest_value(bounds, kernel.keys), 0));
}

}  // namespace

AttentionForwardCode::AttentionForwardCode(const plan::AttentionForwardKernel& kernel, const plan::SymbolBounds& bounds,
                                           const KernelTable& kernels)
    : kernel_(kernel), scratch_(scratch_of(kernel, bounds, kernels)) {}

void AttentionForwardCode::execute(const StepBinding& step, Worker& worker) const noexcept {
  const Bound bound{kernel_.slots, step, worker};
  TrainingAttentionArguments a = arguments_of(kernel_, bound);
  if (!kernel_.outputs.empty()) {
    const plan::HeadsAccess& output = kernel_.outputs.front();
    a.out = bound.floats(output.slot, output.offset);
    a.out_position_stride = static_cast<size_t>(output.position_stride);
    a.out_head_stride = static_cast<size_t>(output.head_stride);
  }
  if (!kernel_.log_sum_exps.empty()) set_sums(a, bound, kernel_.log_sum_exps.front());
  const int64_t items = static_cast<int64_t>(worker.kernels.attention_forward_items(a));
  int64_t begin, end;
  // The last blocks of queries may see the most keys: taken first, they do not end last.
  while (worker.take(items, 1, begin, end))
    worker.kernels.attention_forward(a, worker.scratch, static_cast<size_t>(items - 1 - begin));
}

AttentionBackwardCode::AttentionBackwardCode(const plan::AttentionBackwardKernel& kernel, const plan::SymbolBounds& bounds,
                                             const KernelTable& kernels)
    : kernel_(kernel), scratch_(scratch_of(kernel, bounds, kernels)) {}

void AttentionBackwardCode::execute(const StepBinding& step, Worker& worker) const noexcept {
  const Bound bound{kernel_.slots, step, worker};
  TrainingAttentionArguments a = arguments_of(kernel_, bound);
  a.result = bound.operand(kernel_.result);
  a.cotangent = bound.operand(kernel_.cotangent);
  set_sums(a, bound, kernel_.log_sum_exp);
  const auto gradient = [&](const plan::HeadsAccess& access, float*& data, size_t& position, size_t& head) {
    data = bound.floats(access.slot, access.offset);
    position = static_cast<size_t>(access.position_stride);
    head = static_cast<size_t>(access.head_stride);
  };
  gradient(kernel_.query_gradient, a.query_gradient, a.query_gradient_position_stride, a.query_gradient_head_stride);
  gradient(kernel_.key_gradient, a.key_gradient, a.key_gradient_position_stride, a.key_gradient_head_stride);
  gradient(kernel_.value_gradient, a.value_gradient, a.value_gradient_position_stride, a.value_gradient_head_stride);
  const int64_t items = static_cast<int64_t>(worker.kernels.attention_backward_items(a));
  int64_t begin, end;
  while (worker.take(items, 1, begin, end)) worker.kernels.attention_backward(a, worker.scratch, static_cast<size_t>(begin));
}

}  // namespace weft::cpu
