// One chunk of a head with its loss, and the pieces of it that are multiplied together.
#pragma once

#include "exec/linear_cross_entropy_code.h"

namespace weft::cpu {

// Longer chunks are multiplied in pieces, whose slopes of one block stay in the second cache.
inline constexpr int64_t most_piece_rows = 512;
// Columns of each product that are multiplied at once.
inline constexpr int64_t panel_columns = 128;

inline int64_t quotient_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

struct LinearCrossEntropyCode::Run {
  const char* input;  // of the chunk's first position
  const char* weight;
  const int32_t* targets;
  const float* cotangents;  // or nullptr
  float* losses;            // or nullptr
  float* scores;
  float* input_gradient;   // or nullptr
  float* weight_gradient;  // or nullptr
  int64_t input_stride, target_stride, cotangent_stride, loss_stride, input_gradient_stride, weight_gradient_stride;
  int64_t rows;  // of the chunk
  bool is_first;
  // In the team's scratch.
  char* packed_input;
  float *tile_tops, *tile_sums, *row_tops, *row_factors, *partials;

  int64_t pieces() const { return quotient_up(rows, most_piece_rows); }
};

// Rows of a chunk that are multiplied together.
struct LinearCrossEntropyCode::Piece {
  int64_t row, rows;
  // What the scores' product reads of it.
  GemmArguments input;
  char* packed;
};

}  // namespace weft::cpu
