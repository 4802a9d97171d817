// gemv and gemm_panel against double loops; partition independence.
#include "checks.h"

namespace weft::cpu::test {

namespace {

struct Problem {
  size_t rows, columns, depth;
};

double expected(const Stored& a, size_t a_first, size_t a_step, const Stored& w, size_t w_first, size_t w_step, size_t depth, double& magnitude) {
  double sum = 0;
  magnitude = 0;
  for (size_t k = 0; k < depth; ++k) {
    const double product = a.value(a_first + k * a_step) * w.value(w_first + k * w_step);
    sum += product;
    magnitude += std::fabs(product);
  }
  return sum;
}

// f32 sums of `depth` terms: a few roundings along each lane and block.
double tolerance(double magnitude, size_t depth) { return (2e-7 * std::sqrt(static_cast<double>(depth)) + 2e-7) * magnitude + 1e-30; }

void test_gemv(const KernelTable& kernels, DType x_type, DType w_type, Problem p, Random& random) {
  const size_t x_stride = p.depth + random.below(5), w_stride = p.depth + random.below(9), y_stride = p.columns + random.below(3);
  Stored x(x_type, p.rows * x_stride, 1, random), w(w_type, p.columns * w_stride, random.below(40), random);
  Buffer<float> y(p.rows * y_stride, 1), part(p.rows * y_stride, 3);
  GemvArguments g{p.rows, p.columns, p.depth, x.data(), x_type, x_stride, w.data(), w_type, w_stride, y.data(), y_stride};
  kernels.gemv(g);
  double worst = 0;
  for (size_t m = 0; m < p.rows; ++m)
    for (size_t n = 0; n < p.columns; ++n) {
      double magnitude;
      const double sum = expected(x, m * x_stride, 1, w, n * w_stride, 1, p.depth, magnitude);
      worst = std::fmax(worst, std::fabs(y[m * y_stride + n] - sum) / tolerance(magnitude, p.depth));
      if (!std::isfinite(y[m * y_stride + n])) worst = 1e30;
    }
  check(worst <= 1, "%s gemv %s x %s, %zu x %zu x %zu: %.2f of the tolerance", kernels.name, name_of(x_type), name_of(w_type),
        p.rows, p.columns, p.depth, worst);
  // Any split of the columns and of the rows gives the same bits.
  for (size_t n = 0; n < p.columns;) {
    const size_t count = 1 + random.below(p.columns - n);
    for (size_t m = 0; m < p.rows;) {
      const size_t some = 1 + random.below(p.rows - m);
      GemvArguments s = g;
      s.rows = some, s.columns = count;
      s.x = x.at(m * x_stride), s.w = w.at(n * w_stride), s.y = part.data() + m * y_stride + n;
      kernels.gemv(s);
      m += some;
    }
    n += count;
  }
  bool same = true;
  for (size_t m = 0; m < p.rows; ++m)
    for (size_t n = 0; n < p.columns; ++n) same = same && same_bits(y[m * y_stride + n], part[m * y_stride + n]);
  check(same, "%s gemv %s x %s, %zu x %zu x %zu: depends on the partition", kernels.name, name_of(x_type), name_of(w_type), p.rows, p.columns, p.depth);
}

enum class Order { rows, columns, odd };  // which stride is 1, or neither

void test_gemm(const KernelTable& kernels, DType a_type, DType w_type, Problem p, Order a_order, Order w_order, Random& random) {
  size_t a_row, a_depth, w_column, w_depth;
  const auto strides = [&](Order order, size_t outer, size_t& row, size_t& depth) {
    if (order == Order::rows) row = p.depth + random.below(4), depth = 1;
    else if (order == Order::columns) row = 1, depth = outer + random.below(4);
    else row = 3 * p.depth + 2, depth = 3;
  };
  strides(a_order, p.rows, a_row, a_depth);
  strides(w_order, p.columns, w_column, w_depth);
  const size_t c_stride = p.columns + random.below(4);
  Stored a(a_type, (p.rows - 1) * a_row + (p.depth - 1) * a_depth + 1, 1, random);
  Stored w(w_type, (p.columns - 1) * w_column + (p.depth - 1) * w_depth + 1, 3, random);
  Buffer<float> c(p.rows * c_stride, 1), other(p.rows * c_stride, 2);
  GemmArguments g{p.rows, p.columns, p.depth, a.data(), a_type, a_row, a_depth, nullptr, w.data(), w_type, w_column, w_depth, c.data(), c_stride, false, nullptr};
  {
    Scratch scratch(kernels.gemm_scratch_bytes(p.rows, p.columns, p.depth, a_type, w_type, false));
    g.scratch = scratch.data();
    kernels.gemm_panel(g);
  }
  double worst = 0;
  for (size_t m = 0; m < p.rows; ++m)
    for (size_t n = 0; n < p.columns; ++n) {
      double magnitude;
      const double sum = expected(a, m * a_row, a_depth, w, n * w_column, w_depth, p.depth, magnitude);
      worst = std::fmax(worst, std::fabs(c[m * c_stride + n] - sum) / tolerance(magnitude, p.depth));
      if (!std::isfinite(c[m * c_stride + n])) worst = 1e30;
    }
  check(worst <= 1, "%s gemm %s x %s, %zu x %zu x %zu, orders %d %d: %.2f of the tolerance", kernels.name, name_of(a_type), name_of(w_type),
        p.rows, p.columns, p.depth, static_cast<int>(a_order), static_cast<int>(w_order), worst);

  // Packed A, in items out of order, and panels of any width.
  Scratch packed(kernels.pack_a_bytes(p.rows, p.depth, a_type, w_type));
  const size_t items = kernels.pack_a_items(p.rows, p.depth, a_type, w_type);
  const size_t cut = random.below(items + 1);
  kernels.pack_a(g, packed.data(), cut, items);
  kernels.pack_a(g, packed.data(), 0, cut);
  for (size_t n = 0; n < p.columns;) {
    const size_t count = 1 + random.below(p.columns - n);
    Scratch scratch(kernels.gemm_scratch_bytes(p.rows, count, p.depth, a_type, w_type, true));
    GemmArguments s = g;
    s.a = nullptr, s.packed_a = packed.data(), s.scratch = scratch.data(), s.columns = count;
    s.w = w.at(n * w_column), s.c = other.data() + n;
    kernels.gemm_panel(s);
    n += count;
  }
  bool same = true;
  for (size_t m = 0; m < p.rows; ++m)
    for (size_t n = 0; n < p.columns; ++n) same = same && same_bits(c[m * c_stride + n], other[m * c_stride + n]);
  check(same, "%s gemm %s x %s, %zu x %zu x %zu: packed panels differ from the whole", kernels.name, name_of(a_type), name_of(w_type), p.rows, p.columns, p.depth);
  // A range of rows, with the same column panel.
  const size_t first = random.below(p.rows), count = 1 + random.below(p.rows - first);
  Scratch scratch(kernels.gemm_scratch_bytes(count, p.columns, p.depth, a_type, w_type, false));
  GemmArguments s = g;
  s.rows = count, s.a = a.at(first * a_row), s.c = other.data() + first * c_stride, s.scratch = scratch.data();
  kernels.gemm_panel(s);
  same = true;
  for (size_t m = first; m < first + count; ++m)
    for (size_t n = 0; n < p.columns; ++n) same = same && same_bits(c[m * c_stride + n], other[m * c_stride + n]);
  check(same, "%s gemm %s x %s, %zu x %zu x %zu: depends on the rows", kernels.name, name_of(a_type), name_of(w_type), p.rows, p.columns, p.depth);
  // Added onto what is there: where that is the opposite of the product, nothing is left but rounding between blocks.
  for (size_t i = 0; i < p.rows * c_stride; ++i) other[i] = -c[i];
  Scratch whole(kernels.gemm_scratch_bytes(p.rows, p.columns, p.depth, a_type, w_type, false));
  s = g;
  s.accumulate = true, s.c = other.data(), s.scratch = whole.data();
  kernels.gemm_panel(s);
  worst = 0;
  for (size_t m = 0; m < p.rows; ++m)
    for (size_t n = 0; n < p.columns; ++n) {
      double magnitude;
      expected(a, m * a_row, a_depth, w, n * w_column, w_depth, p.depth, magnitude);
      worst = std::fmax(worst, std::fabs(other[m * c_stride + n]) / tolerance(magnitude, p.depth));
    }
  check(worst <= 1, "%s gemm %s x %s, %zu x %zu x %zu added: %.2f of the tolerance", kernels.name, name_of(a_type),
        name_of(w_type), p.rows, p.columns, p.depth, worst);
}

}  // namespace

void test_matmul(const KernelTable& kernels) {
  Random random(6);
  const DType x_types[] = {DType::f32, DType::bf16}, w_types[] = {DType::f32, DType::bf16, DType::f16, DType::f8e4m3};
  for (DType x : x_types)
    for (DType w : w_types) {
      for (size_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 17})
        for (size_t depth : {1, 31, 64, 100, 193}) test_gemv(kernels, x, w, {rows, 1 + random.below(13), depth}, random);
      for (int i = 0; i < 30; ++i) test_gemv(kernels, x, w, {1 + random.below(9), 1 + random.below(40), 1 + random.below(300)}, random);
      test_gemv(kernels, x, w, {1, 64, 3072}, random);

      for (size_t rows : {1, 2, 3, 5, 6, 7, 13, 14, 15, 28, 29, 43})
        for (size_t columns : {1, 15, 16, 31, 33, 65}) test_gemm(kernels, x, w, {rows, columns, 1 + random.below(70)}, Order::rows, Order::rows, random);
      for (size_t depth : {1, 2, 3, 15, 16, 17, 383, 384, 385, 768, 769, 1025, 1537})
        test_gemm(kernels, x, w, {1 + random.below(30), 1 + random.below(70), depth}, Order::rows, Order::rows, random);
      for (Order a_order : {Order::rows, Order::columns, Order::odd})
        for (Order w_order : {Order::rows, Order::columns, Order::odd})
          for (int i = 0; i < 4; ++i)
            test_gemm(kernels, x, w, {1 + random.below(40), 1 + random.below(80), 1 + random.below(450)}, a_order, w_order, random);
    }
  // Depth zero gives zeros, and NaN is not lost.
  Buffer<float> y(6, 1);
  float none = 0;
  kernels.gemv({2, 3, 0, &none, DType::f32, 0, &none, DType::f32, 0, y.data(), 3});
  bool zero = true;
  for (size_t i = 0; i < 6; ++i) zero = zero && y[i] == 0, y[i] = 1;
  kernels.gemm_panel({2, 3, 0, &none, DType::f32, 0, 1, nullptr, &none, DType::f32, 0, 1, y.data(), 3, false, nullptr});
  for (size_t i = 0; i < 6; ++i) zero = zero && y[i] == 0;
  check(zero, "%s products of depth 0", kernels.name);
  for (DType x : x_types)
    for (DType w : w_types)
      check(kernels.prefer_gemv(1, 1024, 1024, x, w) && !kernels.prefer_gemv(512, 1024, 1024, x, w), "%s prefer_gemv", kernels.name);
}

}  // namespace weft::cpu::test
