// For instruction sets without a unit that multiplies tiles.
#pragma once

namespace weft::cpu {
namespace {

struct Tiles {
  static constexpr bool available = false;
};

}  // namespace
}  // namespace weft::cpu
