// No product of bytes: NVFP4 is multiplied in f32.
#pragma once

namespace weft::cpu {
namespace {

struct ByteDot {
  static constexpr bool available = false;
};

}  // namespace
}  // namespace weft::cpu
