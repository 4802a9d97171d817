// Row functions and conversions against scalar doubles.
#include "checks.h"

namespace weft::cpu::test {

namespace {

const size_t sizes[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 100, 129, 1000};
constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan_value = std::numeric_limits<float>::quiet_NaN();
const float specials[] = {0.0f, -0.0f, 1.0f, -1.0f, infinity, -infinity, nan_value, 1e-45f, -1e-45f, 1e-40f, -3e-39f,
                          1.17549435e-38f, 3.4028235e38f, -3.4028235e38f, 88.7f, 88.8f, 89.5f, -87.0f, -88.0f, -95.0f, -103.0f, -104.5f,
                          0.5f, 0.625f, 0.7071068f, 1.4142135f, 2.5f, -2.5f, 1e10f, -1e10f, 8388608.5f, -0.99999994f};

// |a - b| in units of b's last place, denormals included.
double units_in_last_place(float a, double b) {
  if (std::isnan(b)) return std::isnan(a) ? 0 : 1e30;
  const float nearest = static_cast<float>(b);
  if (a == nearest) return 0;
  if (std::isinf(a) || std::isinf(nearest) || std::isnan(a)) {
    // One step from the largest number to infinity is one unit.
    if (std::isnan(a) || std::fabs(a) < 3e38f || std::fabs(nearest) < 3e38f) return 1e30;
    return 1;
  }
  int exponent;
  std::frexp(nearest, &exponent);
  const double unit = std::ldexp(1.0, (exponent - 24 < -149) ? -149 : exponent - 24);
  return std::fabs(static_cast<double>(a) - b) / unit;
}

struct UnaryCase {
  UnaryOp op;
  const char* name;
  double (*reference)(double);
  float low, high;
  double tolerance;  // units in the last place
};

const UnaryCase unary_cases[] = {
    {UnaryOp::neg, "neg", [](double x) { return -x; }, -10, 10, 0},
    {UnaryOp::abs, "abs", [](double x) { return std::fabs(x); }, -10, 10, 0},
    {UnaryOp::exp, "exp", [](double x) { return std::exp(x); }, -104, 89, 2},
    {UnaryOp::log, "log", [](double x) { return std::log(x); }, 0, 10, 2},
    {UnaryOp::sqrt, "sqrt", [](double x) { return std::sqrt(x); }, 0, 100, 0.5},
    {UnaryOp::rsqrt, "rsqrt", [](double x) { return 1 / std::sqrt(x); }, 0.001f, 100, 1.5},
    {UnaryOp::reciprocal, "reciprocal", [](double x) { return 1 / x; }, -10, 10, 0.5},
    {UnaryOp::sin, "sin", [](double x) { return std::sin(x); }, -100, 100, 1},
    {UnaryOp::cos, "cos", [](double x) { return std::cos(x); }, -100, 100, 1},
    {UnaryOp::tanh, "tanh", [](double x) { return std::tanh(x); }, -10, 10, 2},
    {UnaryOp::sigmoid, "sigmoid", [](double x) { return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x)); }, -104, 50, 3},
    {UnaryOp::silu, "silu", [](double x) { return x < 0 ? x * (std::exp(x) / (1 + std::exp(x))) : x / (1 + std::exp(-x)); }, -80, 50, 3},
    {UnaryOp::square, "square", [](double x) { return x * x; }, -10, 10, 0.5},
    {UnaryOp::floor, "floor", [](double x) { return std::floor(x); }, -10, 10, 0},
    {UnaryOp::logical_not, "logical_not", [](double x) { return x == 0 ? 1.0 : 0.0; }, -1, 1, 0},
};
static_assert(sizeof unary_cases / sizeof unary_cases[0] == unary_op_count);

void test_unary(const KernelTable& kernels) {
  Random random(1);
  for (const UnaryCase& c : unary_cases) {
    const auto row = kernels.unary[static_cast<size_t>(c.op)];
    double worst = 0;
    float worst_at = 0;
    for (size_t n : sizes) {
      Buffer<float> in(n, n % 5), out(n, n % 3);
      for (size_t i = 0; i < n; ++i) in[i] = random.uniform(c.low, c.high);
      row(out.data(), in.data(), n);
      Buffer<float> alone(1, 1);
      bool partition = true;
      for (size_t i = 0; i < n; ++i) {
        const double error = units_in_last_place(out[i], c.reference(in[i]));
        if (error > worst) worst = error, worst_at = in[i];
        row(alone.data(), in.data() + i, 1);
        partition = partition && same_bits(alone[0], out[i]);
      }
      check(partition, "%s %s: an element depends on its neighbours, n = %zu", kernels.name, c.name, n);
      row(in.data(), in.data(), n);  // in place
      bool in_place = true;
      for (size_t i = 0; i < n; ++i) in_place = in_place && same_bits(in[i], out[i]);
      check(in_place, "%s %s: in place, n = %zu", kernels.name, c.name, n);
    }
    // A long sweep for the error bound; log also over all exponents.
    const size_t n = 40000;
    std::vector<float> in(n), out(n);
    for (float& x : in) x = random.uniform(c.low, c.high);
    if (c.op == UnaryOp::log || c.op == UnaryOp::sqrt)
      for (size_t i = 0; i < n; i += 2) in[i] = float_of(static_cast<uint32_t>(random.below(0x7f800000)));
    if (c.op == UnaryOp::tanh || c.op == UnaryOp::silu)
      for (size_t i = 0; i < n; i += 2) in[i] = random.uniform(-1, 1) * 0.7f;
    row(out.data(), in.data(), n);
    for (size_t i = 0; i < n; ++i) {
      const double error = units_in_last_place(out[i], c.reference(in[i]));
      if (error > worst) worst = error, worst_at = in[i];
    }
    check(worst <= c.tolerance, "%s %s: error %.2f ulp at %.9g, allowed %.1f", kernels.name, c.name, worst,
          static_cast<double>(worst_at), c.tolerance);
    for (float x : specials) {
      float y;
      row(&y, &x, 1);
      if (c.op == UnaryOp::silu && std::isinf(x) && x < 0) continue;  // -infinity * 0, as x * sigmoid(x)
      const double error = units_in_last_place(y, c.reference(x));
      if (c.op == UnaryOp::silu && x < -87 && std::fabs(y - c.reference(x)) < 1e-43) continue;
      check(error <= c.tolerance, "%s %s(%.9g) = %.9g, expected %.9g", kernels.name, c.name, static_cast<double>(x),
            static_cast<double>(y), c.reference(x));
    }
  }
}

float binary_reference(BinaryOp op, float a, float b) {
  switch (op) {
    case BinaryOp::add: return a + b;
    case BinaryOp::sub: return a - b;
    case BinaryOp::mul: return a * b;
    case BinaryOp::div: return a / b;
    case BinaryOp::max: return a != a ? a : b != b ? b : a > b ? a : b;
    case BinaryOp::min: return a != a ? a : b != b ? b : a < b ? a : b;
    case BinaryOp::pow: return std::pow(a, b);
    case BinaryOp::less: return a < b ? 1.0f : 0.0f;
    case BinaryOp::less_equal: return a <= b ? 1.0f : 0.0f;
    case BinaryOp::equal: return a == b ? 1.0f : 0.0f;
  }
  return 0;
}

void test_binary(const KernelTable& kernels) {
  Random random(2);
  for (size_t index = 0; index < binary_op_count; ++index) {
    const BinaryOp op = static_cast<BinaryOp>(index);
    const auto good = [](float x, float y) { return same_bits(x, y) || x == y; };  // max(0, -0) may be either
    for (size_t n : sizes) {
      Buffer<float> a(n, n % 3), b(n, n % 5), out(n, n % 7);
      for (size_t i = 0; i < n; ++i) {
        a[i] = random.below(8) == 0 ? specials[random.below(sizeof specials / 4)] : std::floor(random.uniform(-4, 4));
        b[i] = random.below(8) == 0 ? specials[random.below(sizeof specials / 4)] : std::floor(random.uniform(-4, 4));
      }
      const float scalar = n % 2 ? 3.0f : -2.5f;
      bool vectors = true, right = true, left = true;
      kernels.binary[index](out.data(), a.data(), b.data(), n);
      for (size_t i = 0; i < n; ++i) vectors = vectors && good(out[i], binary_reference(op, a[i], b[i]));
      kernels.binary_vector_scalar[index](out.data(), a.data(), scalar, n);
      for (size_t i = 0; i < n; ++i) right = right && good(out[i], binary_reference(op, a[i], scalar));
      kernels.binary_scalar_vector[index](out.data(), scalar, b.data(), n);
      for (size_t i = 0; i < n; ++i) left = left && good(out[i], binary_reference(op, scalar, b[i]));
      check(vectors, "%s binary %zu: vectors, n = %zu", kernels.name, index, n);
      check(right, "%s binary %zu: vector and scalar, n = %zu", kernels.name, index, n);
      check(left, "%s binary %zu: scalar and vector, n = %zu", kernels.name, index, n);
    }
  }
}

void test_others(const KernelTable& kernels) {
  Random random(3);
  for (size_t n : sizes) {
    Buffer<float> a(n, 1), b(n, 2), c(n, 3), mask(n, 1), out(n, 2);
    for (size_t i = 0; i < n; ++i) {
      a[i] = random.uniform(-2, 2), b[i] = random.uniform(-2, 2), c[i] = random.uniform(-2, 2);
      mask[i] = random.below(3) ? static_cast<float>(random.below(3)) - 1.0f : nan_value;
    }
    bool good = true;
    kernels.select(out.data(), mask.data(), a.data(), b.data(), n);
    for (size_t i = 0; i < n; ++i) good = good && out[i] == (mask[i] != 0 ? a[i] : b[i]);
    kernels.multiply_add(out.data(), a.data(), b.data(), c.data(), n);
    for (size_t i = 0; i < n; ++i) good = good && std::fabs(out[i] - (double{a[i]} * b[i] + c[i])) < 1e-6;
    kernels.multiply_add_scalar(out.data(), a.data(), 1.5f, c.data(), n);
    for (size_t i = 0; i < n; ++i) good = good && std::fabs(out[i] - (a[i] * 1.5 + c[i])) < 1e-6;
    kernels.copy(out.data(), a.data(), n);
    for (size_t i = 0; i < n; ++i) good = good && out[i] == a[i];
    kernels.fill(out.data(), 7.25f, n);
    for (size_t i = 0; i < n; ++i) good = good && out[i] == 7.25f;
    check(good, "%s select, multiply_add, copy, fill: n = %zu", kernels.name, n);
  }
}

void test_reductions(const KernelTable& kernels) {
  Random random(4);
  for (size_t n : {0, 1, 2, 3, 5, 15, 16, 17, 100, 127, 128, 129, 1000, 4095, 4096, 4097, 20000, 151936}) {
    Buffer<float> a(n, n % 5), b(n, n % 3);
    double sum = 0, squares = 0, product = 0, magnitude = 1e-30;
    float top = -infinity;
    for (size_t i = 0; i < n; ++i) {
      a[i] = random.uniform(-1, 3), b[i] = random.uniform(-1, 1);
      sum += a[i], squares += double{a[i]} * a[i], product += double{a[i]} * b[i], magnitude += std::fabs(a[i]);
      top = a[i] > top ? a[i] : top;
    }
    check(std::fabs(kernels.reduce_sum(a.data(), n) - sum) <= 1e-6 * magnitude, "%s reduce_sum: n = %zu", kernels.name, n);
    check(std::fabs(kernels.reduce_sum_of_squares(a.data(), n) - squares) <= 1e-6 * squares, "%s reduce_sum_of_squares: n = %zu", kernels.name, n);
    check(std::fabs(kernels.dot(a.data(), b.data(), n) - product) <= 1e-6 * magnitude, "%s dot: n = %zu", kernels.name, n);
    check(kernels.reduce_max(a.data(), n) == top, "%s reduce_max: n = %zu", kernels.name, n);
    if (n == 0) continue;
    const size_t at = random.below(n);
    a[at] = nan_value;
    check(std::isnan(kernels.reduce_max(a.data(), n)), "%s reduce_max keeps NaN: n = %zu, at %zu", kernels.name, n, at);
    a[at] = infinity;
    check(kernels.reduce_max(a.data(), n) == infinity, "%s reduce_max of infinity: n = %zu", kernels.name, n);
    for (size_t i = 0; i < n; ++i) a[i] = -infinity;
    check(kernels.reduce_max(a.data(), n) == -infinity, "%s reduce_max of -infinity: n = %zu", kernels.name, n);
  }
}

}  // namespace

void test_rows(const KernelTable& kernels) {
  test_unary(kernels);
  test_binary(kernels);
  test_others(kernels);
  test_reductions(kernels);
}

void test_conversions(const KernelTable& kernels) {
  // Every half there is, both ways.
  Buffer<uint16_t> halves(65536, 1), back(65536, 3);
  Buffer<float> wide(65536, 1);
  for (size_t i = 0; i < 65536; ++i) halves[i] = static_cast<uint16_t>(i);
  bool exact = true, returns = true;
  kernels.bf16_to_f32(wide.data(), halves.data(), 65536);
  for (size_t i = 0; i < 65536; ++i) exact = exact && bits_of(wide[i]) == static_cast<uint32_t>(i) << 16;
  kernels.f32_to_bf16(back.data(), wide.data(), 65536);
  for (size_t i = 0; i < 65536; ++i) returns = returns && (back[i] == i || (wide[i] != wide[i] && back[i] == (i | 0x40)));
  check(exact, "%s bf16_to_f32 of every bf16", kernels.name);
  check(returns, "%s bf16 to f32 and back", kernels.name);
  exact = returns = true;
  kernels.f16_to_f32(wide.data(), halves.data(), 65536);
  for (size_t i = 0; i < 65536; ++i) exact = exact && same_bits(wide[i], from_f16(static_cast<uint16_t>(i)));
  kernels.f32_to_f16(back.data(), wide.data(), 65536);
  for (size_t i = 0; i < 65536; ++i) returns = returns && (back[i] == i || wide[i] != wide[i]);
  check(exact, "%s f16_to_f32 of every f16", kernels.name);
  check(returns, "%s f16 to f32 and back", kernels.name);

  Random random(5);
  for (size_t n : sizes) {
    Buffer<float> in(n, n % 3), rounded(n, 1), widened(n, 2);
    Buffer<uint16_t> out(n, n % 7);
    for (size_t i = 0; i < n; ++i) in[i] = float_of(static_cast<uint32_t>(random.bits()));
    kernels.f32_to_bf16(out.data(), in.data(), n);
    kernels.round_to_bf16(rounded.data(), in.data(), n);
    bool good = true;
    for (size_t i = 0; i < n; ++i) good = good && out[i] == to_bf16(in[i]) && bits_of(rounded[i]) == static_cast<uint32_t>(out[i]) << 16;
    check(good, "%s f32_to_bf16, round_to_bf16: n = %zu", kernels.name, n);
    kernels.bf16_to_f32(widened.data(), out.data(), n);
    good = true;
    for (size_t i = 0; i < n; ++i) good = good && same_bits(widened[i], rounded[i]);
    // f16: nothing representable is closer than the result, ties go to even.
    kernels.f32_to_f16(out.data(), in.data(), n);
    check(good, "%s bf16_to_f32: n = %zu", kernels.name, n);
  }
  // Random rounding: each element by itself is the same as in any row, and the bits are Philox's.
  for (size_t n : sizes) {
    const RandomStream stream{0xabcdef, 0x123456, 99};
    const uint64_t place = (uint64_t{1} << 35) - 24 + n % 11;
    Buffer<float> in(n, n % 3), out(n, 1);
    for (size_t i = 0; i < n; ++i) in[i] = float_of(static_cast<uint32_t>(random.bits()));
    kernels.stochastic_round(out.data(), in.data(), place, stream, n);
    bool good = true;
    for (size_t i = 0; i < n; ++i) {
      const uint32_t bits = bits_of(in[i]), magnitude = bits & 0x7fffffff;
      uint32_t expected = (bits | 0x400000) & 0xffff0000;
      if (magnitude <= 0x7f800000) {
        const uint32_t moved = magnitude + random_half(place + i, stream);
        expected = ((bits & 0x80000000) | (moved < 0x7f800000 ? moved : magnitude)) & 0xffff0000;
      }
      good = good && bits_of(out[i]) == expected;
    }
    check(good, "%s stochastic_round: n = %zu", kernels.name, n);
  }
  bool nearest = true;
  for (int i = 0; i < 20000; ++i) {
    const float x = std::ldexp(random.uniform(-2, 2), static_cast<int>(random.below(44)) - 27);
    uint16_t h;
    kernels.f32_to_f16(&h, &x, 1);
    const double error = std::fabs(from_f16(h) - double{x});
    for (int step : {-1, 1}) {
      const float other = from_f16(static_cast<uint16_t>(h + step));
      if (std::isnan(other) || std::isinf(other) || std::isinf(from_f16(h)) || std::signbit(other) != std::signbit(x)) continue;
      const double distance = std::fabs(other - double{x});
      nearest = nearest && (error < distance || (error == distance && (h & 1) == 0));
    }
    if (std::fabs(x) >= 65520.0f) nearest = nearest && std::isinf(from_f16(h));
    if (std::fabs(x) < 65520.0f) nearest = nearest && !std::isinf(from_f16(h));
  }
  check(nearest, "%s f32_to_f16 rounds to nearest even", kernels.name);
}

}  // namespace weft::cpu::test
