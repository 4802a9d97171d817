// ByteDot on any AVX-512 processor, for tests: sums of whole numbers are the same whoever adds them up.
#pragma once

#include "byte_dot_avx512.h"

namespace weft::cpu {
namespace {

struct PairwiseSum {
  // Two products of codes (24 at most) fit 16 bits.
  static __m512i add(__m512i sum, __m512i unsigned_bytes, __m512i signed_bytes) {
    const __m512i pairs = _mm512_maddubs_epi16(unsigned_bytes, signed_bytes);
    return _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
  }
};
using ByteDot = ByteDotAvx512<PairwiseSum>;

}  // namespace
}  // namespace weft::cpu
