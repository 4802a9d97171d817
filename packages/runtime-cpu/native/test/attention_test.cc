// Both attention paths against a double softmax; item independence; masks.
#include "checks.h"

namespace weft::cpu::test {

namespace {

struct Shape {
  size_t queries, heads, kv_heads, head_dim, past, capacity;
  bool causal;
};

void test_shape(const KernelTable& kernels, Shape s, DType type, Random& random) {
  const size_t keys = s.past + s.queries;
  const size_t position_stride = s.head_dim + random.below(3), head_stride = s.capacity * position_stride + random.below(7);
  const size_t q_stride = s.heads * s.head_dim + random.below(5), out_stride = s.heads * s.head_dim + random.below(5);
  Buffer<float> q(s.queries * q_stride, 1);
  for (size_t i = 0; i < q.size(); ++i) q[i] = random.uniform(-2, 2);
  Stored k(type, s.kv_heads * head_stride, 3, random, 2), v(type, s.kv_heads * head_stride, 5, random);
  Buffer<float> decode_out(s.queries * out_stride, 1), prefill_out(s.queries * out_stride, 2), again(s.queries * out_stride, 3);
  const float scale = 1.0f / std::sqrt(static_cast<float>(s.head_dim));
  AttentionArguments a{s.queries, s.heads, s.kv_heads, s.head_dim, keys, s.past, s.causal, scale, q.data(), q_stride, k.data(), v.data(), type,
                       head_stride, position_stride, head_stride, position_stride, decode_out.data(), out_stride};

  const auto decode = [&](float* out, size_t step) {
    a.out = out;
    Scratch partials(kernels.attention_decode_partials_bytes(a)), scratch(kernels.attention_decode_scratch_bytes(a));
    const size_t items = kernels.attention_decode_items(a), merges = kernels.attention_merge_items(a);
    // Last items first: the order must not matter.
    for (size_t end = items; end > 0; end -= step < end ? step : end)
      kernels.attention_decode(a, partials.data(), scratch.data(), step < end ? end - step : 0, end);
    for (size_t end = merges; end > 0; end -= step < end ? step : end)
      kernels.attention_merge(a, partials.data(), step < end ? end - step : 0, end);
  };
  const auto prefill = [&](float* out, size_t step) {
    a.out = out;
    Scratch scratch(kernels.attention_prefill_scratch_bytes(a));
    const size_t items = kernels.attention_prefill_items(a);
    for (size_t end = items; end > 0; end -= step < end ? step : end)
      kernels.attention_prefill(a, scratch.data(), step < end ? end - step : 0, end);
  };
  decode(decode_out.data(), 1000);
  prefill(prefill_out.data(), 1000);

  double worst[2] = {0, 0};
  const size_t group = s.heads / s.kv_heads;
  std::vector<double> p(keys), sum(s.head_dim);
  for (size_t i = 0; i < s.queries; ++i)
    for (size_t h = 0; h < s.heads; ++h) {
      const size_t visible = s.causal ? s.past + i + 1 : keys, base = h / group * head_stride;
      double top = -1e300, total = 0;
      for (size_t j = 0; j < visible; ++j) {
        double score = 0;
        for (size_t d = 0; d < s.head_dim; ++d) score += double{q[i * q_stride + h * s.head_dim + d]} * k.value(base + j * position_stride + d);
        top = std::fmax(top, p[j] = score * scale);
      }
      for (size_t d = 0; d < s.head_dim; ++d) sum[d] = 0;
      for (size_t j = 0; j < visible; ++j) {
        total += p[j] = std::exp(p[j] - top);
        for (size_t d = 0; d < s.head_dim; ++d) sum[d] += p[j] * v.value(base + j * position_stride + d);
      }
      for (size_t d = 0; d < s.head_dim; ++d) {
        const size_t at = i * out_stride + h * s.head_dim + d;
        const float* outs[2] = {decode_out.data(), prefill_out.data()};
        for (int path = 0; path < 2; ++path) {
          const double error = std::fabs(outs[path][at] - sum[d] / total);
          worst[path] = std::isfinite(outs[path][at]) ? std::fmax(worst[path], error) : 1e30;
        }
      }
    }
  for (int path = 0; path < 2; ++path)
    check(worst[path] < 4e-6, "%s attention %s %s, queries %zu heads %zu/%zu head_dim %zu past %zu causal %d: error %.2e", kernels.name,
          path ? "prefill" : "decode", name_of(type), s.queries, s.heads, s.kv_heads, s.head_dim, s.past, s.causal, worst[path]);
  for (size_t step : {1, 3}) {
    for (int path = 0; path < 2; ++path) {
      if (path) prefill(again.data(), step);
      else decode(again.data(), step);
      bool same = true;
      Buffer<float>& whole = path ? prefill_out : decode_out;
      for (size_t i = 0; i < s.queries; ++i)
        for (size_t d = 0; d < s.heads * s.head_dim; ++d) same = same && same_bits(whole[i * out_stride + d], again[i * out_stride + d]);
      check(same, "%s attention %s: depends on how items are split (queries %zu, head_dim %zu, past %zu)", kernels.name, path ? "prefill" : "decode",
            s.queries, s.head_dim, s.past);
    }
  }
}

}  // namespace

void test_attention(const KernelTable& kernels) {
  Random random(7);
  for (DType type : {DType::f32, DType::bf16, DType::f16}) {
    test_shape(kernels, {1, 4, 2, 128, 0, 300, true}, type, random);
    test_shape(kernels, {1, 4, 2, 128, 255, 300, true}, type, random);
    test_shape(kernels, {1, 4, 2, 128, 256, 300, true}, type, random);
    test_shape(kernels, {1, 8, 1, 64, 700, 800, true}, type, random);
    test_shape(kernels, {3, 6, 2, 24, 510, 600, true}, type, random);
    test_shape(kernels, {5, 3, 3, 7, 300, 400, true}, type, random);
    test_shape(kernels, {130, 4, 2, 64, 0, 200, true}, type, random);
    test_shape(kernels, {70, 4, 1, 128, 131, 300, true}, type, random);
    test_shape(kernels, {33, 2, 2, 80, 5, 100, false}, type, random);
    test_shape(kernels, {17, 2, 1, 256, 128, 300, true}, type, random);
    test_shape(kernels, {9, 2, 1, 512, 40, 100, true}, type, random);
    for (int i = 0; i < 12; ++i) {
      const size_t kv_heads = 1 + random.below(3), queries = 1 + random.below(40), past = random.below(300);
      test_shape(kernels, {queries, kv_heads * (1 + random.below(5)), kv_heads, 1 + random.below(100), past, past + queries + random.below(20), random.below(4) != 0},
                 type, random);
    }
  }
  // No key at all: zeros.
  float q[2] = {1, 2}, out[2] = {9, 9};
  AttentionArguments a{1, 1, 1, 2, 0, 0, false, 1.0f, q, 2, nullptr, nullptr, DType::f32, 0, 0, 0, 0, out, 2};
  Scratch partials(kernels.attention_decode_partials_bytes(a)), scratch(kernels.attention_decode_scratch_bytes(a));
  kernels.attention_decode(a, partials.data(), scratch.data(), 0, kernels.attention_decode_items(a));
  check(out[0] == 0 && out[1] == 0 && kernels.attention_merge_items(a) == 0, "%s attention_decode without keys", kernels.name);
  out[0] = out[1] = 9;
  Scratch prefill_scratch(kernels.attention_prefill_scratch_bytes(a));
  kernels.attention_prefill(a, prefill_scratch.data(), 0, kernels.attention_prefill_items(a));
  check(out[0] == 0 && out[1] == 0, "%s attention_prefill without keys", kernels.name);
}

}  // namespace weft::cpu::test
