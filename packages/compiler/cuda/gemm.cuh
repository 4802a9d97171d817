// Products of many rows: a block computes a tile of the result and leaves it in shared memory, where the epilogue takes
// it row by row.
#pragma once

// The tile of a block on tensor cores: bf16 inputs, f32 sums.
struct MmaShape {
  static constexpr i32 rows = 128;
  static constexpr i32 columns = 128;
  static constexpr i32 depth = 32;
  static constexpr i32 stages = 4;
  static constexpr i32 threads = 256;
  // Eight elements more than a row keep the eight rows of a matrix in different banks.
  static constexpr i32 pitch = depth + 8;
  // Of a row along the other axis.
  static constexpr i32 flat_pitch = rows + 8;
  static constexpr i32 stage = (rows + columns) * pitch;
  // Of the finished tile.
  static constexpr i32 out_pitch = columns + 4;
};

// Where the 8 elements from (row, k) on lie in a stage. `deep`: a row of the stage is a row of the operand, along the
// contracted axis; else it is one contracted index with all rows of the operand, and matrices are transposed as they are
// read.
template <typename S, bool deep>
DEVICE i32 stage_index(i32 row, i32 k) {
  return deep ? row * S::pitch + k : k * S::flat_pitch + row;
}

template <bool deep>
DEVICE void load_stage4(u32 (&r)[4], Shared<bf16> shared, i32 index) {
  if constexpr (deep)
    load_matrix4(r, shared, index);
  else
    load_matrix4_transposed(r, shared, index);
}

// One warp's part of the tile: 64 rows and 32 columns, eight warps as two by four.
template <typename S, bool deep_x, bool deep_w>
DEVICE void mma_stage(float (&sums)[4][4][4], Shared<bf16> shared, i32 base, i32 warp_row, i32 warp_column) {
  const i32 lane = lane_index();
  // The row of its matrix that a lane gives the place of, and which of the four matrices that is.
  const i32 own = lane & 7;
  const i32 low = 8 * ((lane >> 3) & 1);
  const i32 high = 8 * (lane >> 4);
#pragma unroll
  for (i32 k = 0; k < S::depth; k += 16) {
    u32 a[4][4];
#pragma unroll
    for (i32 i = 0; i < 4; ++i) {
      const i32 row = warp_row + 16 * i;
      load_stage4<deep_x>(a[i], shared,
                          base + (deep_x ? stage_index<S, true>(row + own + low, k + high)
                                         : stage_index<S, false>(row + low, k + own + high)));
    }
    u32 b[2][4];
#pragma unroll
    for (i32 j = 0; j < 2; ++j) {
      const i32 column = warp_column + 16 * j;
      load_stage4<deep_w>(b[j], shared,
                          base + S::rows * S::pitch +
                              (deep_w ? stage_index<S, true>(column + own + high, k + low)
                                      : stage_index<S, false>(column + high, k + own + low)));
    }
#pragma unroll
    for (i32 i = 0; i < 4; ++i) {
#pragma unroll
      for (i32 j = 0; j < 4; ++j) {
        const u32 fragment[2] = {b[j >> 1][2 * (j & 1)], b[j >> 1][2 * (j & 1) + 1]};
        mma_16816(sums[i][j], a[i], fragment);
      }
    }
  }
}

// Copies an operand's part of a stage by `copy(to, index, row, k)`, which takes 8 elements: from k on, or from row on.
template <typename S, bool deep, typename Copy>
DEVICE void fetch_piece(Shared<bf16> shared, i32 base, i32 from, i32 i, Copy copy) {
  constexpr i32 pieces = (deep ? S::depth : S::rows) / 8;
  const i32 along = 8 * (i % pieces);
  if constexpr (deep)
    copy(shared, base + stage_index<S, true>(i / pieces, along), i / pieces, from + along);
  else
    copy(shared, base + stage_index<S, false>(along, i / pieces), along, from + i / pieces);
}

// `decodes`: an operand of the tile is computed on the way. Pieces are then copied one after the other, for want of registers.
template <typename S, bool deep, bool decodes, typename Copy>
DEVICE void fetch_operand(Shared<bf16> shared, i32 base, i32 from, Copy copy) {
  if constexpr (decodes) {
#pragma unroll 1
    for (i32 i = thread_index(); i < S::rows * S::depth / 8; i += S::threads)
      fetch_piece<S, deep>(shared, base, from, i, copy);
  } else {
#pragma unroll
    for (i32 i = thread_index(); i < S::rows * S::depth / 8; i += S::threads)
      fetch_piece<S, deep>(shared, base, from, i, copy);
  }
}

// out[row][column] = sum over k of x[row][k] * w[column][k]. `copy_x(to, index, row, k)` and `copy_w(to, index, column, k)`
// copy 16 bytes to `to[index]`, from k on where the operand is deep, else from the row (column) on; zeros for what is
// outside. All threads come; the tile may be read at once.
template <typename S, bool deep_x = true, bool deep_w = true, bool decodes = false, typename CopyX, typename CopyW>
DEVICE void mma_tile(Shared<bf16> shared, Shared<float> out, i32 contracted, CopyX copy_x, CopyW copy_w) {
  static_assert(S::rows == S::columns, "both operands have as much of a stage");
  const i32 warp_row = 64 * (warp_index() >> 2);
  const i32 warp_column = 32 * (warp_index() & 3);
  float sums[4][4][4] = {};

  const i32 steps = (contracted + S::depth - 1) / S::depth;
  const auto fetch = [&](i32 step) {
    if (step < steps) {
      const i32 base = (step % S::stages) * S::stage;
      fetch_operand<S, deep_x, decodes>(shared, base, step * S::depth, copy_x);
      fetch_operand<S, deep_w, decodes>(shared, base + S::rows * S::pitch, step * S::depth, copy_w);
    }
    // Empty groups keep the count of those under way the same at the end.
    commit_copies();
  };

#pragma unroll
  for (i32 step = 0; step < S::stages - 1; ++step) fetch(step);
  for (i32 step = 0; step < steps; ++step) {
    wait_copies<S::stages - 2>();
    sync_block();
    // Into the place that all warps left behind before the barrier.
    fetch(step + S::stages - 1);
    mma_stage<S, deep_x, deep_w>(sums, shared, (step % S::stages) * S::stage, warp_row, warp_column);
  }
  wait_copies<0>();
  sync_block();

  const i32 row = warp_row + (lane_index() >> 2);
  const i32 column = warp_column + 2 * (lane_index() & 3);
#pragma unroll
  for (i32 i = 0; i < 4; ++i) {
#pragma unroll
    for (i32 j = 0; j < 4; ++j) {
#pragma unroll
      for (i32 e = 0; e < 4; ++e)
        store(out, (row + 16 * i + 8 * (e >> 1)) * S::out_pitch + column + 8 * j + (e & 1), sums[i][j][e]);
    }
  }
  sync_block();
}

// Eight codes of E4M3 as bf16, in their order.
DEVICE Bytes16 bf16_of_e4m3(Bytes8 codes) {
  Bytes16 result;
#pragma unroll
  for (i32 i = 0; i < 2; ++i) {
    const u32 even = e4m3x2(codes.word[i] << 8);
    const u32 odd = e4m3x2(codes.word[i]);
    result.word[2 * i] = permute_bytes(even, odd, 0x5410);
    result.word[2 * i + 1] = permute_bytes(even, odd, 0x7632);
  }
  return result;
}

// Eight codes to a stage of a product, as bf16; zeros where they are not `valid`.
DEVICE void stage_e4m3(Shared<bf16> to, i32 index, Global<f8e4m3> from, i64 at, bool valid) {
  Bytes16 value = bf16_of_e4m3(load8(from, at));
  if (!valid) value = Bytes16{};
  store16(to, index, value);
}

// Item `item` of a matrix of `count` codes to bf16 from `at` on: eight of them.
template <i64 count>
DEVICE void dequantise_e4m3(Global<f8e4m3> from, Global<bf16> to, i64 at, i64 item) {
  if (8 * item < count) store16(to, at + 8 * item, bf16_of_e4m3(load8(from, 8 * item)));
}

// Pieces of a tile's row; rows need not begin where 16 bytes do.
template <i32 n>
DEVICE Piece<n> load_row_piece(Shared<float> tile, i32 index) {
  Piece<n> result;
#pragma unroll
  for (i32 i = 0; i < n; ++i) result.at[i] = load(tile, index + i);
  return result;
}

// The tile of a block without tensor cores: any dtypes, f32 arithmetic. Each thread has 4 rows and 4 columns.
struct PlainShape {
  static constexpr i32 rows = 64;
  static constexpr i32 columns = 64;
  static constexpr i32 depth = 16;
  static constexpr i32 threads = 256;
  // A thread's rows and columns lie 16 apart; one element more keeps them in different banks.
  static constexpr i32 pitch = depth + 1;
  static constexpr i32 out_pitch = columns + 1;
};

// Brings an operand's values to shared memory; neighbouring threads take what lies side by side in memory.
template <typename S, bool deep, typename Value>
DEVICE void fetch_values(Shared<float> shared, i32 base, i32 from, Value value) {
  for (i32 i = thread_index(); i < S::rows * S::depth; i += S::threads) {
    const i32 row = deep ? i / S::depth : i % S::rows;
    const i32 k = deep ? i % S::depth : i / S::rows;
    store(shared, (base + row) * S::pitch + k, value(row, from + k));
  }
}

// As mma_tile; `x(row, k)` and `w(column, k)` give values, zero for what is outside.
template <typename S, bool deep_x = true, bool deep_w = true, typename X, typename W>
DEVICE void plain_tile(Shared<float> shared, Shared<float> out, i32 contracted, X x, W w) {
  const i32 thread = thread_index();
  const i32 row = thread / 16;
  const i32 column = thread % 16;
  float sums[4][4] = {};
  for (i32 from = 0; from < contracted; from += S::depth) {
    sync_block();
    fetch_values<S, deep_x>(shared, 0, from, x);
    fetch_values<S, deep_w>(shared, S::rows, from, w);
    sync_block();
#pragma unroll
    for (i32 k = 0; k < S::depth; ++k) {
      float a[4];
      float b[4];
#pragma unroll
      for (i32 i = 0; i < 4; ++i) {
        a[i] = load(shared, (row + 16 * i) * S::pitch + k);
        b[i] = load(shared, (S::rows + column + 16 * i) * S::pitch + k);
      }
#pragma unroll
      for (i32 i = 0; i < 4; ++i) {
#pragma unroll
        for (i32 j = 0; j < 4; ++j) sums[i][j] = fmaf(a[i], b[j], sums[i][j]);
      }
    }
  }
  sync_block();
#pragma unroll
  for (i32 i = 0; i < 4; ++i) {
#pragma unroll
    for (i32 j = 0; j < 4; ++j) store(out, (row + 16 * i) * S::out_pitch + column + 16 * j, sums[i][j]);
  }
  sync_block();
}
