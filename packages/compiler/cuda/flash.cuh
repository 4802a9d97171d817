// Attention of many queries on tensor cores, without a matrix of scores in memory. A block takes 64 rows, each a query of
// one head; heads that share keys lie side by side, so that every key is read once for all of them. Each of four warps
// owns 16 rows and sees all keys. Queries and weights are rounded to bf16, everything else is f32.
#pragma once

template <i32 head_dim, i32 group_heads, bool has_starts = false>
struct FlashShape {
  static constexpr i32 dim = head_dim;
  static constexpr i32 group = group_heads;
  // Whether queries see the keys from a place of their own on, or all from the first.
  static constexpr bool starts = has_starts;
  static constexpr i32 rows = 64;
  static constexpr i32 keys = 64;
  static constexpr i32 threads = 128;
  // Eight elements more than a row keep the eight rows of a matrix in different banks.
  static constexpr i32 pitch = dim + 8;
  static constexpr i32 tile = keys * pitch;
  // Keys and values of the tile at work and of the next one, behind the queries.
  static constexpr i32 elements = rows * pitch + 4 * tile;
};

DEVICE u32 packed(float low, float high) {
  return narrow_bf16(low).bits | static_cast<u32>(narrow_bf16(high).bits) << 16;
}

// Scores of a warp's 16 rows against the keys of a tile.
template <typename S>
DEVICE void flash_scores(float (&scores)[S::keys / 8][4], const u32 (&query)[S::dim / 16][4], Shared<bf16> shared,
                         i32 key_tile) {
  const i32 lane = lane_index();
#pragma unroll
  for (i32 j = 0; j < S::keys / 8; ++j) {
#pragma unroll
    for (i32 e = 0; e < 4; ++e) scores[j][e] = 0.0f;
  }
#pragma unroll
  for (i32 k = 0; k < S::dim / 16; ++k) {
#pragma unroll
    for (i32 j = 0; j < S::keys / 16; ++j) {
      u32 b[4];
      const i32 key = 16 * j + (lane & 7) + 8 * (lane >> 4);
      load_matrix4(b, shared, key_tile + key * S::pitch + 16 * k + 8 * ((lane >> 3) & 1));
      const u32 first[2] = {b[0], b[1]};
      const u32 second[2] = {b[2], b[3]};
      mma_16816(scores[2 * j], query[k], first);
      mma_16816(scores[2 * j + 1], query[k], second);
    }
  }
}

// Adds the weighted values of a tile.
template <typename S>
DEVICE void flash_values(float (&out)[S::dim / 8][4], const float (&weights)[S::keys / 8][4], Shared<bf16> shared,
                         i32 value_tile) {
  const i32 lane = lane_index();
#pragma unroll
  for (i32 k = 0; k < S::keys / 16; ++k) {
    // The sums of one product lie as the next one wants its left side.
    const u32 a[4] = {packed(weights[2 * k][0], weights[2 * k][1]), packed(weights[2 * k][2], weights[2 * k][3]),
                      packed(weights[2 * k + 1][0], weights[2 * k + 1][1]),
                      packed(weights[2 * k + 1][2], weights[2 * k + 1][3])};
#pragma unroll
    for (i32 j = 0; j < S::dim / 16; ++j) {
      u32 b[4];
      const i32 key = 16 * k + (lane & 15);
      load_matrix4_transposed(b, shared, value_tile + key * S::pitch + 16 * j + 8 * (lane >> 4));
      const u32 first[2] = {b[0], b[1]};
      const u32 second[2] = {b[2], b[3]};
      mma_16816(out[2 * j], a, first);
      mma_16816(out[2 * j + 1], a, second);
    }
  }
}

// The first key that any of a block's rows sees; for all lanes of every warp.
template <typename S, typename First>
DEVICE i64 least_first(i64 first_row, i64 row_count, First first_of) {
  i32 least = 0x7fffffff;
  for (i64 row = first_row + lane_index(); row < first_row + S::rows && row < row_count; row += 32) {
    const i32 first = static_cast<i32>(first_of(row / S::group));
    least = first < least ? first : least;
  }
#pragma unroll
  for (i32 mask = 16; mask > 0; mask >>= 1) {
    const i32 other = shuffle_xor(least, mask);
    least = other < least ? other : least;
  }
  return least;
}

// `first_row` counts rows (query * group + head of the group). Query i sees the keys from `first_of(i)` on below
// min(keys, sight + i). `keep(row, log of the sum of exponentials)` is called once for each row.
template <typename S, typename Q, typename O, typename First, typename Keep>
DEVICE void attend_flash(Global<Q> queries, const HeadsPlace& query_place, Global<bf16> keys, const HeadsPlace& key_place,
                         Global<bf16> values, const HeadsPlace& value_place, Global<O> out, const HeadsPlace& out_place,
                         i64 first_row, i64 row_count, i64 kv_head, i64 key_count, i64 sight, float scale, First first_of,
                         Keep keep) {
  const i32 thread = thread_index();
  const i32 lane = lane_index();
  const Shared<bf16> shared = shared_at<bf16>(0, S::elements);
  constexpr i32 pieces = S::dim / 8;

  for (i32 item = thread; item < S::rows * pieces; item += S::threads) {
    const i64 row = first_row + item / pieces;
    Piece<8> piece = spread<8>(0.0f);
    if (row < row_count) {
      const i64 head = kv_head * S::group + row % S::group;
      piece = load_piece<Q, 8>(queries, index_of(query_place, row / S::group, head) + 8 * (item % pieces));
    }
    store_piece<bf16, 8>(shared, (item / pieces) * S::pitch + 8 * (item % pieces), piece);
  }

  const i64 last_row = first_row + S::rows - 1 < row_count ? first_row + S::rows - 1 : row_count - 1;
  const i64 last_sight = sight + last_row / S::group;
  const i64 seen = last_sight < key_count ? last_sight : key_count;
  const i32 tiles = static_cast<i32>((seen + S::keys - 1) / S::keys);
  i32 first_tile = 0;
  if constexpr (S::starts) first_tile = static_cast<i32>(least_first<S>(first_row, row_count, first_of) / S::keys);
  const auto fetch = [&](i32 tile) {
    if (tile < tiles) {
      const i32 base = S::rows * S::pitch + (tile & 1) * 2 * S::tile;
      for (i32 item = thread; item < S::keys * pieces; item += S::threads) {
        const i64 key = static_cast<i64>(tile) * S::keys + item / pieces;
        const i32 at = base + (item / pieces) * S::pitch + 8 * (item % pieces);
        const bool valid = key < seen;
        const i64 from = valid ? key : 0;
        copy16_async(shared, at, keys, index_of(key_place, from, kv_head) + 8 * (item % pieces), valid);
        copy16_async(shared, at + S::tile, values, index_of(value_place, from, kv_head) + 8 * (item % pieces), valid);
      }
    }
    commit_copies();
  };
  fetch(first_tile);
  sync_block();

  u32 query[S::dim / 16][4];
#pragma unroll
  for (i32 k = 0; k < S::dim / 16; ++k) {
    const i32 row = 16 * warp_index() + (lane & 15);
    load_matrix4(query[k], shared, row * S::pitch + 16 * k + 8 * (lane >> 4));
  }
  float sums[S::dim / 8][4] = {};
  float largest[2] = {float_of(0xff800000u), float_of(0xff800000u)};
  float total[2] = {0.0f, 0.0f};
  // A lane's two rows, and how far each of them sees.
  const i64 own_row = first_row + 16 * warp_index() + (lane >> 2);
  const i64 own_sight[2] = {sight + own_row / S::group, sight + (own_row + 8) / S::group};
  i64 own_first[2] = {0, 0};
  if constexpr (S::starts) {
#pragma unroll
    for (i32 half = 0; half < 2; ++half)
      if (own_row + 8 * half < row_count) own_first[half] = first_of((own_row + 8 * half) / S::group);
  }
  // exp(x) = 2^(x * log2 e)
  const float in_octaves = scale * 1.4426950408889634f;

  for (i32 tile = first_tile; tile < tiles; ++tile) {
    fetch(tile + 1);
    wait_copies<1>();
    sync_block();
    const i32 base = S::rows * S::pitch + (tile & 1) * 2 * S::tile;
    float scores[S::keys / 8][4];
    flash_scores<S>(scores, query, shared, base);
    const i64 first_key = static_cast<i64>(tile) * S::keys;
#pragma unroll
    for (i32 half = 0; half < 2; ++half) {
      float most = largest[half];
#pragma unroll
      for (i32 j = 0; j < S::keys / 8; ++j) {
#pragma unroll
        for (i32 e = 2 * half; e < 2 * half + 2; ++e) {
          const i64 key = first_key + 8 * j + 2 * (lane & 3) + (e & 1);
          const bool visible = key < seen && key < own_sight[half] && (!S::starts || key >= own_first[half]);
          scores[j][e] = visible ? scores[j][e] * in_octaves : float_of(0xff800000u);
          most = max_of(most, scores[j][e]);
        }
      }
      // The four lanes of a row.
      most = max_of(most, shuffle_xor(most, 1));
      most = max_of(most, shuffle_xor(most, 2));
      const bool has_any = most != float_of(0xff800000u);
      const float old = largest[half] == float_of(0xff800000u) ? 0.0f : exp2f(largest[half] - most);
      float sum = 0.0f;
#pragma unroll
      for (i32 j = 0; j < S::keys / 8; ++j) {
#pragma unroll
        for (i32 e = 2 * half; e < 2 * half + 2; ++e) {
          scores[j][e] = has_any ? exp2f(scores[j][e] - most) : 0.0f;
          sum += scores[j][e];
        }
      }
      largest[half] = most;
      total[half] = total[half] * old + sum;
#pragma unroll
      for (i32 j = 0; j < S::dim / 8; ++j) {
        sums[j][2 * half] *= old;
        sums[j][2 * half + 1] *= old;
      }
    }
    flash_values<S>(sums, scores, shared, base + S::tile);
    // The next but one tile comes where this one lies.
    sync_block();
  }
  wait_copies<0>();

#pragma unroll
  for (i32 half = 0; half < 2; ++half) {
    total[half] += shuffle_xor(total[half], 1);
    total[half] += shuffle_xor(total[half], 2);
    const i64 row = own_row + 8 * half;
    if (row >= row_count) continue;
    if ((lane & 3) == 0) keep(row, largest[half] * 0.6931471805599453f + logf(total[half]));
    // Who sees nothing gets nothing.
    if (S::starts && total[half] == 0.0f) total[half] = 1.0f;
    const i64 at = index_of(out_place, row / S::group, kv_head * S::group + row % S::group) + 2 * (lane & 3);
#pragma unroll
    for (i32 j = 0; j < S::dim / 8; ++j) {
      const Piece<2> piece = {{sums[j][2 * half] / total[half], sums[j][2 * half + 1] / total[half]}};
      store_piece<O, 2>(out, at + 8 * j, piece);
    }
  }
}
