// ByteDot by AVX512-VNNI.
#pragma once

#include "byte_dot_avx512.h"

namespace weft::cpu {
namespace {

struct VnniSum {
  static __m512i add(__m512i sum, __m512i unsigned_bytes, __m512i signed_bytes) {
    return _mm512_dpbusd_epi32(sum, unsigned_bytes, signed_bytes);
  }
};
using ByteDot = ByteDotAvx512<VnniSum>;

}  // namespace
}  // namespace weft::cpu
