// Tiles by the AMX unit.
#pragma once

#include "tile_operands.h"

namespace weft::cpu {
namespace {

struct Tiles : TileOperands {
  static constexpr bool available = true;

  // The unit is set up for as long as this lives: all eight tiles have 16 rows of 64 bytes. Afterwards the thread has no
  // tiles to be saved.
  struct Session {
    Session() {
      alignas(64) static constexpr uint8_t configuration[64] = {
          1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,                       // palette
          64, 0, 64, 0, 64, 0, 64, 0, 64, 0, 64, 0, 64, 0, 64, 0,                // bytes of a row
          0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
          16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0};               // rows
      _tile_loadconfig(configuration);
    }
    ~Session() { _tile_release(); }
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;
  };

  // sums[w_tiles][x_tiles] = the products of 1 or 2 tiles of W with 1 or 2 of X over `steps` steps along depth. The
  // steps of a tile lie one behind the other, `stride` elements from those of the next tile.
  static void multiply(size_t w_tiles, size_t x_tiles, size_t steps, const uint16_t* w, const uint16_t* x, size_t stride,
                       float* to) {
    if (w_tiles > 1) x_tiles > 1 ? multiply<2, 2>(steps, w, x, stride, to) : multiply<2, 1>(steps, w, x, stride, to);
    else x_tiles > 1 ? multiply<1, 2>(steps, w, x, stride, to) : multiply<1, 1>(steps, w, x, stride, to);
  }

 private:
  // Registers are written as literals, which is all that GCC's intrinsics take: 0 to 3 are the sums, 4 and 5 W, 6 and 7 X.
  template <size_t w_tiles, size_t x_tiles>
  static void multiply(size_t steps, const uint16_t* w, const uint16_t* x, size_t stride, float* to) {
    asm volatile("" ::: "memory");  // those that load do not say that they read memory
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (size_t step = 0; step < steps; ++step, w += elements, x += elements) {
      _tile_loadd(4, w, 64);
      _tile_loadd(6, x, 64);
      _tile_dpbf16ps(0, 4, 6);
      if constexpr (x_tiles > 1) {
        _tile_loadd(7, x + stride, 64);
        _tile_dpbf16ps(1, 4, 7);
      }
      if constexpr (w_tiles > 1) {
        _tile_loadd(5, w + stride, 64);
        _tile_dpbf16ps(2, 5, 6);
        if constexpr (x_tiles > 1) _tile_dpbf16ps(3, 5, 7);
      }
    }
    _tile_stored(0, to, 64);
    if constexpr (x_tiles > 1) _tile_stored(1, to + sums, 64);
    if constexpr (w_tiles > 1) {
      _tile_stored(2, to + x_tiles * sums, 64);
      if constexpr (x_tiles > 1) _tile_stored(3, to + 3 * sums, 64);
    }
  }
};

}  // namespace
}  // namespace weft::cpu
