// General products by tiles: operands that lie along the contracted axis or across it, at any place, and finished tiles
// that are stored, or added to what lies there.
#pragma once

// 8 elements from `at` on, `step` apart, into a stage: the first `count` of them, zeros for the rest. `whole`: they are
// contiguous and begin where 16 bytes do.
template <bool whole>
DEVICE void stage_piece(Shared<bf16> to, i32 index, Global<bf16> from, i64 at, i64 step, i64 count) {
  if (whole && (count >= 8 || count <= 0)) {
    copy16_async(to, index, from, count > 0 ? at : 0, count > 0);
    return;
  }
  Bytes16 piece;
#pragma unroll
  for (i32 i = 0; i < 4; ++i) {
    const u32 low = 2 * i < count ? load(from, at + 2 * i * step).bits : 0;
    const u32 high = 2 * i + 1 < count ? load(from, at + (2 * i + 1) * step).bits : 0;
    piece.word[i] = low | high << 16;
  }
  store16(to, index, piece);
}

// The same of codes of E4M3.
template <bool whole>
DEVICE void stage_e4m3(Shared<bf16> to, i32 index, Global<f8e4m3> from, i64 at, i64 step, i64 count) {
  if (whole && (count >= 8 || count <= 0)) {
    stage_e4m3(to, index, from, count > 0 ? at : 0, count > 0);
    return;
  }
  Bytes16 piece;
#pragma unroll
  for (i32 i = 0; i < 4; ++i) {
    const u32 low = 2 * i < count ? load(from, at + 2 * i * step).bits : 0;
    const u32 high = 2 * i + 1 < count ? load(from, at + (2 * i + 1) * step).bits : 0;
    piece.word[i] = e4m3x2(low << 8 | high << 24);
  }
  store16(to, index, piece);
}

// What lies inside of a finished tile, of `rows` x `columns` elements. Pieces of `width` columns are contiguous and begin
// at multiples of their size; `adds`: onto what lies there.
template <typename S, i32 width, typename T>
DEVICE void store_tile(Shared<float> tile, Global<T> out, i64 at, i64 row_step, i64 column_step, i64 rows, i64 columns,
                       bool adds) {
  constexpr i32 pieces = S::columns / width;
  for (i32 i = thread_index(); i < S::rows * pieces; i += S::threads) {
    const i32 row = i / pieces;
    const i32 column = width * (i % pieces);
    if (row >= rows || column >= columns) continue;
    const i64 place = at + row * row_step + column * column_step;
    Piece<width> sums = load_row_piece<width>(tile, row * S::out_pitch + column);
    if (adds) sums = add_of(sums, load_piece<T, width>(out, place));
    store_piece<T, width>(out, place, sums);
  }
}
