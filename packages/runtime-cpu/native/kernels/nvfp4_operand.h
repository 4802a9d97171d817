// A part of a matrix in tiles as the W of any product: packed for the ordinary micro-kernel, each element its code times
// its scale.
#pragma once

namespace weft::cpu {
namespace {

// Columns are rows of the matrix, whose strip they fill: a code for each lane, a unit for each place.
inline void pack_tiled_strip(const Nvfp4Tiles& matrix, size_t row, size_t place, size_t units, float* out) {
  for (size_t u = 0; u < units; ++u, ++place) {
    const Vec::I32 word = Vec::bits(Vec::load(matrix.word(row, place / Nvfp4Tiles::word_codes)));
    const Vec::I32 count = Vec::set_i32(static_cast<int32_t>(4 * (place % Nvfp4Tiles::word_codes)));
    const Vec::F32 scale = Vec::load_e4m3(matrix.scale(row, place / nvfp4_block));
    Vec::store(out + u * column_tile, Vec::mul(Vec::e2m1(Vec::shift_right_by(word, count)), scale));
  }
}

// The same where the rows lie across strips: each is loaded by itself.
inline void pack_tiled_rows(const Nvfp4Operand& w, size_t row, size_t rows, size_t place, size_t units, float* out) {
  constexpr size_t step = 64;
  float values[Vec::lanes * step];
  for (size_t u = 0; u < units; u += step) {
    const size_t count = smaller(units - u, step);
    for (size_t r = 0; r < rows; ++r) nvfp4_load_row(values + r * step, w.tiles, row + r, w.row_length, place + u, count);
    pack_strip<SingleUnits<F32Source>>({values, step, 1, rows, count}, out + u * column_tile, column_tile, true);
  }
}

// What pack_w_block does for W in ordinary memory.
inline void pack_tiled_panel(const GemmArguments& g, size_t unit, size_t units, float* out) {
  const Nvfp4Operand& w = *g.w_tiles;
  const Nvfp4Tiles matrix(w.tiles, w.row_length);
  for (size_t n = 0; n < g.columns; n += column_tile, out += units * column_tile) {
    const size_t columns = smaller(g.columns - n, column_tile);
    if (w.turned) {
      for (size_t u = 0; u < units; ++u) {
        float* row = out + u * column_tile;
        nvfp4_load_row(row, w.tiles, w.first_row + unit + u, w.row_length, w.first_place + n, columns);
        for (size_t empty = columns; empty < column_tile; ++empty) row[empty] = 0;
      }
      continue;
    }
    for (size_t c = 0; c < column_tile; c += Vec::lanes) {
      const size_t row = w.first_row + n + c, place = w.first_place + unit;
      if (c >= columns) {  // the micro-kernel reads whole tiles
        for (size_t u = 0; u < units; ++u) Vec::store(out + u * column_tile + c, Vec::zero());
      } else if (row % Vec::lanes == 0) {
        pack_tiled_strip(matrix, row, place, units, out + c);
      } else {
        pack_tiled_rows(w, row, smaller(columns - c, Vec::lanes), place, units, out + c);
      }
    }
  }
}

}  // namespace
}  // namespace weft::cpu
