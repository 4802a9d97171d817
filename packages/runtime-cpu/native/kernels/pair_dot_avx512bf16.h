// PairDot by the AVX512-BF16 instruction.
#pragma once

namespace weft::cpu {
namespace {

struct PairDot {
  static constexpr bool available = true;
  static Vec::F32 dot(Vec::F32 sum, Vec::F32 a, Vec::F32 b) {
    return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
  }
};

}  // namespace
}  // namespace weft::cpu
