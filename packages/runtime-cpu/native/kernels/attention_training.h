// Attention of a training step, forward and backward, in the form of FlashAttention-2 (Dao 2023): blocks of queries
// against blocks of keys, and one number per query and head, the logarithm of the softmax's sum, to compute the weights
// again from. Nothing of the size queries x keys exists.
//
// Rows are the queries of one K/V head with all heads of its group, flattened (row = query * group + head in group). Work
// items are independent: a block of rows (forward, and the queries' gradient), or a block of keys (the gradient of keys
// and values, which goes through the rows in order). Computing the scores twice for the two gradients costs 7 products
// where 5 would do, and spares sums over threads, whose order would have to be kept. Blocks of keys that a row's
// document does not reach are skipped.
#pragma once

namespace weft::cpu {
namespace {

constexpr size_t training_rows = 128;  // rows of a block, and with key_block the sides of a block of scores

struct TrainingShape {
  explicit TrainingShape(const TrainingAttentionArguments& a)
      : group(a.heads / a.kv_heads), rows(a.queries * group), row_blocks((rows + training_rows - 1) / training_rows),
        key_blocks((a.keys + key_block - 1) / key_block),
        padded((a.head_dim + column_tile - 1) / column_tile * column_tile),
        by_columns((training_rows + column_tile - 1) / column_tile * column_tile * a.head_dim),
        by_values(training_rows * padded), dense(training_rows * a.head_dim), scores(training_rows * score_stride) {}
  size_t group, rows, row_blocks, key_blocks;
  size_t padded;                                // head_dim in whole tiles
  size_t by_columns, by_values, dense, scores;  // floats
};

// Consecutive areas of scratch.
struct TrainingScratch {
  float* next;
  float* take(size_t floats) {
    float* area = next;
    next += whole_lines(floats);
    return area;
  }
};

// The keys that a row sees: [first, last).
struct SeenKeys {
  size_t first, last;
};

inline SeenKeys seen_keys(const TrainingAttentionArguments& a, size_t query) {
  if (!a.causal) return {0, a.keys};
  const size_t last = smaller(a.past + query + 1, a.keys);
  const int32_t start = a.starts == nullptr ? 0 : a.starts[query * a.starts_stride];
  const size_t first = start <= 0 ? 0 : static_cast<size_t>(start);
  return {first < last ? first : last, last};
}

inline void copy_heads_row(float* out, const HeadsOperand& x, size_t position, size_t head, size_t n) {
  with_source(x.type, [&](auto source) {
    using Source = decltype(source);
    const auto* p = static_cast<const typename Source::Element*>(x.data) + position * x.position_stride + head * x.head_stride;
    size_t i = 0;
    for (; i + Vec::lanes <= n; i += Vec::lanes) Vec::store(out + i, Source::load(p + i));
    if (i < n) Vec::store_partial(out + i, Source::load_partial(p + i, n - i), n - i);
  });
}

// Rows [first, first + count) of a K/V head, dense.
void copy_rows(const TrainingAttentionArguments& a, const TrainingShape& s, const HeadsOperand& x, size_t kv_head,
               size_t first, size_t count, float* out) {
  for (size_t r = first; r < first + count; ++r, out += a.head_dim)
    copy_heads_row(out, x, r / s.group, kv_head * s.group + r % s.group, a.head_dim);
}
void copy_keys(const TrainingAttentionArguments& a, const HeadsOperand& x, size_t kv_head, size_t first, size_t count,
               float* out) {
  for (size_t j = first; j < first + count; ++j, out += a.head_dim) copy_heads_row(out, x, j, kv_head, a.head_dim);
}

// Dense rows in the micro-kernel's order of rows: [row block][head_dim][row].
void pack_as_rows(const float* dense, size_t rows, size_t head_dim, float* out) {
  const RowBlocks blocks(rows);
  for (size_t b = 0; b < blocks.count; ++b) {
    const size_t begin = blocks.begin(b) * head_dim, size = blocks.size(b);
    pack_rows<SingleUnits<F32Source>>({dense + begin, head_dim, 1, 0, head_dim}, size, out + begin, size, false);
  }
}
// As columns of a product over head_dim: [tile of rows][head_dim][column_tile].
void pack_as_columns(const float* dense, size_t rows, size_t head_dim, float* out) {
  for (size_t j = 0; j < rows; j += column_tile, out += head_dim * column_tile) {
    const size_t count = smaller(rows - j, column_tile);
    pack_rows<SingleUnits<F32Source>>({dense + j * head_dim, head_dim, 1, 0, head_dim}, count, out, column_tile, true);
    for (size_t empty = (count + Vec::lanes - 1) / Vec::lanes * Vec::lanes; empty < column_tile; empty += Vec::lanes)
      for (size_t d = 0; d < head_dim; ++d) Vec::store(out + d * column_tile + empty, Vec::zero());
  }
}
// As what is weighed by row: [tile of head_dim][row][column_tile].
void pack_as_values(const float* dense, size_t rows, size_t head_dim, float* out) {
  for (size_t d = 0; d < head_dim; d += column_tile)
    for (size_t j = 0; j < rows; ++j, out += column_tile)
      for (size_t part = 0; part < column_tile; part += Vec::lanes) {
        const size_t left = d + part < head_dim ? head_dim - d - part : 0;
        const float* p = dense + j * head_dim + d + part;
        Vec::store(out + part, left >= Vec::lanes ? Vec::load(p) : left > 0 ? Vec::load_partial(p, left) : Vec::zero());
      }
}

// scores[row][column] of packed rows against packed columns, over head_dim.
inline void block_products(size_t rows, size_t columns, size_t head_dim, const float* packed_rows, const float* packed_columns,
                           float* scores) {
  const RowBlocks blocks(rows);
  for (size_t b = 0; b < blocks.count; ++b) {
    const size_t begin = blocks.begin(b);
    micro_rows_dispatch<SingleMultiply, 1>(blocks.size(b), head_dim, packed_rows + begin * head_dim, packed_columns,
                                           head_dim * column_tile, scores + begin * score_stride, score_stride, columns, false);
  }
}
// sums[row][head_dim] += weights[row][count] * packed values[count][head_dim].
inline void add_weighted(size_t rows, size_t count, const TrainingShape& s, size_t head_dim, const float* weights,
                         const float* packed_values, float* sums) {
  const RowBlocks blocks(rows);
  for (size_t b = 0; b < blocks.count; ++b) {
    const size_t begin = blocks.begin(b);
    micro_rows_dispatch<SingleMultiply, score_stride>(blocks.size(b), count, weights + begin * score_stride, packed_values,
                                                      count * column_tile, sums + begin * s.padded, s.padded, head_dim, true);
  }
}

// What the rows of a block see together, and each of them. False where they see nothing.
struct BlockReach {
  SeenKeys rows[training_rows];
  size_t first, last;
  bool add(const TrainingAttentionArguments& a, const TrainingShape& s, size_t first_row, size_t count) {
    first = a.keys;
    last = 0;
    for (size_t r = 0; r < count; ++r) {
      const SeenKeys seen = rows[r] = seen_keys(a, (first_row + r) / s.group);
      if (seen.first == seen.last) continue;
      if (seen.first < first) first = seen.first;
      if (seen.last > last) last = seen.last;
    }
    return first < last;
  }
};

inline float scalar_logarithm(float x) {
  float lanes[Vec::lanes];
  Vec::store(lanes, logarithm(Vec::set(x)));
  return lanes[0];
}

void training_forward_item(const TrainingAttentionArguments& a, const TrainingShape& s, float* scratch, size_t head,
                           size_t block) {
  const size_t first_row = block * training_rows, rows = smaller(training_rows, s.rows - first_row);
  TrainingScratch area{scratch};
  float* dense = area.take(s.dense);
  float* queries = area.take(s.dense);
  float* keys = area.take(s.by_columns);
  float* values = area.take(s.by_values);
  float* scores = area.take(s.scores);
  float* sums = area.take(s.by_values);
  float tops[training_rows], totals[training_rows];
  BlockReach reach;
  const bool sees = reach.add(a, s, first_row, rows);
  copy_rows(a, s, a.q, head, first_row, rows, dense);
  pack_as_rows(dense, rows, a.head_dim, queries);
  fill_row(sums, 0.0f, rows * s.padded);
  fill_row(totals, 0.0f, rows);
  fill_row(tops, -__builtin_inff(), rows);
  for (size_t first = sees ? reach.first / key_block * key_block : a.keys; first < reach.last; first += key_block) {
    const size_t count = smaller(reach.last - first, key_block);
    copy_keys(a, a.k, head, first, count, dense);
    pack_as_columns(dense, count, a.head_dim, keys);
    block_products(rows, count, a.head_dim, queries, keys, scores);
    for (size_t r = 0; r < rows; ++r) {
      float* row = scores + r * score_stride;
      const size_t begin = smaller(reach.rows[r].first > first ? reach.rows[r].first - first : 0, count);
      const size_t end = reach.rows[r].last > first ? smaller(reach.rows[r].last - first, count) : 0;
      if (begin >= end) {
        fill_row(row, 0.0f, count);
        continue;
      }
      fill_row(row, 0.0f, begin);
      const float block_top = scaled_maximum(row + begin, a.scale, end - begin);
      const float top = tops[r] > block_top ? tops[r] : block_top;
      const float sum = exponentiate(row + begin, a.scale, top, end - begin, count - begin);
      if (top != tops[r] && totals[r] != 0.0f) {
        const float shrink = scalar_exponential(tops[r] - top);
        totals[r] *= shrink;
        BinaryRow<multiply>::vector_scalar(sums + r * s.padded, sums + r * s.padded, shrink, a.head_dim);
      }
      totals[r] += sum;
      tops[r] = top;
    }
    if (a.out == nullptr) continue;
    copy_keys(a, a.v, head, first, count, dense);
    pack_as_values(dense, count, a.head_dim, values);
    add_weighted(rows, count, s, a.head_dim, scores, values, sums);
  }
  for (size_t r = 0; r < rows; ++r) {
    const size_t position = (first_row + r) / s.group, own = head * s.group + (first_row + r) % s.group;
    if (a.out != nullptr)
      divide_row(a.out + position * a.out_position_stride + own * a.out_head_stride, sums + r * s.padded, totals[r], a.head_dim);
    if (a.log_sum_exp != nullptr)
      a.log_sum_exp[position * a.sum_position_stride + own * a.sum_head_stride] = tops[r] + scalar_logarithm(totals[r]);
  }
}

// By row: the logarithm of the softmax's sum, and sum(dO O), which every slope of the row has taken off.
void row_corrections(const TrainingAttentionArguments& a, const TrainingShape& s, size_t head, size_t first_row, size_t rows,
                     const float* cotangents, float* result, float* logs, float* corrections) {
  for (size_t r = 0; r < rows; ++r) {
    const size_t position = (first_row + r) / s.group, own = head * s.group + (first_row + r) % s.group;
    copy_heads_row(result, a.result, position, own, a.head_dim);
    corrections[r] = dot_row(cotangents + r * a.head_dim, result, a.head_dim);
    logs[r] = a.log_sum_exp[position * a.sum_position_stride + own * a.sum_head_stride];
  }
}

// The gradient of the queries of a block of rows: dQ = scale * sum over keys of P (dP - D) K.
void query_gradient_item(const TrainingAttentionArguments& a, const TrainingShape& s, float* scratch, size_t head,
                         size_t block) {
  const size_t first_row = block * training_rows, rows = smaller(training_rows, s.rows - first_row);
  TrainingScratch area{scratch};
  float* dense = area.take(s.dense);
  float* queries = area.take(s.dense);
  float* cotangents = area.take(s.dense);
  float* keys = area.take(s.by_columns);
  float* values = area.take(s.by_columns);
  float* weighed = area.take(s.by_values);
  float* scores = area.take(s.scores);
  float* changes = area.take(s.scores);
  float* sums = area.take(s.by_values);
  float* result = area.take(a.head_dim);
  float logs[training_rows], corrections[training_rows];
  BlockReach reach;
  const bool sees = reach.add(a, s, first_row, rows);
  copy_rows(a, s, a.q, head, first_row, rows, dense);
  pack_as_rows(dense, rows, a.head_dim, queries);
  copy_rows(a, s, a.cotangent, head, first_row, rows, dense);
  row_corrections(a, s, head, first_row, rows, dense, result, logs, corrections);
  pack_as_rows(dense, rows, a.head_dim, cotangents);
  fill_row(sums, 0.0f, rows * s.padded);
  const Vec::F32 scale = Vec::set(a.scale);
  for (size_t first = sees ? reach.first / key_block * key_block : a.keys; first < reach.last; first += key_block) {
    const size_t count = smaller(reach.last - first, key_block);
    copy_keys(a, a.v, head, first, count, dense);
    pack_as_columns(dense, count, a.head_dim, values);
    copy_keys(a, a.k, head, first, count, dense);
    pack_as_columns(dense, count, a.head_dim, keys);
    pack_as_values(dense, count, a.head_dim, weighed);
    block_products(rows, count, a.head_dim, queries, keys, scores);
    block_products(rows, count, a.head_dim, cotangents, values, changes);
    for (size_t r = 0; r < rows; ++r) {
      float* row = scores + r * score_stride;
      const float* change = changes + r * score_stride;
      const size_t begin = smaller(reach.rows[r].first > first ? reach.rows[r].first - first : 0, count);
      const size_t end = reach.rows[r].last > first ? smaller(reach.rows[r].last - first, count) : 0;
      if (begin >= end) {
        fill_row(row, 0.0f, count);
        continue;
      }
      const Vec::F32 shift = Vec::set(-logs[r]), correction = Vec::set(corrections[r]);
      for_each_vector(end - begin, [=](size_t i, size_t n) __attribute__((always_inline)) {
        const Vec::F32 weight = exponential(Vec::multiply_add(load_some(row + begin + i, n), scale, shift));
        const Vec::F32 slope = Vec::sub(load_some(change + begin + i, n), correction);
        store_some(row + begin + i, Vec::mul(Vec::mul(weight, slope), scale), n);
      });
      fill_row(row, 0.0f, begin);
      fill_row(row + end, 0.0f, count - end);
    }
    add_weighted(rows, count, s, a.head_dim, scores, weighed, sums);
  }
  for (size_t r = 0; r < rows; ++r) {
    const size_t position = (first_row + r) / s.group, own = head * s.group + (first_row + r) % s.group;
    copy_row(a.query_gradient + position * a.query_gradient_position_stride + own * a.query_gradient_head_stride,
             sums + r * s.padded, a.head_dim);
  }
}

// The gradients of a block of keys and their values: dV = P^T dO, dK = scale * (P (dP - D))^T Q. Scores stand the other
// way round here, keys by rows, so that both are products of what lies row by row.
void key_gradient_item(const TrainingAttentionArguments& a, const TrainingShape& s, float* scratch, size_t head,
                       size_t block) {
  const size_t first = block * key_block, count = smaller(key_block, a.keys - first);
  TrainingScratch area{scratch};
  float* dense = area.take(s.dense);
  float* keys = area.take(s.dense);
  float* values = area.take(s.dense);
  float* queries = area.take(s.by_columns);
  float* cotangents = area.take(s.by_columns);
  float* weighed = area.take(s.by_values);
  float* weighed_cotangents = area.take(s.by_values);
  float* scores = area.take(s.scores);
  float* changes = area.take(s.scores);
  float* key_sums = area.take(s.by_values);
  float* value_sums = area.take(s.by_values);
  float* result = area.take(a.head_dim);
  float logs[training_rows], corrections[training_rows], firsts[training_rows], lasts[training_rows];
  BlockReach reach;
  copy_keys(a, a.k, head, first, count, dense);
  pack_as_rows(dense, count, a.head_dim, keys);
  copy_keys(a, a.v, head, first, count, dense);
  pack_as_rows(dense, count, a.head_dim, values);
  fill_row(key_sums, 0.0f, count * s.padded);
  fill_row(value_sums, 0.0f, count * s.padded);
  const Vec::F32 scale = Vec::set(a.scale);
  // Queries before the first key of the block see none of it.
  const size_t first_query = a.causal && first > a.past ? first - a.past : 0;
  for (size_t row_block = first_query * s.group / training_rows; row_block < s.row_blocks; ++row_block) {
    const size_t first_row = row_block * training_rows, rows = smaller(training_rows, s.rows - first_row);
    if (!reach.add(a, s, first_row, rows) || reach.last <= first || reach.first >= first + count) continue;
    // Keys are counted from the block's first one, as f32: exact, for a block is short.
    for (size_t r = 0; r < rows; ++r) {
      const SeenKeys seen = reach.rows[r];
      firsts[r] = static_cast<float>(smaller(seen.first > first ? seen.first - first : 0, count));
      lasts[r] = static_cast<float>(smaller(seen.last > first ? seen.last - first : 0, count));
    }
    copy_rows(a, s, a.q, head, first_row, rows, dense);
    pack_as_columns(dense, rows, a.head_dim, queries);
    pack_as_values(dense, rows, a.head_dim, weighed);
    copy_rows(a, s, a.cotangent, head, first_row, rows, dense);
    row_corrections(a, s, head, first_row, rows, dense, result, logs, corrections);
    pack_as_columns(dense, rows, a.head_dim, cotangents);
    pack_as_values(dense, rows, a.head_dim, weighed_cotangents);
    block_products(count, rows, a.head_dim, keys, queries, scores);
    block_products(count, rows, a.head_dim, values, cotangents, changes);
    for (size_t j = 0; j < count; ++j) {
      float* weights = scores + j * score_stride;
      float* slopes = changes + j * score_stride;
      const Vec::F32 key = Vec::set(static_cast<float>(j));
      for_each_vector(rows, [&](size_t i, size_t n) __attribute__((always_inline)) {
        const Vec::F32 shifted = Vec::sub(Vec::mul(load_some(weights + i, n), scale), load_some(logs + i, n));
        const Vec::F32 zero = Vec::zero();
        // A hidden score may be larger than all that are seen: its exponential must not count, nor be infinite times 0.
        const Vec::F32 begun = Vec::choose(Vec::less_equal(load_some(firsts + i, n), key), exponential(shifted), zero);
        const Vec::F32 weight = Vec::choose(Vec::less(key, load_some(lasts + i, n)), begun, zero);
        const Vec::F32 slope = Vec::mul(Vec::mul(weight, Vec::sub(load_some(slopes + i, n), load_some(corrections + i, n))), scale);
        store_some(weights + i, weight, n);
        store_some(slopes + i, slope, n);
      });
    }
    add_weighted(count, rows, s, a.head_dim, scores, weighed_cotangents, value_sums);
    add_weighted(count, rows, s, a.head_dim, changes, weighed, key_sums);
  }
  for (size_t j = 0; j < count; ++j) {
    copy_row(a.key_gradient + (first + j) * a.key_gradient_position_stride + head * a.key_gradient_head_stride,
             key_sums + j * s.padded, a.head_dim);
    copy_row(a.value_gradient + (first + j) * a.value_gradient_position_stride + head * a.value_gradient_head_stride,
             value_sums + j * s.padded, a.head_dim);
  }
}

size_t attention_training_scratch_bytes(const TrainingAttentionArguments& a) {
  const TrainingShape s(a);
  // The largest of the three: that of keys and values.
  return (3 * whole_lines(s.dense) + 2 * whole_lines(s.by_columns) + 4 * whole_lines(s.by_values) + 2 * whole_lines(s.scores) +
          whole_lines(a.head_dim)) * sizeof(float);
}

size_t attention_forward_items(const TrainingAttentionArguments& a) { return a.kv_heads * TrainingShape(a).row_blocks; }

void attention_forward(const TrainingAttentionArguments& a, void* scratch, size_t item) {
  const TrainingShape shape(a);
  training_forward_item(a, shape, static_cast<float*>(scratch), item % a.kv_heads, item / a.kv_heads);
}

size_t attention_backward_items(const TrainingAttentionArguments& a) {
  const TrainingShape shape(a);
  return a.kv_heads * (shape.row_blocks + shape.key_blocks);
}

void attention_backward(const TrainingAttentionArguments& a, void* scratch, size_t item) {
  const TrainingShape shape(a);
  const size_t head = item % a.kv_heads, block = item / a.kv_heads;
  float* area = static_cast<float*>(scratch);
  if (block < shape.key_blocks) key_gradient_item(a, shape, area, head, block);
  else query_gradient_item(a, shape, area, head, block - shape.key_blocks);
}

}  // namespace
}  // namespace weft::cpu
