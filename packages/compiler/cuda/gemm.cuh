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
  static constexpr i32 stage = (rows + columns) * pitch;
  // Of the finished tile.
  static constexpr i32 out_pitch = columns + 4;
};

// One warp's part of the tile: 64 rows and 32 columns, eight warps as two by four.
template <typename S>
DEVICE void mma_stage(float (&sums)[4][4][4], Shared<bf16> shared, i32 base, i32 warp_row, i32 warp_column) {
  const i32 lane = lane_index();
#pragma unroll
  for (i32 k = 0; k < S::depth; k += 16) {
    u32 a[4][4];
#pragma unroll
    for (i32 i = 0; i < 4; ++i) {
      const i32 row = warp_row + 16 * i + (lane & 15);
      load_matrix4(a[i], shared, base + row * S::pitch + k + 8 * (lane >> 4));
    }
    u32 b[2][4];
#pragma unroll
    for (i32 j = 0; j < 2; ++j) {
      const i32 column = warp_column + 16 * j + (lane & 7) + 8 * (lane >> 4);
      load_matrix4(b[j], shared, base + (S::rows + column) * S::pitch + k + 8 * ((lane >> 3) & 1));
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

// out[row][column] = sum over k of x[row][k] * w[column][k]. `copy_x(to, index, row, k)` and `copy_w(to, index, column, k)`
// copy 16 bytes from k on to `to[index]`, zeros for what is outside. All threads come; the tile may be read at once.
template <typename S, typename CopyX, typename CopyW>
DEVICE void mma_tile(Shared<bf16> shared, Shared<float> out, i32 contracted, CopyX copy_x, CopyW copy_w) {
  const i32 thread = thread_index();
  const i32 warp_row = 64 * (warp_index() >> 2);
  const i32 warp_column = 32 * (warp_index() & 3);
  float sums[4][4][4] = {};

  const i32 steps = (contracted + S::depth - 1) / S::depth;
  const auto fetch = [&](i32 step) {
    if (step < steps) {
      const i32 base = (step % S::stages) * S::stage;
      constexpr i32 pieces = S::depth / 8;
#pragma unroll
      for (i32 i = thread; i < S::rows * pieces; i += S::threads)
        copy_x(shared, base + (i / pieces) * S::pitch + 8 * (i % pieces), i / pieces, step * S::depth + 8 * (i % pieces));
#pragma unroll
      for (i32 i = thread; i < S::columns * pieces; i += S::threads)
        copy_w(shared, base + (S::rows + i / pieces) * S::pitch + 8 * (i % pieces), i / pieces,
               step * S::depth + 8 * (i % pieces));
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
    mma_stage<S>(sums, shared, (step % S::stages) * S::stage, warp_row, warp_column);
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

// As mma_tile; `x(row, k)` and `w(column, k)` give values, zero for what is outside.
template <typename S, typename X, typename W>
DEVICE void plain_tile(Shared<float> shared, Shared<float> out, i32 contracted, X x, W w) {
  const i32 thread = thread_index();
  const i32 row = thread / 16;
  const i32 column = thread % 16;
  float sums[4][4] = {};
  for (i32 from = 0; from < contracted; from += S::depth) {
    sync_block();
    for (i32 i = thread; i < S::rows * S::depth; i += S::threads)
      store(shared, (i / S::depth) * S::pitch + i % S::depth, x(i / S::depth, from + i % S::depth));
    for (i32 i = thread; i < S::columns * S::depth; i += S::threads)
      store(shared, (S::rows + i / S::depth) * S::pitch + i % S::depth, w(i / S::depth, from + i % S::depth));
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
