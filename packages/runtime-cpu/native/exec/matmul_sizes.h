// The sizes that matmul kernels are cut by, in one place.
#pragma once

#include <cstdint>

namespace weft::cpu {

// Input rows of at most this many values are computed by every thread for itself.
inline constexpr int64_t most_private_floats = 32768;
// The widest epilogue row that is finished on its panel when it must stay whole.
inline constexpr int64_t widest_whole_row = 1024;
// Rows that are multiplied with one panel before the next: their products (512 x 128 floats) fit the second cache.
inline constexpr int64_t gemm_row_tile = 512;
inline constexpr int64_t gemm_panel_columns = 128;
inline constexpr int64_t gemm_panels_per_thread = 4;
// Weights read by one thread at a time when memory is the limit.
inline constexpr int64_t least_piece_bytes = int64_t{32} << 10;
inline constexpr int64_t most_piece_bytes = int64_t{256} << 10;
inline constexpr int64_t gemv_pieces_per_thread = 8;
// Blocks are fewer bytes, so what the last thread still does weighs more.
inline constexpr int64_t gemv_block_pieces_per_thread = 24;
// Neighbouring pieces that one thread takes together while many are left.
inline constexpr int64_t gemv_run_items = 8;
inline constexpr int64_t most_gemv_columns = 1024;
inline constexpr int64_t most_gemv_rows = 64;

}  // namespace weft::cpu
