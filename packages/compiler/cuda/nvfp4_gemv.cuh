// Products of a few rows with matrices of NVFP4, which are streamed once. The work is cut into items: 32 columns (rows of
// the matrix, two groups of its tiles) along one slice of the contracted axis, an item for a warp. Lanes 4g to 4g + 3
// have four columns; lane 4g + t of them takes block t of each four: two loads of 16 bytes for 64 elements, and one for
// their scales. The sums of the slices are added by the block that finishes a column, in order.
#pragma once

// Columns of an item.
constexpr i32 item_columns = 32;
// Steps whose loads are under way together; a step is four blocks.
constexpr i32 item_batch = 4;

// What one lane has of a step.
struct ItemCodes {
  // For each of four columns the first and the second eight elements of the block.
  Bytes16 low, high;
  u32 scales;
};

// Where a lane's codes and scales begin, in words.
struct ItemPlace {
  i64 codes, scales;
  bool inside;
};

template <i32 columns, i32 contracted>
DEVICE ItemPlace item_place(i32 tile) {
  const i32 quad = lane_index() >> 2;
  const i32 group = 2 * tile + (quad >> 2);
  const i64 begin = group * group_words<contracted>;
  return {begin + 4 * (quad & 3), begin + 2 * static_cast<i64>(contracted) + (quad & 3), 16 * group < columns};
}

DEVICE ItemCodes load_item(Global<nvfp4> weights, const ItemPlace& place, i32 block, i32 last) {
  ItemCodes result = {};
  if (place.inside && block < last) {
    result.low = load16_once(weights, place.codes + 32 * static_cast<i64>(block));
    result.high = load16_once(weights, place.codes + 32 * static_cast<i64>(block) + 16);
    result.scales = load(weights, place.scales + 4 * static_cast<i64>(block)).word;
  }
  return result;
}

// The scales of four columns, spread.
DEVICE void spread_scales(u32 (&spread)[4], u32 scales) {
#pragma unroll
  for (u32 i = 0; i < 4; ++i) spread[i] = spread_scale(scales, i);
  if (has_nan_scale(scales)) {
#pragma unroll
    for (u32 i = 0; i < 4; ++i) spread[i] = spread_any_scale(scales, i);
  }
}

DEVICE void scaled_codes(u32 (&pairs)[4], u32 word, u32 scale) {
  spread_codes(pairs, word);
#pragma unroll
  for (i32 i = 0; i < 4; ++i) pairs[i] = mul_bf16x2(pairs[i], scale);
}

// ---- rows of bf16, on tensor cores: the columns are the rows of the products' first operand, x is the second

// Eight elements of x come in the order of spread codes: i and i + 4 side by side.
DEVICE i32 spread_index(i32 k) { return (k & ~7) | ((k & 3) << 1) | ((k >> 2) & 1); }

// A piece of a row of x to where `spread_index` says.
template <i32 n>
DEVICE void store_spread(Shared<bf16> x, i32 row, i32 k, const Piece<n>& piece) {
  if constexpr (n % 8 == 0) {
#pragma unroll
    for (i32 first = 0; first < n; first += 8) {
      Bytes16 value;
#pragma unroll
      for (i32 i = 0; i < 4; ++i)
        value.word[i] = narrow_bf16(piece.at[first + i]).bits |
                        static_cast<u32>(narrow_bf16(piece.at[first + i + 4]).bits) << 16;
      store16(x, row + k + first, value);
    }
  } else {
#pragma unroll
    for (i32 i = 0; i < n; ++i) store(x, row + spread_index(k + i), narrow_bf16(piece.at[i]));
  }
}

struct MmaItem {
  // Of columns 2p and 2p + 1: row 2t and the next of the first, then of the second.
  float sums[2][4];

  template <i32 rows>
  DEVICE void add_step(MmaItem& item, const ItemCodes& codes, Shared<bf16> x, i32 pitch, i32 block, i32 last) {
    const i32 row = lane_index() >> 2;
    Bytes16 x_low = {};
    Bytes16 x_high = {};
    if (row < rows && block < last) {
      x_low = load16(x, row * pitch + 16 * block);
      x_high = load16(x, row * pitch + 16 * block + 8);
    }
    u32 scales[4];
    spread_scales(scales, codes.scales);
#pragma unroll
    for (i32 p = 0; p < 2; ++p) {
      u32 low[2][4];
      u32 high[2][4];
#pragma unroll
      for (i32 j = 0; j < 2; ++j) {
        scaled_codes(low[j], codes.low.word[2 * p + j], scales[2 * p + j]);
        scaled_codes(high[j], codes.high.word[2 * p + j], scales[2 * p + j]);
      }
#pragma unroll
      for (i32 i = 0; i < 4; ++i) {
        const u32 a[4] = {low[0][i], low[1][i], high[0][i], high[1][i]};
        const u32 b[2] = {x_low.word[i], x_high.word[i]};
        mma_16816(item.sums[p], a, b);
      }
    }
  }

  // store(row, column of the lane's four, sum) for what this lane has.
  template <i32 rows, typename Store>
  DEVICE void each_sum(const MmaItem& item, Store store_sum) {
    const i32 first = 2 * (lane_index() & 3);
#pragma unroll
    for (i32 n = 0; n < 2; ++n) {
      if (first + n >= rows) continue;
#pragma unroll
      for (i32 j = 0; j < 4; ++j) store_sum(first + n, j, item.sums[j >> 1][2 * (j & 1) + n]);
    }
  }
};

// ---- rows of any dtype, with the arithmetic of f32

template <i32 rows>
struct PlainItem {
  float sums[4][rows];

  template <i32, typename X>
  DEVICE void add_step(PlainItem& item, const ItemCodes& codes, Shared<X> x, i32 pitch, i32 block, i32 last) {
    if (block >= last) return;
    u32 scales[4];
    spread_scales(scales, codes.scales);
#pragma unroll
    for (i32 half = 0; half < 2; ++half) {
      const Bytes16& words = half == 0 ? codes.low : codes.high;
      float w[4][8];
#pragma unroll
      for (i32 j = 0; j < 4; ++j) {
        u32 pairs[4];
        scaled_codes(pairs, words.word[j], scales[j]);
#pragma unroll
        for (i32 i = 0; i < 4; ++i) {
          w[j][i] = low_of(pairs[i]);
          w[j][i + 4] = high_of(pairs[i]);
        }
      }
#pragma unroll
      for (i32 m = 0; m < rows; ++m) {
        const Piece<8> values = load_piece<X, 8>(x, m * pitch + 16 * block + 8 * half);
#pragma unroll
        for (i32 j = 0; j < 4; ++j) {
#pragma unroll
          for (i32 i = 0; i < 8; ++i) item.sums[j][m] = fmaf(w[j][i], values.at[i], item.sums[j][m]);
        }
      }
    }
  }

  template <i32, typename Store>
  DEVICE void each_sum(const PlainItem& item, Store store_sum) {
#pragma unroll
    for (i32 m = 0; m < rows; ++m) {
#pragma unroll
      for (i32 j = 0; j < 4; ++j) {
        float sum = item.sums[j][m];
        sum += shuffle_xor(sum, 1);
        sum += shuffle_xor(sum, 2);
        if ((lane_index() & 3) == 0) store_sum(m, j, sum);
      }
    }
  }
};

template <typename X, i32 rows>
struct ItemOf {
  using Type = PlainItem<rows>;
};
template <i32 rows>
struct ItemOf<bf16, rows> {
  using Type = MmaItem;
};

// ---- items

// The products of all rows with 32 columns from 32 * tile on, along one slice. The sum of row m and column c comes to
// sums[at + m * columns + c].
template <typename X, i32 rows, i32 columns, i32 contracted, i32 slice_length>
DEVICE void slice_sums(Global<float> sums, i64 at, Global<nvfp4> weights, i32 tile, i32 slice, Shared<X> x, i32 pitch) {
  using Item = typename ItemOf<X, rows>::Type;
  constexpr i32 blocks = contracted / 16;
  const i32 first = slice * (slice_length / 16);
  const i32 last = first + slice_length / 16 < blocks ? first + slice_length / 16 : blocks;
  const i32 own = lane_index() & 3;
  const ItemPlace place = item_place<columns, contracted>(tile);
  Item item = {};
  for (i32 begin = first; begin < last; begin += 4 * item_batch) {
    ItemCodes codes[item_batch];
#pragma unroll
    for (i32 i = 0; i < item_batch; ++i) codes[i] = load_item(weights, place, begin + 4 * i + own, last);
#pragma unroll
    for (i32 i = 0; i < item_batch; ++i) {
      if (begin + 4 * i < last) Item::template add_step<rows>(item, codes[i], x, pitch, begin + 4 * i + own, last);
    }
  }
  const i32 column = item_columns * tile + 4 * (lane_index() >> 2);
  Item::template each_sum<rows>(item, [&](i32 row, i32 j, float sum) {
    if (columns % item_columns == 0 || column + j < columns)
      store(sums, at + static_cast<i64>(row) * columns + column + j, sum * spread_unit);
  });
}

// Which part of a group's work an item is: slices run fastest, then the weights of the group, then its tiles.
struct ItemPart {
  i32 tile, weight, slice;
};

template <i32 weights, i32 slices>
DEVICE ItemPart item_part(i32 item) {
  const i32 matrix = item / slices;
  return {matrix / weights, matrix % weights, item % slices};
}

// Asks for the codes of a block's items while the kernel in front still runs. `view(weight)` gives a matrix.
template <i32 weights, i32 columns, i32 contracted, i32 slice_length, i32 slices, typename View>
DEVICE void prefetch_items(Range items, View view) {
  // Lines of 128 bytes that an item has of each of its two groups.
  constexpr i32 lines = slice_length / 16;
  constexpr i32 most = prefetched_bytes / (256 * lines) + 1;
  const i32 all = items.last - items.first;
  const i32 count = all < most ? all : most;
  for (i32 i = thread_index(); i < count * 2 * lines; i += thread_count()) {
    const ItemPart part = item_part<weights, slices>(items.first + i / (2 * lines));
    const i32 group = 2 * part.tile + i / lines % 2;
    const i32 line = part.slice * lines + i % lines;
    if (16 * group < columns && 16 * line < contracted)
      prefetch(view(part.weight), group * group_words<contracted> + 32 * line);
  }
}

// The sum of all slices of a row and column, which lie `pitch` apart.
template <i32 slices>
DEVICE float all_slices(Global<float> sums, i64 at, i64 pitch) {
  float sum = load_fresh(sums, at);
#pragma unroll 8
  for (i32 slice = 1; slice < slices; ++slice) sum += load_fresh(sums, at + slice * pitch);
  return sum;
}

// Says for up to as many units as the block has threads, from `first` on, that this block did its share of them. flags[i]:
// whether it was the last to do so for unit first + i. Unit u takes the items [begin(u), end(u)); the block did `own`.
template <typename Begin, typename End>
DEVICE void arrive_at_units(Global<u32> tickets, i64 ticket, Shared<u32> flags, i32 first, i32 count, Range own,
                            Begin begin, End end) {
  fence_device();
  sync_block();
  if (thread_index() < count) {
    const i32 unit = first + thread_index();
    const i32 from = begin(unit);
    const i32 to = end(unit);
    const i32 done = (own.last < to ? own.last : to) - (own.first > from ? own.first : from);
    const u32 total = static_cast<u32>(to - from);
    const u32 share = static_cast<u32>(done);
    const bool is_last = done > 0 && atomic_add(tickets, ticket + unit, share) + share == total;
    // Ready for the next launch.
    if (is_last) store(tickets, ticket + unit, 0u);
    store(flags, thread_index(), is_last ? 1u : 0u);
  }
  sync_block();
  fence_device();
}
