#include "weights/finite.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace weft {
namespace {

// An exponent of all ones is what infinities and NaNs share. Blocks keep the loop free of branches, so that the
// compiler makes it vector code.
template <class Bits>
size_t first_with_exponent(const char* data, size_t count, Bits exponent) {
  constexpr size_t block = 4096 / sizeof(Bits);
  const auto bits_at = [&](size_t index) {
    Bits bits;
    std::memcpy(&bits, data + index * sizeof(Bits), sizeof(Bits));
    return bits;
  };
  for (size_t begin = 0; begin < count; begin += block) {
    const size_t end = std::min(count, begin + block);
    Bits found = 0;
    for (size_t i = begin; i < end; ++i) found |= static_cast<Bits>((bits_at(i) & exponent) == exponent ? 1 : 0);
    if (found == 0) continue;
    for (size_t i = begin; i < end; ++i)
      if ((bits_at(i) & exponent) == exponent) return i;
  }
  return no_index;
}

// E4M3 has one NaN for each sign, and no infinity.
size_t first_nan_e4m3(const char* data, size_t count) {
  constexpr size_t block = 4096;
  for (size_t begin = 0; begin < count; begin += block) {
    const size_t end = std::min(count, begin + block);
    int found = 0;
    for (size_t i = begin; i < end; ++i) found |= (data[i] & 0x7f) == 0x7f;
    for (size_t i = begin; found && i < end; ++i)
      if ((data[i] & 0x7f) == 0x7f) return i;
  }
  return no_index;
}

template <class Bits>
const char* name_of_bits(const char* data, size_t index, Bits mantissa) {
  Bits bits;
  std::memcpy(&bits, data + index * sizeof(Bits), sizeof(Bits));
  if ((bits & mantissa) != 0) return "NaN";
  return bits >> (8 * sizeof(Bits) - 1) ? "-inf" : "inf";
}

}  // namespace

size_t first_not_finite(const char* data, plan::PlanDtype dtype, size_t count) {
  switch (dtype) {
    case plan::PlanDtype::f32: return first_with_exponent<uint32_t>(data, count, 0x7f800000u);
    case plan::PlanDtype::bf16: return first_with_exponent<uint16_t>(data, count, 0x7f80u);
    case plan::PlanDtype::f16: return first_with_exponent<uint16_t>(data, count, 0x7c00u);
    case plan::PlanDtype::f8e4m3: return first_nan_e4m3(data, count);
    case plan::PlanDtype::nvfp4:
    case plan::PlanDtype::i32:
    case plan::PlanDtype::i8: break;
  }
  return no_index;
}

const char* name_of_not_finite(const char* data, plan::PlanDtype dtype, size_t index) {
  switch (dtype) {
    case plan::PlanDtype::f32: return name_of_bits<uint32_t>(data, index, 0x7fffffu);
    case plan::PlanDtype::bf16: return name_of_bits<uint16_t>(data, index, 0x7fu);
    case plan::PlanDtype::f16: return name_of_bits<uint16_t>(data, index, 0x3ffu);
    case plan::PlanDtype::f8e4m3: return "NaN";
    case plan::PlanDtype::nvfp4:
    case plan::PlanDtype::i32:
    case plan::PlanDtype::i8: break;
  }
  return "finite";
}

}  // namespace weft
