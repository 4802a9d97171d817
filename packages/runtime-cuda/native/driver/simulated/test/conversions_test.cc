// Every bf16 and f16 value, and f32 around every place where rounding turns and around the ends of i32, against a
// definition in f64.
#include <algorithm>
#include <cmath>
#include <limits>

#include "simulation.h"

namespace weft::cuda::test {

namespace {

// A format of 16 bits by its definition: sign, exponent, mantissa.
struct Format {
  int exponent_bits, mantissa_bits;
  int bias() const { return (1 << (exponent_bits - 1)) - 1; }
  int top() const { return (1 << exponent_bits) - 1; }

  double value(u16 bits) const {
    const double sign = bits >> 15 ? -1 : 1;
    const int exponent = (bits >> mantissa_bits) & top();
    const int mantissa = bits & ((1 << mantissa_bits) - 1);
    if (exponent == top())
      return mantissa != 0 ? std::numeric_limits<double>::quiet_NaN() : sign * std::numeric_limits<double>::infinity();
    if (exponent == 0) return sign * std::ldexp(mantissa, 1 - bias() - mantissa_bits);
    return sign * std::ldexp((1 << mantissa_bits) + mantissa, exponent - bias() - mantissa_bits);
  }

  // To nearest, ties to even, of what is not NaN.
  u16 rounded(double x) const {
    const u16 sign = static_cast<u16>(std::signbit(x) ? 0x8000 : 0);
    const double magnitude = std::fabs(x);
    // The spacing of values here; for subnormals that of the smallest normal ones.
    const int exponent = magnitude == 0 ? 1 - bias() : std::max(std::ilogb(magnitude), 1 - bias());
    if (std::isinf(magnitude)) return static_cast<u16>(sign | top() << mantissa_bits);
    const double steps = std::nearbyint(std::ldexp(magnitude, mantissa_bits - exponent));
    // Steps count on from the bits of the exponent; rounding up to the next power of two carries into it.
    const double bits = steps + std::ldexp(exponent - 1 + bias(), mantissa_bits);
    return static_cast<u16>(sign | static_cast<u16>(std::min(bits, std::ldexp(top(), mantissa_bits))));
  }
};

constexpr Format brain = {8, 7}, half = {5, 10};

bool same(double a, double b) {
  return std::isnan(a) ? std::isnan(b) : a == b && std::signbit(a) == std::signbit(b);
}

// Around every value of both formats and every middle between two of them.
std::vector<float> turning_points() {
  std::vector<float> points;
  for (const Format& format : {brain, half})
    for (u32 bits = 0; bits < 0x8000; ++bits) {
      const double value = format.value(static_cast<u16>(bits)), next = format.value(static_cast<u16>(bits + 1));
      for (const double point : {value, (value + next) / 2}) {
        if (std::isnan(point)) continue;
        const float x = static_cast<float>(point);
        for (const float near : {std::nextafter(x, 0.0f), x, std::nextafter(x, INFINITY)}) {
          points.push_back(near);
          points.push_back(-near);
        }
      }
    }
  for (const float end : {2147483648.0f, 16777216.0f, 1.0f, 0.5f})
    for (const float near : {std::nextafter(end, 0.0f), end, std::nextafter(end, INFINITY), end + 0.5f}) {
      points.push_back(near);
      points.push_back(-near);
    }
  points.push_back(INFINITY);
  points.push_back(-INFINITY);
  for (const u32 nan : {0x7f800001u, 0x7fc00000u, 0xffffffffu, 0xff800001u, 0x7f80ffffu}) {
    float value;
    std::memcpy(&value, &nan, sizeof(value));
    points.push_back(value);
  }
  return points;
}

}  // namespace

void test_conversions() {
  Simulation simulation;
  const std::vector<float> points = turning_points();
  const size_t count = points.size();
  const Slot wide_bf16 = simulation.empty(65536 * 4), wide_f16 = simulation.empty(65536 * 4);
  const Slot to_bf16 = simulation.empty(count * 2), to_f16 = simulation.empty(count * 2);
  const Slot rounded = simulation.empty(count * 4), whole = simulation.empty(count * 4);
  const Status status =
      simulation.launch("primitives", "conversions", {.blocks = 3, .threads = 64, .symbols = {static_cast<i32>(count)}},
                        {wide_bf16, wide_f16, simulation.buffer(points), to_bf16, to_f16, rounded, whole});
  if (!check(status == success, "conversions: " + simulation.driver.details())) return;
  const std::vector<float> brains = simulation.values<float>(wide_bf16), halves = simulation.values<float>(wide_f16);
  for (u32 bits = 0; bits < 65536; ++bits) {
    check(same(brains[bits], brain.value(static_cast<u16>(bits))), "widen bf16 " + std::to_string(bits));
    check(same(halves[bits], half.value(static_cast<u16>(bits))), "widen f16 " + std::to_string(bits));
  }
  const std::vector<u16> narrow = simulation.values<u16>(to_bf16), narrower = simulation.values<u16>(to_f16);
  const std::vector<float> back = simulation.values<float>(rounded);
  const std::vector<i32> integers = simulation.values<i32>(whole);
  for (size_t i = 0; i < count; ++i) {
    const double x = points[i];
    const std::string what = " of " + std::to_string(x);
    if (std::isnan(x)) {
      check(std::isnan(brain.value(narrow[i])) && std::isnan(back[i]), "NaN stays NaN as bf16");
      check(std::isnan(half.value(narrower[i])), "NaN stays NaN as f16");
      check(integers[i] == 0, "NaN becomes 0 as i32");
      continue;
    }
    check(narrow[i] == brain.rounded(x), "narrow to bf16" + what);
    check(narrower[i] == half.rounded(x), "narrow to f16" + what);
    check(same(back[i], brain.value(narrow[i])), "rounded to bf16" + what);
    const double nearest = std::clamp(std::trunc(x), -2147483648.0, 2147483647.0);
    check(integers[i] == static_cast<i32>(nearest), "to i32" + what);
  }
}

}  // namespace weft::cuda::test
