// PairDot by two f32 multiply-adds, in the instruction's order, so that its callers can be tested on any AVX-512
// processor. Unlike the instruction it keeps denormals.
#pragma once

namespace weft::cpu {
namespace {

struct PairDot {
  static constexpr bool available = true;
  static Vec::F32 low(Vec::F32 pairs) { return Vec::from_bits(Vec::shift_left<16>(Vec::bits(pairs))); }
  static Vec::F32 high(Vec::F32 pairs) {
    return Vec::from_bits(Vec::and_i32(Vec::bits(pairs), Vec::set_i32(static_cast<int32_t>(0xffff0000u))));
  }
  static Vec::F32 dot(Vec::F32 sum, Vec::F32 a, Vec::F32 b) {
    return Vec::multiply_add(low(a), low(b), Vec::multiply_add(high(a), high(b), sum));
  }
};

}  // namespace
}  // namespace weft::cpu
