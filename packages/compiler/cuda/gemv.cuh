// Products of a few rows with a matrix that is read once: the time is the time to read the matrix. The rows lie in
// shared memory, each warp takes whole columns (rows of the weights, contiguous in memory), so that a block reads one
// stretch of memory from front to back.
#pragma once

// Weights go past the L1 cache.
template <typename T, i32 n>
DEVICE Piece<n> load_piece_once(Global<T> view, i64 index) {
  constexpr i32 bytes = n * static_cast<i32>(sizeof(T));
  Piece<n> result;
  if constexpr (bytes % 16 == 0) {
    constexpr i32 step = 16 / static_cast<i32>(sizeof(T));
#pragma unroll
    for (i32 i = 0; i < n; i += step) unpack<T>(result.at + i, load16_once(view, index + i).word);
  } else {
    result = load_piece<T, n>(view, index);
  }
  return result;
}

template <i32 n, typename T>
DEVICE Piece<n> load_columns(Global<T> view, i64 index) {
  return load_piece_once<T, n>(view, index);
}

// What of a block's weights is asked for before the kernel in front of this one has ended: about what arrives meanwhile.
constexpr i32 prefetched_bytes = 32 * 1024;

// `count` columns from `first` on.
template <typename W>
DEVICE void prefetch_columns(Global<W> weights, i32 first, i32 count, i32 contracted) {
  constexpr i32 line = 128 / static_cast<i32>(sizeof(W));
  const i64 begin = static_cast<i64>(first) * contracted;
  const i64 all = static_cast<i64>(count) * contracted;
  constexpr i64 most = prefetched_bytes / static_cast<i32>(sizeof(W));
  for (i64 at = thread_index() * line; at < (all < most ? all : most); at += thread_count() * line)
    prefetch(weights, begin + at);
}

// Products of `rows` rows with columns [first, first + count) of a matrix [columns][contracted], by the whole block.
// Each column is cut into `slices`, so that the warps come out even when there are few columns; the sum of one slice
// comes to sums[(m * slices + slice) * pitch_of_sums + column - first]. `width` divides the slices and the pitch of x.
// `Matrix` is `Global` of a dtype, or `BlockRows`.
template <typename Matrix, typename X, i32 rows, i32 width, i32 slices, i32 pitch_of_sums>
DEVICE void column_sums(Shared<float> sums, i32 base, Matrix weights, i32 first, i32 count, Shared<X> x, i32 pitch,
                        i32 contracted) {
  const i32 length = contracted / slices;
  for (i32 item = warp_index(); item < count * slices; item += thread_count() / 32) {
    const i32 column = item / slices;
    const i32 slice = item % slices;
    const i64 start = static_cast<i64>(first + column) * contracted + slice * length;
    float sum[rows];
#pragma unroll
    for (i32 m = 0; m < rows; ++m) sum[m] = 0.0f;
#pragma unroll 4
    for (i32 k = lane_index() * width; k < length; k += 32 * width) {
      const Piece<width> w = load_columns<width>(weights, start + k);
#pragma unroll
      for (i32 m = 0; m < rows; ++m) {
        const Piece<width> values = load_piece<X, width>(x, m * pitch + slice * length + k);
#pragma unroll
        for (i32 i = 0; i < width; ++i) sum[m] = fmaf(w.at[i], values.at[i], sum[m]);
      }
    }
#pragma unroll
    for (i32 m = 0; m < rows; ++m) {
      sum[m] = reduce_warp<Sum>(sum[m]);
      if (lane_index() == 0) store(sums, base + (m * slices + slice) * pitch_of_sums + column, sum[m]);
    }
  }
}

// The slices of one column of one row.
template <i32 slices, i32 pitch_of_sums>
DEVICE float whole_sum(Shared<float> sums, i32 base, i32 row, i32 column) {
  float sum = load(sums, base + row * slices * pitch_of_sums + column);
#pragma unroll
  for (i32 slice = 1; slice < slices; ++slice)
    sum += load(sums, base + (row * slices + slice) * pitch_of_sums + column);
  return sum;
}
