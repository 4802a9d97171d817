// Elementary functions on one vector. Polynomials interpolate at Chebyshev nodes, computed in 50 digits.
#pragma once

namespace weft::cpu {
namespace {

inline Vec::F32 absolute(Vec::F32 x) { return Vec::from_bits(Vec::and_i32(Vec::bits(x), Vec::set_i32(0x7fffffff))); }
inline Vec::F32 negate(Vec::F32 x) { return Vec::from_bits(Vec::xor_i32(Vec::bits(x), Vec::set_i32(INT32_MIN))); }
inline Vec::F32 with_sign_of(Vec::F32 magnitude, Vec::F32 sign) {
  return Vec::from_bits(Vec::or_i32(Vec::bits(magnitude), Vec::and_i32(Vec::bits(sign), Vec::set_i32(INT32_MIN))));
}

// NaN if either operand is NaN; the bare instructions drop one of them.
inline Vec::F32 maximum(Vec::F32 a, Vec::F32 b) { return Vec::choose(Vec::equal(a, a), Vec::max(a, b), a); }
inline Vec::F32 minimum(Vec::F32 a, Vec::F32 b) { return Vec::choose(Vec::equal(a, a), Vec::min(a, b), a); }

// x * 2^n for whole n in [-252, 254], in two exact or once rounded steps so that denormal results are right.
template <class V = Vec>
inline typename V::F32 scale_by_power_of_two(typename V::F32 x, typename V::F32 n) {
  if constexpr (V::scales) return V::scale(x, n);
  const Vec::I32 power = Vec::to_i32(n), bias = Vec::set_i32(127);
  const Vec::I32 half = Vec::shift_right_signed<1>(power);
  const Vec::I32 rest = Vec::sub_i32(power, half);
  const Vec::F32 first = Vec::from_bits(Vec::shift_left<23>(Vec::add_i32(half, bias)));
  const Vec::F32 second = Vec::from_bits(Vec::shift_left<23>(Vec::add_i32(rest, bias)));
  return Vec::mul(Vec::mul(x, first), second);
}

// ln 2 in two parts; the first has so few bits that its product with a whole number is exact without an FMA.
constexpr float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;

// e^x = 2^n e^r with |r| <= ln(2) / 2.
inline Vec::F32 exponential(Vec::F32 x) {
  // Beyond these bounds the result is infinite or zero anyway. The operand order lets a NaN through.
  x = Vec::max(Vec::set(-105.0f), Vec::min(Vec::set(90.0f), x));
  const Vec::F32 n = Vec::round(Vec::mul(x, Vec::set(1.44269504f)));
  const Vec::F32 r = Vec::multiply_add(n, Vec::set(-ln2_low), Vec::multiply_add(n, Vec::set(-ln2_high), x));
  Vec::F32 p = Vec::set(1.392637600e-03f);
  p = Vec::multiply_add(p, r, Vec::set(8.363333082e-03f));
  p = Vec::multiply_add(p, r, Vec::set(4.166655346e-02f));
  p = Vec::multiply_add(p, r, Vec::set(1.666657606e-01f));
  p = Vec::multiply_add(p, r, Vec::set(0.5f));
  p = Vec::multiply_add(p, Vec::mul(r, r), r);
  return scale_by_power_of_two(Vec::add(p, Vec::set(1.0f)), n);
}

// ln x = e ln 2 + ln(1 + f) with 1 + f in [sqrt(1/2), sqrt(2)).
inline Vec::F32 logarithm(Vec::F32 x) {
  const Vec::Mask tiny = Vec::less(x, Vec::set(0x1p-126f));
  const Vec::F32 normal = Vec::choose(tiny, Vec::mul(x, Vec::set(0x1p25f)), x);
  // Subtracting the bits of sqrt(1/2) puts the split between exponents there.
  const Vec::I32 offset = Vec::sub_i32(Vec::bits(normal), Vec::set_i32(0x3f3504f3));
  const Vec::I32 exponent = Vec::shift_right_signed<23>(offset);
  Vec::F32 e = Vec::to_f32(exponent);
  e = Vec::choose(tiny, Vec::sub(e, Vec::set(25.0f)), e);
  const Vec::F32 mantissa = Vec::from_bits(
      Vec::add_i32(Vec::and_i32(offset, Vec::set_i32(0x007fffff)), Vec::set_i32(0x3f3504f3)));
  const Vec::F32 f = Vec::sub(mantissa, Vec::set(1.0f));
  const Vec::F32 square = Vec::mul(f, f);
  Vec::F32 p = Vec::set(6.971611471e-02f);
  p = Vec::multiply_add(p, f, Vec::set(-1.147973385e-01f));
  p = Vec::multiply_add(p, f, Vec::set(1.168541992e-01f));
  p = Vec::multiply_add(p, f, Vec::set(-1.242568733e-01f));
  p = Vec::multiply_add(p, f, Vec::set(1.424905765e-01f));
  p = Vec::multiply_add(p, f, Vec::set(-1.666780232e-01f));
  p = Vec::multiply_add(p, f, Vec::set(2.000071575e-01f));
  p = Vec::multiply_add(p, f, Vec::set(-2.499999696e-01f));
  p = Vec::multiply_add(p, f, Vec::set(3.333333118e-01f));
  Vec::F32 y = Vec::mul(Vec::mul(p, f), square);
  y = Vec::multiply_add(e, Vec::set(ln2_low), y);
  y = Vec::multiply_add(square, Vec::set(-0.5f), y);
  Vec::F32 result = Vec::multiply_add(e, Vec::set(ln2_high), Vec::add(f, y));
  const Vec::F32 infinity = Vec::set(__builtin_inff());
  result = Vec::choose(Vec::equal(x, infinity), infinity, result);
  result = Vec::choose(Vec::equal(x, Vec::zero()), negate(infinity), result);
  // Negative or NaN: not (0 <= x).
  return Vec::choose(Vec::less_equal(Vec::zero(), x), result, Vec::set(__builtin_nanf("")));
}

inline Vec::F32 hyperbolic_tangent(Vec::F32 x) {
  const Vec::F32 magnitude = absolute(x), one = Vec::set(1.0f);
  const Vec::F32 square = Vec::mul(x, x);
  Vec::F32 p = Vec::set(-6.096714166e-03f);
  p = Vec::multiply_add(p, square, Vec::set(2.099717900e-02f));
  p = Vec::multiply_add(p, square, Vec::set(-5.385090958e-02f));
  p = Vec::multiply_add(p, square, Vec::set(1.333276974e-01f));
  p = Vec::multiply_add(p, square, Vec::set(-3.333332894e-01f));
  const Vec::F32 small = Vec::multiply_add(Vec::mul(p, square), x, x);
  const Vec::F32 e = exponential(Vec::add(magnitude, magnitude));
  const Vec::F32 large = Vec::sub(one, Vec::div(Vec::set(2.0f), Vec::add(e, one)));
  return Vec::choose(Vec::less(magnitude, Vec::set(0.625f)), small, with_sign_of(large, x));
}

// 1 / (1 + e^-x), from e^-|x| so that the left tail keeps its digits.
inline Vec::F32 logistic(Vec::F32 x) {
  const Vec::F32 e = exponential(negate(absolute(x))), one = Vec::set(1.0f);
  return Vec::div(Vec::choose(Vec::less(x, Vec::zero()), e, one), Vec::add(one, e));
}

inline Vec::F32 sigmoid_linear_unit(Vec::F32 x) {
  const Vec::F32 e = exponential(negate(absolute(x))), one = Vec::set(1.0f);
  const Vec::F32 numerator = Vec::choose(Vec::less(x, Vec::zero()), e, one);
  // Below about -87 e is denormal and has lost digits; the result is then off by at most 1e-43.
  return Vec::div(Vec::mul(x, numerator), Vec::add(one, e));
}

// The bits of x rounded to bf16 (to nearest even, NaN quiet), in the low half of each lane.
inline Vec::I32 bf16_bits(Vec::F32 x) {
  const Vec::I32 bits = Vec::bits(x);
  const Vec::I32 odd = Vec::and_i32(Vec::shift_right<16>(bits), Vec::set_i32(1));
  const Vec::I32 rounded = Vec::shift_right<16>(Vec::add_i32(bits, Vec::add_i32(odd, Vec::set_i32(0x7fff))));
  const Vec::I32 quiet = Vec::or_i32(Vec::shift_right<16>(bits), Vec::set_i32(0x40));
  return Vec::bits(Vec::choose(Vec::equal(x, x), Vec::from_bits(rounded), Vec::from_bits(quiet)));
}

inline Vec::F32 rounded_to_bf16(Vec::F32 x) { return Vec::from_bits(Vec::shift_left<16>(bf16_bits(x))); }

}  // namespace
}  // namespace weft::cpu
