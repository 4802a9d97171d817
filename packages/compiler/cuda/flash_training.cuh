// Attention's backward direction on tensor cores. Rows are queries of one head; those of the heads that share keys lie
// side by side. First a block takes 64 rows through the keys that they see, for the gradient of the queries; then a block
// takes 64 keys through all rows that see them, in order, for those of keys and values. Scores are computed again in both.
// Queries, keys, values, cotangents, weights and slopes are bf16, everything else is f32.
#pragma once

template <i32 head_dim, i32 group_heads, bool has_starts>
struct FlashBackShape {
  static constexpr i32 dim = head_dim;
  static constexpr i32 group = group_heads;
  static constexpr bool starts = has_starts;
  // Of the block itself, 16 for each of four warps.
  static constexpr i32 rows = 64;
  // Of the tiles that it goes through: keys, or rows.
  static constexpr i32 keys = 32;
  static constexpr i32 threads = 128;
  // Eight elements more than a row keep the eight rows of a matrix in different banks.
  static constexpr i32 pitch = dim + 8;
  static constexpr i32 own = rows * pitch;
  static constexpr i32 tile = keys * pitch;
  // Two matrices of the block, and two of the tile at work and of the next one.
  static constexpr i32 elements = 2 * own + 4 * tile;
  static constexpr i32 pieces = dim / 8;
};

// Products of a warp's 16 rows of the matrix at `own` with the rows of the one at `tile`.
template <typename S>
DEVICE void tile_products(float (&sums)[S::keys / 8][4], Shared<bf16> shared, i32 own, i32 tile) {
  const i32 lane = lane_index();
#pragma unroll
  for (i32 j = 0; j < S::keys / 8; ++j) {
#pragma unroll
    for (i32 e = 0; e < 4; ++e) sums[j][e] = 0.0f;
  }
#pragma unroll
  for (i32 k = 0; k < S::dim / 16; ++k) {
    u32 a[4];
    load_matrix4(a, shared, own + (16 * warp_index() + (lane & 15)) * S::pitch + 16 * k + 8 * (lane >> 4));
#pragma unroll
    for (i32 j = 0; j < S::keys / 16; ++j) {
      u32 b[4];
      const i32 row = 16 * j + (lane & 7) + 8 * (lane >> 4);
      load_matrix4(b, shared, tile + row * S::pitch + 16 * k + 8 * ((lane >> 3) & 1));
      const u32 first[2] = {b[0], b[1]};
      const u32 second[2] = {b[2], b[3]};
      mma_16816(sums[2 * j], a, first);
      mma_16816(sums[2 * j + 1], a, second);
    }
  }
}

// What both directions know of the rows: how many there are, and which keys they see.
struct FlashRows {
  i64 count;
  i64 keys;
  // Query i sees keys below min(keys, sight + i).
  i64 sight;
  i64 kv_head;
  float scale;
};

// Of a launch's scratch: the rows' cotangents in bf16, [key head][row][dim], and the sums of dO O, [key head][row].
struct FlashKept {
  Global<bf16> cotangents;
  Global<float> corrections;
};

template <typename S, typename T>
DEVICE i64 row_index(const HeadsOf<T>& from, i64 row, i64 kv_head) {
  return index_of(from.place, row / S::group, kv_head * S::group + row % S::group);
}

// The block's cotangents, rounded, to shared memory at `to` and to scratch, and the sum of dO O of each row.
template <typename S>
DEVICE void keep_cotangents(Shared<bf16> shared, i32 to, Shared<float> corrections, const HeadsOf<float>& results,
                            const HeadsOf<float>& cotangents, const FlashRows& rows, i64 first_row, FlashKept kept) {
  constexpr i32 sharers = S::threads / S::rows;
  const i32 own = thread_index() / sharers;
  const i64 row = first_row + own;
  float sum = 0.0f;
  for (i32 piece = thread_index() % sharers; piece < S::pieces; piece += sharers) {
    Piece<8> cotangent = spread<8>(0.0f);
    if (row < rows.count) {
      cotangent = load_piece<float, 8>(cotangents.view, row_index<S>(cotangents, row, rows.kv_head) + 8 * piece);
      const Piece<8> result = load_piece<float, 8>(results.view, row_index<S>(results, row, rows.kv_head) + 8 * piece);
#pragma unroll
      for (i32 i = 0; i < 8; ++i) sum = fmaf(cotangent.at[i], result.at[i], sum);
      store_piece<bf16, 8>(kept.cotangents, (rows.kv_head * rows.count + row) * S::dim + 8 * piece, cotangent);
    }
    store_piece<bf16, 8>(shared, to + own * S::pitch + 8 * piece, cotangent);
  }
#pragma unroll
  for (i32 mask = 1; mask < sharers; mask <<= 1) sum += shuffle_xor(sum, mask);
  if (thread_index() % sharers != 0) return;
  store(corrections, own, sum);
  if (row < rows.count) store(kept.corrections, rows.kv_head * rows.count + row, sum);
}

// The gradient of 64 rows of queries. `first_of(query)`: the first key that it sees; `sum_of(row)`: what forward gave.
template <typename S, typename First, typename SumOf>
DEVICE void query_gradient_flash(const HeadsOf<bf16>& queries, const HeadsOf<bf16>& keys, const HeadsOf<bf16>& values,
                                 const HeadsOf<float>& results, const HeadsOf<float>& cotangents,
                                 const HeadsOf<float>& gradients, const FlashRows& rows, i64 first_row, FlashKept kept,
                                 First first_of, SumOf sum_of) {
  const i32 lane = lane_index();
  const Shared<bf16> shared = shared_at<bf16>(0, S::elements);
  const Shared<float> corrections = shared_at<float>(2 * S::elements, S::rows);

  const i64 last_row = first_row + S::rows - 1 < rows.count ? first_row + S::rows - 1 : rows.count - 1;
  const i64 last_sight = rows.sight + last_row / S::group;
  const i64 seen = last_sight < rows.keys ? last_sight : rows.keys;
  const i32 tiles = static_cast<i32>((seen + S::keys - 1) / S::keys);
  i32 first_tile = 0;
  if constexpr (S::starts) first_tile = static_cast<i32>(least_first<S>(first_row, rows.count, first_of) / S::keys);
  const auto fetch = [&](i32 tile) {
    if (tile < tiles) {
      const i32 base = 2 * S::own + (tile & 1) * 2 * S::tile;
      for (i32 item = thread_index(); item < S::keys * S::pieces; item += S::threads) {
        const i64 key = static_cast<i64>(tile) * S::keys + item / S::pieces;
        const i32 at = base + (item / S::pieces) * S::pitch + 8 * (item % S::pieces);
        const bool valid = key < seen;
        const i64 from = valid ? key : 0;
        copy16_async(shared, at, keys.view, index_of(keys.place, from, rows.kv_head) + 8 * (item % S::pieces), valid);
        copy16_async(shared, at + S::tile, values.view,
                     index_of(values.place, from, rows.kv_head) + 8 * (item % S::pieces), valid);
      }
    }
    commit_copies();
  };
  for (i32 item = thread_index(); item < S::rows * S::pieces; item += S::threads) {
    const i64 row = first_row + item / S::pieces;
    const bool valid = row < rows.count;
    copy16_async(shared, (item / S::pieces) * S::pitch + 8 * (item % S::pieces), queries.view,
                 valid ? row_index<S>(queries, row, rows.kv_head) + 8 * (item % S::pieces) : 0, valid);
  }
  fetch(first_tile);
  keep_cotangents<S>(shared, S::own, corrections, results, cotangents, rows, first_row, kept);
  sync_block();

  const i32 own = 16 * warp_index() + (lane >> 2);
  const float octaves = 1.4426950408889634f;
  float log_sum[2], correction[2];
  i64 own_sight[2], own_first[2];
#pragma unroll
  for (i32 half = 0; half < 2; ++half) {
    const i64 row = first_row + own + 8 * half;
    const bool valid = row < rows.count;
    log_sum[half] = valid ? sum_of(row) * octaves : 0.0f;
    correction[half] = load(corrections, own + 8 * half);
    own_sight[half] = valid ? rows.sight + row / S::group : 0;
    own_first[half] = S::starts && valid ? first_of(row / S::group) : 0;
  }
  float gradient[S::dim / 8][4] = {};
  for (i32 tile = first_tile; tile < tiles; ++tile) {
    fetch(tile + 1);
    wait_copies<1>();
    sync_block();
    const i32 base = 2 * S::own + (tile & 1) * 2 * S::tile;
    float scores[S::keys / 8][4], slopes[S::keys / 8][4];
    tile_products<S>(scores, shared, 0, base);
    tile_products<S>(slopes, shared, S::own, base + S::tile);
#pragma unroll
    for (i32 j = 0; j < S::keys / 8; ++j) {
#pragma unroll
      for (i32 e = 0; e < 4; ++e) {
        const i32 half = e >> 1;
        const i64 key = static_cast<i64>(tile) * S::keys + 8 * j + 2 * (lane & 3) + (e & 1);
        const bool visible = key < seen && key < own_sight[half] && key >= own_first[half];
        const float weight = visible ? exp2f(scores[j][e] * (rows.scale * octaves) - log_sum[half]) : 0.0f;
        slopes[j][e] = weight * (slopes[j][e] - correction[half]) * rows.scale;
      }
    }
    flash_values<S>(gradient, slopes, shared, base);
    // The next but one tile comes where this one lies.
    sync_block();
  }
  wait_copies<0>();

#pragma unroll
  for (i32 half = 0; half < 2; ++half) {
    const i64 row = first_row + own + 8 * half;
    if (row >= rows.count) continue;
    const i64 at = row_index<S>(gradients, row, rows.kv_head) + 2 * (lane & 3);
#pragma unroll
    for (i32 j = 0; j < S::dim / 8; ++j) {
      const Piece<2> piece = {{gradient[j][2 * half], gradient[j][2 * half + 1]}};
      store_piece<float, 2>(gradients.view, at + 8 * j, piece);
    }
  }
}

// The last query, counted from `first` on, that sees a key up to `last_key`; -1 for none. For all lanes.
template <typename First>
DEVICE i64 last_to_see(i64 first, i64 queries, i64 last_key, First first_of) {
  i32 most = -1;
  for (i64 query = first + lane_index(); query < queries; query += 32)
    if (first_of(query) <= last_key) most = static_cast<i32>(query);
#pragma unroll
  for (i32 mask = 16; mask > 0; mask >>= 1) {
    const i32 other = shuffle_xor(most, mask);
    most = other > most ? other : most;
  }
  return most;
}

// The gradients of 64 keys and their values. What is kept of the rows is there.
template <typename S, typename First, typename SumOf>
DEVICE void key_gradients_flash(const HeadsOf<bf16>& queries, const HeadsOf<bf16>& keys, const HeadsOf<bf16>& values,
                                const HeadsOf<float>& key_gradients, const HeadsOf<float>& value_gradients,
                                const FlashRows& rows, i64 first_key, FlashKept kept, First first_of, SumOf sum_of) {
  const i32 lane = lane_index();
  const float octaves = 1.4426950408889634f;
  const Shared<bf16> shared = shared_at<bf16>(0, S::elements);
  // Of the rows of two tiles: sum in octaves, correction; and the first key that they see.
  const Shared<float> numbers = shared_at<float>(2 * S::elements, 4 * S::keys);
  const Shared<i32> firsts = shared_at<i32>(2 * S::elements + 16 * S::keys, 2 * S::keys);

  const i64 sees_first = first_key + 1 - rows.sight;
  const i64 first_query = sees_first > 0 ? sees_first : 0;
  i64 end_row = rows.count;
  if constexpr (S::starts)
    end_row = (last_to_see(first_query, rows.count / S::group, first_key + S::rows - 1, first_of) + 1) * S::group;
  const i32 first_tile = static_cast<i32>(first_query * S::group / S::keys);
  const i32 tiles = static_cast<i32>((end_row + S::keys - 1) / S::keys);
  const auto fetch = [&](i32 tile) {
    if (tile < tiles) {
      const i32 slot = tile & 1;
      const i32 base = 2 * S::own + slot * 2 * S::tile;
      const i64 first_row = static_cast<i64>(tile) * S::keys;
      for (i32 item = thread_index(); item < S::keys * S::pieces; item += S::threads) {
        const i64 row = first_row + item / S::pieces;
        const i32 at = base + (item / S::pieces) * S::pitch + 8 * (item % S::pieces);
        const bool valid = row < rows.count;
        const i64 from = valid ? row : 0;
        copy16_async(shared, at, queries.view, row_index<S>(queries, from, rows.kv_head) + 8 * (item % S::pieces), valid);
        copy16_async(shared, at + S::tile, kept.cotangents,
                     (rows.kv_head * rows.count + from) * S::dim + 8 * (item % S::pieces), valid);
      }
      if (thread_index() < S::keys) {
        const i64 row = first_row + thread_index();
        const bool valid = row < rows.count;
        store(numbers, 2 * S::keys * slot + thread_index(), valid ? sum_of(row) * octaves : 0.0f);
        store(numbers, 2 * S::keys * slot + S::keys + thread_index(),
              valid ? load(kept.corrections, rows.kv_head * rows.count + row) : 0.0f);
        const i32 first = S::starts && valid ? static_cast<i32>(first_of(row / S::group)) : 0;
        // No key is so far behind.
        store(firsts, S::keys * slot + thread_index(), valid ? first : 0x7fffffff);
      }
    }
    commit_copies();
  };
  for (i32 item = thread_index(); item < S::rows * S::pieces; item += S::threads) {
    const i64 key = first_key + item / S::pieces;
    const i32 at = (item / S::pieces) * S::pitch + 8 * (item % S::pieces);
    const bool valid = key < rows.keys;
    const i64 from = valid ? key : 0;
    copy16_async(shared, at, keys.view, index_of(keys.place, from, rows.kv_head) + 8 * (item % S::pieces), valid);
    copy16_async(shared, S::own + at, values.view, index_of(values.place, from, rows.kv_head) + 8 * (item % S::pieces), valid);
  }
  fetch(first_tile);

  const i64 own_key = first_key + 16 * warp_index() + (lane >> 2);
  float of_key[S::dim / 8][4] = {};
  float of_value[S::dim / 8][4] = {};
  for (i32 tile = first_tile; tile < tiles; ++tile) {
    fetch(tile + 1);
    wait_copies<1>();
    sync_block();
    const i32 slot = tile & 1;
    const i32 base = 2 * S::own + slot * 2 * S::tile;
    float weights[S::keys / 8][4];
    tile_products<S>(weights, shared, 0, base);
#pragma unroll
    for (i32 j = 0; j < S::keys / 8; ++j) {
#pragma unroll
      for (i32 e = 0; e < 4; ++e) {
        const i32 column = 8 * j + 2 * (lane & 3) + (e & 1);
        const i64 key = own_key + 8 * (e >> 1);
        const i64 sight = rows.sight + (static_cast<i64>(tile) * S::keys + column) / S::group;
        const bool visible = key < rows.keys && key < sight && key >= load(firsts, S::keys * slot + column);
        const float log_sum = load(numbers, 2 * S::keys * slot + column);
        weights[j][e] = visible ? exp2f(weights[j][e] * (rows.scale * octaves) - log_sum) : 0.0f;
      }
    }
    flash_values<S>(of_value, weights, shared, base + S::tile);
    float slopes[S::keys / 8][4];
    tile_products<S>(slopes, shared, S::own, base + S::tile);
#pragma unroll
    for (i32 j = 0; j < S::keys / 8; ++j) {
#pragma unroll
      for (i32 e = 0; e < 4; ++e) {
        const i32 column = 8 * j + 2 * (lane & 3) + (e & 1);
        const float correction = load(numbers, 2 * S::keys * slot + S::keys + column);
        slopes[j][e] = weights[j][e] * (slopes[j][e] - correction) * rows.scale;
      }
    }
    flash_values<S>(of_key, slopes, shared, base);
    // The next but one tile comes where this one lies.
    sync_block();
  }
  wait_copies<0>();

#pragma unroll
  for (i32 half = 0; half < 2; ++half) {
    const i64 key = own_key + 8 * half;
    if (key >= rows.keys) continue;
    const i64 of_k = index_of(key_gradients.place, key, rows.kv_head) + 2 * (lane & 3);
    const i64 of_v = index_of(value_gradients.place, key, rows.kv_head) + 2 * (lane & 3);
#pragma unroll
    for (i32 j = 0; j < S::dim / 8; ++j) {
      const Piece<2> key_piece = {{of_key[j][2 * half], of_key[j][2 * half + 1]}};
      const Piece<2> value_piece = {{of_value[j][2 * half], of_value[j][2 * half + 1]}};
      store_piece<float, 2>(key_gradients.view, of_k + 8 * j, key_piece);
      store_piece<float, 2>(value_gradients.view, of_v + 8 * j, value_piece);
    }
  }
}
