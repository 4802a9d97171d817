// Attention for few queries over a long cache.
//
// A work item is one K/V head and one chunk of keys. All query rows of that head (row = query * group + head in group)
// are handled together, so K and V are streamed once. Each item leaves, per row, the maximum score, the sum of
// exponentials and the weighted sum of values; merging rescales them to the common maximum, chunk by chunk in order.
#pragma once

namespace weft::cpu {
namespace {

inline float scalar_exponential(float x) {
  float lanes[Vec::lanes];
  Vec::store(lanes, exponential(Vec::set(x)));
  return lanes[0];
}

inline size_t group_of(const AttentionArguments& a) { return a.heads / a.kv_heads; }

// Keys that query `query` sees, counted from the first one of the cache.
inline size_t visible_keys(const AttentionArguments& a, size_t query) {
  return a.causal ? smaller(a.past + query + 1, a.keys) : a.keys;
}

inline const float* query_row(const AttentionArguments& a, size_t kv_head, size_t row) {
  const size_t group = group_of(a);
  return a.q + row / group * a.q_stride + (kv_head * group + row % group) * a.head_dim;
}
inline float* output_row(const AttentionArguments& a, size_t kv_head, size_t row) {
  const size_t group = group_of(a);
  return a.out + row / group * a.out_stride + (kv_head * group + row % group) * a.head_dim;
}

// Maximum of scale * scores; -infinity for none. A NaN may be passed over here: its exponential is NaN, and so will be
// the row's sum.
inline float scaled_maximum(const float* scores, float scale, size_t n) {
  float best = -__builtin_inff();
  if (n < Vec::lanes) {
    for (size_t j = 0; j < n; ++j)
      if (scores[j] * scale > best) best = scores[j] * scale;
    return best;
  }
  const Vec::F32 factor = Vec::set(scale);
  // The last vector overlaps the one before, which a maximum does not mind.
  Vec::F32 top[4];
  top[0] = top[1] = top[2] = top[3] = Vec::max(Vec::mul(Vec::load(scores + n - Vec::lanes), factor), Vec::set(best));
  size_t j = 0;
  for (; j + 4 * Vec::lanes <= n; j += 4 * Vec::lanes)
    WEFT_UNROLL(4)
    for (size_t w = 0; w < 4; ++w) top[w] = Vec::max(Vec::mul(Vec::load(scores + j + w * Vec::lanes), factor), top[w]);
  for (; j + Vec::lanes <= n; j += Vec::lanes) top[0] = Vec::max(Vec::mul(Vec::load(scores + j), factor), top[0]);
  return Vec::reduce_max(Vec::max(Vec::max(top[0], top[1]), Vec::max(top[2], top[3])));
}

// scores[j] = exp(scale * scores[j] - top) for j < n, and 0 up to `end`; returns the sum.
inline float exponentiate(float* scores, float scale, float top, size_t n, size_t end) {
  const Vec::F32 factor = Vec::set(scale), shift = Vec::set(-top);
  Vec::F32 sum = Vec::zero();
  size_t j = 0;
  for (; j + Vec::lanes <= n; j += Vec::lanes) {
    const Vec::F32 p = exponential(Vec::multiply_add(Vec::load(scores + j), factor, shift));
    Vec::store(scores + j, p);
    sum = Vec::add(sum, p);
  }
  if (j < n) {
    Vec::store_partial(scores + j, exponential(Vec::multiply_add(Vec::load_partial(scores + j, n - j), factor, shift)), n - j);
    sum = Vec::add(sum, Vec::load_partial(scores + j, n - j));
  }
  for (j = n; j < end; ++j) scores[j] = 0.0f;
  return Vec::reduce_add(sum);
}

inline void divide_row(float* out, const float* a, float divisor, size_t n) {
  // No visible key: the row is zero, not 0 / 0.
  if (divisor == 0.0f) fill_row(out, 0.0f, n);
  else BinaryRow<divide>::vector_scalar(out, a, divisor, n);
}

constexpr size_t value_rows = 3;                                 // rows of weights per pass over a block of V
constexpr size_t value_vectors = Vec::accumulators / value_rows;  // vectors of head_dim per pass
constexpr size_t values_ahead = 8;                               // keys by which V is fetched ahead
constexpr size_t value_keys = 64;                                // keys per block: V's block stays in L1 between passes

// sum[rows][count] += weights[rows][keys] * v[keys][count], count = vectors * lanes or, for one vector, fewer.
template <class Source, size_t rows, size_t vectors>
inline void weighted_values(const float* weights, size_t weight_stride, const typename Source::Element* v,
                            size_t v_stride, size_t keys, float* sum, size_t sum_stride, size_t count) {
  Vec::F32 total[rows][vectors];
  const bool whole = count == vectors * Vec::lanes;
  WEFT_UNROLL(8)
  for (size_t r = 0; r < rows; ++r)
    WEFT_UNROLL(8)
    for (size_t d = 0; d < vectors; ++d)
      total[r][d] = load_some(sum + r * sum_stride + d * Vec::lanes, whole ? Vec::lanes : count);
  for (size_t j = 0; j < keys; ++j) {
    Vec::F32 weight[rows];
    WEFT_UNROLL(8)
    for (size_t r = 0; r < rows; ++r) weight[r] = Vec::set(weights[r * weight_stride + j]);
    WEFT_UNROLL(8)
    for (size_t d = 0; d < vectors; ++d) {
      const auto* p = v + j * v_stride + d * Vec::lanes;
      prefetch(reinterpret_cast<uintptr_t>(p + values_ahead * v_stride), 1);
      const Vec::F32 value = whole ? Source::load(p) : Source::load_partial(p, count);
      WEFT_UNROLL(8)
      for (size_t r = 0; r < rows; ++r) total[r][d] = Vec::multiply_add(weight[r], value, total[r][d]);
    }
  }
  WEFT_UNROLL(8)
  for (size_t r = 0; r < rows; ++r)
    WEFT_UNROLL(8)
    for (size_t d = 0; d < vectors; ++d)
      store_some(sum + r * sum_stride + d * Vec::lanes, total[r][d], whole ? Vec::lanes : count);
}

template <class Source, size_t rows>
void weighted_value_rows(const float* weights, size_t weight_stride, const typename Source::Element* v, size_t v_stride,
                         size_t keys, float* sum, size_t sum_stride, size_t head_dim) {
  size_t d = 0;
  for (; d + value_vectors * Vec::lanes <= head_dim; d += value_vectors * Vec::lanes)
    weighted_values<Source, rows, value_vectors>(weights, weight_stride, v + d, v_stride, keys, sum + d, sum_stride,
                                                 value_vectors * Vec::lanes);
  for (; d < head_dim; d += Vec::lanes)
    weighted_values<Source, rows, 1>(weights, weight_stride, v + d, v_stride, keys, sum + d, sum_stride,
                                     smaller(head_dim - d, Vec::lanes));
}

// All rows of one chunk; sum is overwritten.
template <class Source>
void weighted_values_of_chunk(const AttentionArguments& a, const typename Source::Element* v, size_t rows, size_t keys,
                              const float* weights, float* sum, size_t sum_stride) {
  for (size_t r = 0; r < rows; ++r) fill_row(sum + r * sum_stride, 0.0f, a.head_dim);
  const size_t groups = (rows + value_rows - 1) / value_rows;
  for (size_t j = 0; j < keys; j += value_keys) {
    const size_t count = smaller(keys - j, value_keys);
    const auto* block = v + j * a.v_position_stride;
    for (size_t g = 0; g < groups; ++g) {
      const size_t begin = rows * g / groups, size = rows * (g + 1) / groups - begin;
      const float* w = weights + begin * attention_chunk_keys + j;
      float* out = sum + begin * sum_stride;
      const auto pass = size == 1   ? weighted_value_rows<Source, 1>
                        : size == 2 ? weighted_value_rows<Source, 2>
                                    : weighted_value_rows<Source, 3>;
      pass(w, attention_chunk_keys, block, a.v_position_stride, count, out, sum_stride, a.head_dim);
    }
  }
}

inline size_t chunks_of(const AttentionArguments& a) { return (a.keys + attention_chunk_keys - 1) / attention_chunk_keys; }
// One row of partial results: head_dim sums, then the maximum and the sum of exponentials.
inline size_t partial_stride(const AttentionArguments& a) { return whole_lines(a.head_dim + 2); }

size_t attention_decode_items(const AttentionArguments& a) {
  if (a.queries == 0) return 0;
  return a.kv_heads * (a.keys == 0 ? 1 : chunks_of(a));  // one item still writes the zeros
}

size_t attention_decode_partials_bytes(const AttentionArguments& a) {
  return attention_decode_items(a) * a.queries * group_of(a) * partial_stride(a) * sizeof(float);
}

size_t attention_decode_scratch_bytes(const AttentionArguments& a) {
  return a.queries * group_of(a) * (whole_lines(a.head_dim) + attention_chunk_keys) * sizeof(float);
}

size_t attention_merge_items(const AttentionArguments& a) { return chunks_of(a) <= 1 ? 0 : a.heads * a.queries; }

void attention_decode(const AttentionArguments& a, void* partials, void* scratch, size_t item_begin, size_t item_end) {
  const size_t rows = a.queries * group_of(a), chunks = chunks_of(a) == 0 ? 1 : chunks_of(a);
  const size_t q_stride = whole_lines(a.head_dim), stride = partial_stride(a), element = a.kv_type == DType::f32 ? 4 : 2;
  float* q = static_cast<float*>(scratch);
  float* scores = q + rows * q_stride;
  for (size_t item = item_begin; item < item_end; ++item) {
    const size_t head = item / chunks, first = item % chunks * attention_chunk_keys;
    const size_t keys = smaller(a.keys - first, attention_chunk_keys);
    float* partial = static_cast<float*>(partials) + item * rows * stride;
    for (size_t r = 0; r < rows; ++r) copy_row(q + r * q_stride, query_row(a, head, r), a.head_dim);
    const char* k = static_cast<const char*>(a.k) + (head * a.k_head_stride + first * a.k_position_stride) * element;
    gemv({rows, keys, a.head_dim, q, DType::f32, q_stride, k, a.kv_type, a.k_position_stride, scores, attention_chunk_keys});
    for (size_t r = 0; r < rows; ++r) {
      const size_t seen = visible_keys(a, r / group_of(a));
      const size_t visible = seen <= first ? 0 : smaller(seen - first, keys);
      float* row = scores + r * attention_chunk_keys;
      const float top = scaled_maximum(row, a.scale, visible);
      partial[r * stride + a.head_dim] = top;
      partial[r * stride + a.head_dim + 1] = exponentiate(row, a.scale, top, visible, keys);
    }
    with_source(a.kv_type, [&](auto source) {
      using Source = decltype(source);
      const auto* v = static_cast<const typename Source::Element*>(a.v) + head * a.v_head_stride + first * a.v_position_stride;
      weighted_values_of_chunk<Source>(a, v, rows, keys, scores, partial, stride);
    });
    if (chunks > 1) continue;
    for (size_t r = 0; r < rows; ++r)
      divide_row(output_row(a, head, r), partial + r * stride, partial[r * stride + a.head_dim + 1], a.head_dim);
  }
}

void attention_merge(const AttentionArguments& a, const void* partials, size_t item_begin, size_t item_end) {
  const size_t rows = a.queries * group_of(a), chunks = chunks_of(a), stride = partial_stride(a);
  for (size_t item = item_begin; item < item_end; ++item) {
    const size_t head = item / rows, r = item % rows;
    const float* first = static_cast<const float*>(partials) + (head * chunks * rows + r) * stride;
    const size_t chunk_stride = rows * stride;
    float top = -__builtin_inff();
    for (size_t c = 0; c < chunks; ++c) {
      const float chunk_top = first[c * chunk_stride + a.head_dim];
      if (chunk_top > top) top = chunk_top;
    }
    float* out = output_row(a, head, r);
    fill_row(out, 0.0f, a.head_dim);
    float sum = 0.0f;
    for (size_t c = 0; c < chunks; ++c) {
      const float* partial = first + c * chunk_stride;
      if (partial[a.head_dim] == -__builtin_inff() && partial[a.head_dim + 1] == 0.0f) continue;  // saw no key
      const float weight = scalar_exponential(partial[a.head_dim] - top);
      sum += weight * partial[a.head_dim + 1];
      multiply_add_scalar_row(out, partial, weight, out, a.head_dim);
    }
    divide_row(out, out, sum, a.head_dim);
  }
}

}  // namespace
}  // namespace weft::cpu
