// Grouped-query attention with online softmax in f32: softmax(scale * q k^T + mask) v, over a cache of keys and values.
#pragma once

// Where element 0 of (position, head) lies; a head's elements are contiguous.
struct HeadsPlace {
  i64 offset;
  i64 position;
  i64 head;
};
DEVICE i64 index_of(const HeadsPlace& place, i64 position, i64 head) {
  return place.offset + position * place.position + head * place.head;
}

// Softmax-weighted values that several threads see parts of: the largest score, the sum of exp(score - largest), and
// the values weighted by it. Parts are joined by bringing both to the larger of the two.
DEVICE float rescale(float largest, float joined) {
  // Of nothing seen yet nothing is left, whatever was seen since.
  return largest == float_of(0xff800000u) ? 0.0f : expf(largest - joined);
}

// One block: the queries of `group` heads that share a key head, against keys [first, last).
//
// Keys are dealt out to the warps; `lanes` lanes take one key together, `each` elements a lane, so a warp works on
// 32 / lanes keys at a time. Each of them keeps its own softmax until the end, when they are joined: over the warp by
// shuffles, over the block in shared memory, over blocks (splits of the keys) in scratch by the block that ends last.
// `whole`: every lane's elements lie in one head and at a multiple of their size; otherwise they are read one by one.
template <i32 group_heads, i32 head_dim, i32 element_count, bool whole_pieces, i32 block_warps>
struct SplitShape {
  static constexpr i32 group = group_heads;
  static constexpr i32 dim = head_dim;
  static constexpr i32 each = element_count;
  static constexpr bool whole = whole_pieces;
  static constexpr i32 warps = block_warps;
  static constexpr i32 lanes_needed = (dim + each - 1) / each;
  static constexpr i32 lanes = lanes_needed <= 1    ? 1
                               : lanes_needed <= 2  ? 2
                               : lanes_needed <= 4  ? 4
                               : lanes_needed <= 8  ? 8
                               : lanes_needed <= 16 ? 16
                                                    : 32;
  static constexpr i32 keys_at_once = 32 / lanes;
  // Largest, sum and values of one head.
  static constexpr i32 record = dim + 2;
};

template <typename S>
struct SplitState {
  float query[S::group][S::each];
  float values[S::group][S::each];
  float largest[S::group];
  float sum[S::group];
};

// A lane's elements of a head, the first of them at `index`; 0 beyond the head.
template <typename S, typename T>
DEVICE Piece<S::each> load_elements(Global<T> view, i64 index, i32 element) {
  if constexpr (S::whole) {
    return load_piece<T, S::each>(view, index);
  } else {
    Piece<S::each> result;
#pragma unroll
    for (i32 i = 0; i < S::each; ++i) result.at[i] = element + i < S::dim ? widen(load(view, index + i)) : 0.0f;
    return result;
  }
}

template <typename S, typename K, typename V>
DEVICE void attend_keys(SplitState<S>& state, Global<K> keys, const HeadsPlace& key_place, Global<V> values,
                        const HeadsPlace& value_place, i64 kv_head, i64 first, i64 last) {
  const i32 part = lane_index() % S::lanes;
  const i32 element = part * S::each;
  const bool has_elements = element < S::dim;
  constexpr i64 step = S::keys_at_once;
  for (i64 base = first + warp_index() * step; base < last; base += S::warps * step) {
    const i64 key = base + lane_index() / S::lanes;
    const bool valid = key < last;
    Piece<S::each> k = spread<S::each>(0.0f);
    Piece<S::each> v = spread<S::each>(0.0f);
    if (valid && has_elements) {
      k = load_elements<S>(keys, index_of(key_place, key, kv_head) + element, element);
      v = load_elements<S>(values, index_of(value_place, key, kv_head) + element, element);
    }
#pragma unroll
    for (i32 head = 0; head < S::group; ++head) {
      float score = 0.0f;
#pragma unroll
      for (i32 i = 0; i < S::each; ++i) score = fmaf(state.query[head][i], k.at[i], score);
#pragma unroll
      for (i32 mask = S::lanes / 2; mask > 0; mask /= 2) score += shuffle_xor(score, mask);
      if (valid) {
        const float largest = max_of(state.largest[head], score);
        const float old = rescale(state.largest[head], largest);
        const float weight = expf(score - largest);
        state.largest[head] = largest;
        state.sum[head] = state.sum[head] * old + weight;
#pragma unroll
        for (i32 i = 0; i < S::each; ++i) state.values[head][i] = fmaf(weight, v.at[i], state.values[head][i] * old);
      }
    }
  }
}

// Over the lanes of a warp that hold the same elements.
template <typename S>
DEVICE void join_lanes(SplitState<S>& state) {
#pragma unroll
  for (i32 mask = S::lanes; mask < 32; mask *= 2) {
#pragma unroll
    for (i32 head = 0; head < S::group; ++head) {
      const float other = shuffle_xor(state.largest[head], mask);
      const float largest = max_of(state.largest[head], other);
      const float own_scale = rescale(state.largest[head], largest);
      const float other_scale = rescale(other, largest);
      state.largest[head] = largest;
      state.sum[head] = state.sum[head] * own_scale + shuffle_xor(state.sum[head], mask) * other_scale;
#pragma unroll
      for (i32 i = 0; i < S::each; ++i) {
        const float value = shuffle_xor(state.values[head][i], mask);
        state.values[head][i] = state.values[head][i] * own_scale + value * other_scale;
      }
    }
  }
}

// The parts of one head, `count` of them, `record` elements apart, joined at element `i`: values and sum.
template <typename Read>
DEVICE float joined_value(Read read, i32 count, i32 dim, i32 i) {
  float largest = read(0, dim);
  for (i32 part = 1; part < count; ++part) largest = max_of(largest, read(part, dim));
  float sum = 0.0f;
  float value = 0.0f;
  for (i32 part = 0; part < count; ++part) {
    const float scale = rescale(read(part, dim), largest);
    sum += scale * read(part, dim + 1);
    value += scale * read(part, i);
  }
  return i == dim ? largest : i == dim + 1 ? sum : value;
}

// `query` counts positions of this run, `head_group` the groups of heads. `splits` blocks share the keys of one query.
template <typename S, typename Q, typename K, typename V, typename O>
DEVICE void attend_split(Global<Q> queries, const HeadsPlace& query_place, Global<K> keys, const HeadsPlace& key_place,
                         Global<V> values, const HeadsPlace& value_place, Global<O> out, const HeadsPlace& out_place,
                         i64 query, i32 head_group, i32 kv_head, i32 seen, float scale, i32 split, i32 splits,
                         Global<float> scratch, Global<u32> tickets, i64 ticket) {
  const Shared<float> parts = shared_at<float>(0, S::warps * S::group * S::record);
  const Shared<u32> flag = shared_at<u32>((4 * S::warps * S::group * S::record + 15) / 16 * 16, 1);
  const i32 part = lane_index() % S::lanes;
  const i32 element = part * S::each;

  SplitState<S> state;
#pragma unroll
  for (i32 head = 0; head < S::group; ++head) {
    state.largest[head] = float_of(0xff800000u);
    state.sum[head] = 0.0f;
#pragma unroll
    for (i32 i = 0; i < S::each; ++i) {
      const bool inside = element + i < S::dim;
      const i64 at = index_of(query_place, query, head_group * S::group + head) + element + i;
      state.query[head][i] = inside ? scale * widen(load(queries, at)) : 0.0f;
      state.values[head][i] = 0.0f;
    }
  }
  const Range own = share_of(seen, split, splits);
  attend_keys<S>(state, keys, key_place, values, value_place, kv_head, own.first, own.last);
  join_lanes<S>(state);

  if (lane_index() < S::lanes) {
#pragma unroll
    for (i32 head = 0; head < S::group; ++head) {
      const i32 at = (warp_index() * S::group + head) * S::record;
#pragma unroll
      for (i32 i = 0; i < S::each; ++i)
        if (element + i < S::dim) store(parts, at + element + i, state.values[head][i]);
      if (part == 0) {
        store(parts, at + S::dim, state.largest[head]);
        store(parts, at + S::dim + 1, state.sum[head]);
      }
    }
  }
  sync_block();

  const auto of_warps = [&](i32 head) {
    return [=](i32 warp, i32 i) { return load(parts, (warp * S::group + head) * S::record + i); };
  };
  const auto finish = [&](i32 head, i32 i, auto read, i32 count) {
    const float value = joined_value(read, count, S::dim, i) / joined_value(read, count, S::dim, S::dim + 1);
    store(out, index_of(out_place, query, head_group * S::group + head) + i, Narrow<O>::of(value));
  };
  if (splits == 1) {
    for (i32 at = thread_index(); at < S::group * S::dim; at += thread_count())
      finish(at / S::dim, at % S::dim, of_warps(at / S::dim), S::warps);
    return;
  }
  constexpr i32 records = S::group * S::record;
  for (i32 at = thread_index(); at < records; at += thread_count())
    store(scratch, static_cast<i64>(split) * records + at, joined_value(of_warps(at / S::record), S::warps, S::dim, at % S::record));
  if (!arrive_last(tickets, ticket, 1u, static_cast<u32>(splits), flag)) return;
  for (i32 at = thread_index(); at < S::group * S::dim; at += thread_count()) {
    const i32 head = at / S::dim;
    const auto of_splits = [&](i32 other, i32 i) {
      return load_fresh(scratch, static_cast<i64>(other) * records + head * S::record + i);
    };
    finish(head, at % S::dim, of_splits, splits);
  }
}
