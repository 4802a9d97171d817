// What the tiles of a bf16 product are made from, by AVX-512. A tile of W is 16 of its rows, 32 places each, as they lie;
// one of X is 16 pairs of places, for each the pairs of 16 rows side by side. So their product is C turned around:
// [16 columns][16 rows].
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels.h"
#include "nvfp4_values.h"
#include "unroll.h"

namespace weft::cpu {
namespace {

struct TileOperands {
  static constexpr size_t side = 16;   // rows of W, rows of X
  static constexpr size_t depth = 32;  // elements of bf16 along the contracted axis
  static constexpr size_t elements = side * depth;
  static constexpr size_t sums = side * side;

  // 32 elements of one row of W.
  static __m512i load_row(const uint16_t* p) { return _mm512_loadu_si512(p); }
  // E4M3: exponent and fraction move to their places and the bias grows by 120, but below 2^-6, and for NaN.
  static __m512i load_row(const uint8_t* p) {
    const __m512i codes = _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    const __m512i magnitude = _mm512_and_si512(codes, _mm512_set1_epi16(0x7f));
    const __m512i normal = _mm512_add_epi16(_mm512_slli_epi16(magnitude, 4), _mm512_set1_epi16(120 << 7));
    // 0 to 7 times 2^-9.
    const __m512i small = _mm512_castsi128_si512(_mm_setr_epi16(0, 0x3b00, 0x3b80, 0x3bc0, 0x3c00, 0x3c20, 0x3c40, 0x3c60));
    const __mmask32 is_small = _mm512_cmplt_epu16_mask(magnitude, _mm512_set1_epi16(8));
    const __mmask32 is_nan = _mm512_cmpeq_epi16_mask(magnitude, _mm512_set1_epi16(0x7f));
    const __m512i value = _mm512_mask_permutexvar_epi16(normal, is_small, magnitude, small);
    const __m512i sign = _mm512_and_si512(codes, _mm512_set1_epi16(-0x8000));
    return _mm512_or_si512(_mm512_mask_mov_epi16(value, is_nan, _mm512_set1_epi16(0x7fc0)), sign);
  }
  static void store_row(uint16_t* p, __m512i row) { _mm512_storeu_si512(p, row); }

  // Rows of pairs, as a tile of X has them, become rows of W.
  static void turn(uint16_t* tile, const uint16_t* pairs) {
    Vec::F32 square[Vec::lanes];
    WEFT_UNROLL(16)
    for (size_t i = 0; i < side; ++i) square[i] = Vec::load(pairs + i * depth);
    Vec::transpose(square);
    WEFT_UNROLL(16)
    for (size_t i = 0; i < side; ++i) Vec::store(tile + i * depth, square[i]);
  }

  // `blocks` = 1 or 2 blocks of NVFP4 of a group of rows, code times scale; zeros behind one block. A code picks its
  // value from the 32 that the row has in its two blocks.
  static void unpack_nvfp4(uint16_t* tile, const uint8_t* words, const uint8_t* scales, size_t blocks) {
    const auto word = [=](size_t i) { return i < 2 * blocks ? _mm512_loadu_si512(words + i * 64) : _mm512_setzero_si512(); };
    const __m512i low[2] = {_mm512_unpacklo_epi32(word(0), word(1)), _mm512_unpackhi_epi32(word(0), word(1))};
    const __m512i high[2] = {_mm512_unpacklo_epi32(word(2), word(3)), _mm512_unpackhi_epi32(word(2), word(3))};
    // The 32 codes of row 4 q + r, 16 bytes, are the q-th part of rows[r].
    const __m512i rows[4] = {_mm512_unpacklo_epi64(low[0], high[0]), _mm512_unpackhi_epi64(low[0], high[0]),
                             _mm512_unpacklo_epi64(low[1], high[1]), _mm512_unpackhi_epi64(low[1], high[1])};
    const __m512i shifts = _mm512_set1_epi64(0x000c000800040000);
    const __m512i code_bits = _mm512_set1_epi16(15);
    const __m512i second = _mm512_inserti64x4(_mm512_setzero_si512(), _mm256_set1_epi16(16), 1);
    WEFT_UNROLL(4)
    for (size_t q = 0; q < 4; ++q) {
      // Each 16 bits of the part, four times.
      const __m512i spread = _mm512_add_epi16(_mm512_set1_epi16(static_cast<int16_t>(8 * q)),
                                              _mm512_set_epi16(7, 7, 7, 7, 6, 6, 6, 6, 5, 5, 5, 5, 4, 4, 4, 4, 3, 3, 3, 3, 2,
                                                               2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0));
      WEFT_UNROLL(4)
      for (size_t r = 0; r < 4; ++r) {
        const size_t row = 4 * q + r;
        const __m512i codes = _mm512_srlv_epi16(_mm512_permutexvar_epi16(spread, rows[r]), shifts);
        const __m512i index = _mm512_ternarylogic_epi32(codes, code_bits, second, 0xea);  // (codes & bits) | second
        const __m512i values = _mm512_inserti64x4(_mm512_castsi256_si512(values_under(scales[row])),
                                                  values_under(blocks > 1 ? scales[nvfp4_group_rows + row] : uint8_t{0}), 1);
        store_row(tile + row * depth, _mm512_permutexvar_epi16(index, values));
      }
    }
  }

  static __m256i values_under(uint8_t scale) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(nvfp4_values.of[scale]));
  }

  // C[row][column] is sums[column][row], or that is added to it: `rows` rows, and the columns [first, end) of the tile;
  // c is at column `first`.
  static void put(const float* sums, float* c, size_t c_stride, size_t rows, size_t first, size_t end, bool accumulate) {
    Vec::F32 square[Vec::lanes];
    WEFT_UNROLL(16)
    for (size_t i = 0; i < side; ++i) square[i] = Vec::load(sums + i * side);
    Vec::transpose(square);
    if (rows == side && end - first == side && !accumulate) {
      WEFT_UNROLL(16)
      for (size_t i = 0; i < side; ++i) Vec::store(c + i * c_stride, square[i]);
      return;
    }
    const Vec::Mask wanted = static_cast<Vec::Mask>((1u << end) - (1u << first));
    for (size_t i = 0; i < rows; ++i, c += c_stride) {
      const Vec::F32 own = _mm512_maskz_compress_ps(wanted, square[i]);
      Vec::store_partial(c, accumulate ? Vec::add(Vec::load_partial(c, end - first), own) : own, end - first);
    }
  }
};

}  // namespace
}  // namespace weft::cpu
