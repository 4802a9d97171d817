// Attention for many queries: blocks of queries against blocks of keys, with an online softmax (Dao et al. 2022,
// "FlashAttention").
//
// A work item is one K/V head and one block of queries; its rows are all query heads of that group (row = query * group
// + head in group), so a packed block of K and V serves all of them. Per block of keys: pack K and V; then per block of
// micro_rows rows: scores, softmax against the running maximum, rescale the sums, add the weighted values. Only keys
// that the block's last query sees are computed.
#pragma once

namespace weft::cpu {
namespace {

constexpr size_t key_block = 128;
constexpr size_t score_stride = key_block + 16;  // not a power of two: rows would share cache sets

struct PrefillShape {
  explicit PrefillShape(const AttentionArguments& a) {
    const size_t group = group_of(a), wanted = a.head_dim <= 128 ? 128 : 64;
    queries = group >= wanted ? 1 : wanted / group;
    rows = queries * group;
    blocks = (a.queries + queries - 1) / queries;
    head_stride = (a.head_dim + column_tile - 1) / column_tile * column_tile;
    packed_q = whole_lines(rows * a.head_dim);
    packed_k = key_block * a.head_dim;
    packed_v = key_block * head_stride;
    scores = whole_lines(rows * score_stride);
    sums = whole_lines(rows * head_stride);
  }
  size_t queries, rows, blocks;  // queries and rows of one item, items per head
  size_t head_stride;
  size_t packed_q, packed_k, packed_v, scores, sums;  // floats of scratch
};

size_t attention_prefill_items(const AttentionArguments& a) { return a.kv_heads * PrefillShape(a).blocks; }

size_t attention_prefill_scratch_bytes(const AttentionArguments& a) {
  const PrefillShape s(a);
  return (s.packed_q + s.packed_k + s.packed_v + s.scores + s.sums + 2 * whole_lines(s.rows)) * sizeof(float);
}

// K as [tile of keys][head_dim][column_tile], V as [tile of head_dim][keys][column_tile].
template <class Source>
void pack_keys_and_values(const AttentionArguments& a, size_t head, size_t first, size_t keys, float* k_out, float* v_out) {
  using Element = typename Source::Element;
  const auto* k = static_cast<const Element*>(a.k) + head * a.k_head_stride + first * a.k_position_stride;
  for (size_t j = 0; j < keys; j += column_tile, k_out += a.head_dim * column_tile) {
    const size_t rows = smaller(keys - j, column_tile);
    pack_rows<SingleUnits<Source>>({k + j * a.k_position_stride, a.k_position_stride, 1, 0, a.head_dim}, rows, k_out, column_tile, true);
    for (size_t empty = (rows + Vec::lanes - 1) / Vec::lanes * Vec::lanes; empty < column_tile; empty += Vec::lanes)
      for (size_t d = 0; d < a.head_dim; ++d) Vec::store(k_out + d * column_tile + empty, Vec::zero());
  }
  const auto* v = static_cast<const Element*>(a.v) + head * a.v_head_stride + first * a.v_position_stride;
  for (size_t j = 0; j < keys; ++j) {
    float* out = v_out + j * column_tile;
    for (size_t d = 0; d < a.head_dim; d += column_tile, out += keys * column_tile)
      for (size_t part = 0; part < column_tile; part += Vec::lanes) {
        const Element* p = v + j * a.v_position_stride + d + part;
        const size_t left = d + part < a.head_dim ? a.head_dim - d - part : 0;
        Vec::store(out + part, left >= Vec::lanes ? Source::load(p) : left > 0 ? Source::load_partial(p, left) : Vec::zero());
      }
  }
}

void prefill_item(const AttentionArguments& a, const PrefillShape& s, float* scratch, size_t head, size_t block) {
  const size_t group = group_of(a), first_query = block * s.queries;
  const size_t queries = smaller(s.queries, a.queries - first_query), rows = queries * group;
  float* packed_q = scratch;
  float* packed_k = packed_q + s.packed_q;
  float* packed_v = packed_k + s.packed_k;
  float* scores = packed_v + s.packed_v;
  float* sums = scores + s.scores;
  float* tops = sums + s.sums;
  float* totals = tops + whole_lines(s.rows);
  const RowBlocks row_blocks(rows);

  // Rows are not evenly spaced in q: copy them together (into `sums`, not yet in use), then pack.
  for (size_t r = 0; r < rows; ++r) copy_row(sums + r * a.head_dim, query_row(a, head, first_query * group + r), a.head_dim);
  for (size_t rb = 0; rb < row_blocks.count; ++rb) {
    const size_t begin = row_blocks.begin(rb) * a.head_dim, size = row_blocks.size(rb);
    pack_rows<SingleUnits<F32Source>>({sums + begin, a.head_dim, 1, 0, a.head_dim}, size, packed_q + begin, size, false);
  }
  const size_t limit = visible_keys(a, first_query + queries - 1);
  for (size_t first = 0; first < limit; first += key_block) {
    const size_t keys = smaller(limit - first, key_block);
    with_source(a.kv_type, [&](auto source) {
      pack_keys_and_values<decltype(source)>(a, head, first, keys, packed_k, packed_v);
    });
    for (size_t rb = 0; rb < row_blocks.count; ++rb) {
      const size_t begin = row_blocks.begin(rb), size = row_blocks.size(rb);
      const size_t seen = visible_keys(a, first_query + (begin + size - 1) / group);
      if (seen <= first) continue;
      const size_t visible = smaller(seen - first, keys);
      float* block_scores = scores + begin * score_stride;
      micro_rows_dispatch<SingleMultiply, 1>(size, a.head_dim, packed_q + begin * a.head_dim, packed_k, a.head_dim * column_tile,
                                             block_scores, score_stride, visible, false);
      for (size_t r = begin; r < begin + size; ++r) {
        const size_t row_seen = visible_keys(a, first_query + r / group);
        const size_t row_visible = row_seen <= first ? 0 : smaller(row_seen - first, visible);
        float* row = scores + r * score_stride;
        const float block_top = scaled_maximum(row, a.scale, row_visible);
        if (first == 0) {
          tops[r] = block_top;
          totals[r] = exponentiate(row, a.scale, block_top, row_visible, visible);
          continue;
        }
        const float top = tops[r] > block_top ? tops[r] : block_top;
        const float sum = exponentiate(row, a.scale, top, row_visible, visible);
        if (top != tops[r]) {
          const float shrink = scalar_exponential(tops[r] - top);
          totals[r] *= shrink;
          BinaryRow<multiply>::vector_scalar(sums + r * s.head_stride, sums + r * s.head_stride, shrink, a.head_dim);
        }
        totals[r] += sum;
        tops[r] = top;
      }
      micro_rows_dispatch<SingleMultiply, score_stride>(size, visible, block_scores, packed_v, keys * column_tile,
                                                        sums + begin * s.head_stride, s.head_stride, a.head_dim, first > 0);
    }
  }
  for (size_t r = 0; r < rows; ++r) {
    float* out = output_row(a, head, first_query * group + r);
    if (limit == 0) fill_row(out, 0.0f, a.head_dim);
    else divide_row(out, sums + r * s.head_stride, totals[r], a.head_dim);
  }
}

void attention_prefill(const AttentionArguments& a, void* scratch, size_t item_begin, size_t item_end) {
  const PrefillShape shape(a);
  for (size_t item = item_begin; item < item_end; ++item) {
    // Last queries first: they see the most keys, and short items at the end even out the threads.
    prefill_item(a, shape, static_cast<float*>(scratch), item % a.kv_heads, shape.blocks - 1 - item / a.kv_heads);
  }
}

bool prefer_attention_decode(const AttentionArguments& a) { return a.queries * group_of(a) <= 16; }

}  // namespace
}  // namespace weft::cpu
