// PairDot for instruction sets without a bf16 dot instruction: bf16 is widened and multiplied in f32 instead.
#pragma once

namespace weft::cpu {
namespace {

// dot(sum, a, b): a and b hold pairs of bf16 in each lane; adds the product of the high halves, then of the low ones.
struct PairDot {
  static constexpr bool available = false;
  static Vec::F32 dot(Vec::F32 sum, Vec::F32, Vec::F32) { return sum; }
};

}  // namespace
}  // namespace weft::cpu
