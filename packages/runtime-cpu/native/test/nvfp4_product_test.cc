// Products with weights in NVFP4: by definition to the bit, whatever the number of rows and the part that is asked for.
// Where tiles multiply, that is said of the rows that are streamed and of those that are not, each by itself; what tiles
// add up is held in tiles_test.cc.
#include "checks.h"
#include "formats/nvfp4.h"

namespace weft::cpu::test {

namespace {

struct Weights {
  Weights(size_t all_rows, size_t row_length, Random& random)
      : rows(all_rows), depth(row_length), values(rows * depth), tiles(cpu::nvfp4_tiled_bytes(rows, depth), random.below(64)),
        codes(rows * depth / 2), scales(rows * depth / nvfp4_block) {
    for (uint8_t& code : codes) code = static_cast<uint8_t>(random.bits());
    // All scales there are, subnormal ones too, but NaN: what a NaN makes of a sum is asked apart.
    for (uint8_t& scale : scales) scale = static_cast<uint8_t>(random.below(random.below(4) ? 64 : 127));
    decode_nvfp4(values.data(), codes.data(), scales.data(), values.size());
    weft::nvfp4_to_tiles(tiles.data(), codes.data(), scales.data(), rows, depth);
  }
  float code(size_t row, size_t k) const {
    const size_t at = row * depth + k;
    return decode_e2m1(static_cast<uint8_t>(codes[at / 2] >> (4 * (at & 1))));
  }
  float scale(size_t row, size_t block) const { return decode_e4m3(scales[row * (depth / nvfp4_block) + block]); }
  size_t rows, depth;
  std::vector<float> values;
  Buffer<uint8_t> tiles;
  std::vector<uint8_t> codes, scales;
};

float chain(const Weights& w, size_t column, Stored& x, size_t x_first, bool is_fused) {
  const auto step = [&](float a, float b, float c) {
    if (is_fused) return std::fma(a, b, c);
    volatile float product = a * b;
    return product + c;
  };
  float total = 0;
  for (size_t block = 0; block < w.depth / nvfp4_block; ++block) {
    float sum = 0;
    for (size_t k = block * nvfp4_block; k < (block + 1) * nvfp4_block; ++k)
      sum = step(static_cast<float>(x.value(x_first + k)), w.code(column, k), sum);
    total = step(sum, w.scale(column, block), total);
  }
  return total;
}

// The same where blocks are sums of whole numbers.
float whole_chain(const Weights& w, size_t column, Stored& x, size_t x_first) {
  float total = 0;
  for (size_t block = 0; block < w.depth / nvfp4_block; ++block) {
    const size_t first = block * nvfp4_block;
    double largest = 0;
    for (size_t k = first; k < first + nvfp4_block; ++k) largest = std::max(largest, std::fabs(x.value(x_first + k)));
    // frexp: below 2^exponent. Stored exponents are 126 more, and at least 30.
    int exponent = 0;
    std::frexp(largest, &exponent);
    if (largest == 0 || exponent < 30 - 126) exponent = 30 - 126;
    int64_t sum = 0;
    for (size_t k = first; k < first + nvfp4_block; ++k)
      sum += static_cast<int64_t>(std::nearbyint(std::ldexp(x.value(x_first + k), 22 - exponent))) * std::lrint(2 * w.code(column, k));
    total = std::fma(static_cast<float>(sum), static_cast<float>(std::ldexp(w.scale(column, block), exponent - 23)), total);
  }
  return total;
}

Nvfp4Arguments arguments(Stored& x, size_t rows, size_t x_stride, Weights& w, float* y, size_t y_stride) {
  return {rows, w.rows, w.depth, 0, x.data(), x.type(), x_stride, nullptr, w.tiles.data(), y, y_stride, nullptr};
}

// Whether so many rows have the sum by definition, or that of tiles.
bool is_streamed_sum(const KernelTable& kernels, DType x_type, size_t rows) {
  return !multiplies_by_tiles(kernels) || x_type == DType::f32 || rows <= kernels.nvfp4_most_streamed_rows(x_type);
}

void test_multiply(const KernelTable& kernels, DType x_type, size_t rows, size_t columns, size_t depth, Random& random) {
  Weights w(columns, depth, random);
  const size_t x_stride = depth + random.below(5), y_stride = columns + random.below(4);
  Stored x(x_type, rows * x_stride, 1, random);
  Buffer<float> y(rows * y_stride, 1), part(rows * y_stride, 2);
  Nvfp4Arguments g = arguments(x, rows, x_stride, w, y.data(), y_stride);
  {
    Scratch scratch(kernels.nvfp4_scratch_bytes(rows, columns, depth, x_type, false));
    g.scratch = scratch.data();
    kernels.nvfp4_multiply(g);
  }
  const bool is_fused = std::strcmp(kernels.name, "portable") != 0, is_chain = is_streamed_sum(kernels, x_type, rows);
  const auto by_definition = [&](size_t column, size_t row) {
    return kernels.multiplies_bytes ? whole_chain(w, column, x, row * x_stride) : chain(w, column, x, row * x_stride, is_fused);
  };
  bool exact = true;
  double worst = 0;
  for (size_t m = 0; m < rows; ++m)
    for (size_t n = 0; n < columns; ++n) {
      if (is_chain) exact = exact && same_bits(y[m * y_stride + n], by_definition(n, m));
      double sum = 0, magnitude = 1e-30;
      for (size_t k = 0; k < depth; ++k) {
        const double product = x.value(m * x_stride + k) * w.values[n * depth + k];
        sum += product;
        magnitude += std::fabs(product);
      }
      const double error = std::fabs(y[m * y_stride + n] - sum) / ((2e-7 * std::sqrt(static_cast<double>(depth)) + 2e-7) * magnitude);
      worst = error <= worst ? worst : error;
    }
  check(exact, "%s nvfp4_multiply %s, %zu x %zu x %zu: not the sum by definition", kernels.name, name_of(x_type), rows, columns, depth);
  check(worst <= 1, "%s nvfp4_multiply %s, %zu x %zu x %zu: %.2f of the tolerance", kernels.name, name_of(x_type), rows, columns, depth, worst);

  // Packed, in items out of order; any part of rows and columns, by whichever way its rows are multiplied.
  Scratch packed(kernels.nvfp4_pack_bytes(rows, depth, x_type));
  const size_t items = kernels.nvfp4_pack_items(rows, depth, x_type), cut = random.below(items + 1);
  kernels.nvfp4_pack(g, packed.data(), cut, items);
  kernels.nvfp4_pack(g, packed.data(), 0, cut);
  for (size_t n = 0; n < columns;) {
    const size_t count = 1 + random.below(columns - n);
    const bool is_packed = random.below(2) == 1;
    for (size_t m = 0; m < rows;) {
      size_t some = is_packed ? rows : 1 + random.below(rows - m);
      if (is_streamed_sum(kernels, x_type, some) != is_chain) some = rows - m;
      if (is_streamed_sum(kernels, x_type, some) != is_chain) m = 0, some = rows;
      Scratch scratch(kernels.nvfp4_scratch_bytes(some, count, depth, x_type, is_packed));
      Nvfp4Arguments s = g;
      s.rows = some, s.columns = count, s.first_column = n, s.scratch = scratch.data();
      s.x = x.at(m * x_stride), s.y = part.data() + m * y_stride + n, s.packed_x = is_packed ? packed.data() : nullptr;
      kernels.nvfp4_multiply(s);
      m += some;
    }
    n += count;
  }
  bool same = true;
  for (size_t m = 0; m < rows; ++m)
    for (size_t n = 0; n < columns; ++n) same = same && same_bits(y[m * y_stride + n], part[m * y_stride + n]);
  check(same, "%s nvfp4_multiply %s, %zu x %zu x %zu: depends on the part", kernels.name, name_of(x_type), rows, columns, depth);
}

// A part of the weights as the W of an ordinary product gives the bits of the same floats in memory.
void test_operand(const KernelTable& kernels, DType a_type, bool turned, bool aligned, Random& random) {
  Weights w(20 + random.below(100), nvfp4_block * (1 + random.below(30)), random);
  const size_t first_row = random.below(w.rows) / (aligned ? 16 : 1) * (aligned ? 16 : 1), first_place = random.below(w.depth);
  const size_t some_rows = 1 + random.below(w.rows - first_row), places = 1 + random.below(w.depth - first_place);
  const size_t columns = turned ? places : some_rows, depth = turned ? some_rows : places, rows = 1 + random.below(30);
  Stored a(a_type, rows * depth, 1, random);
  Buffer<float> own(rows * columns, 1), expected(rows * columns, 1);
  Scratch scratch(kernels.gemm_scratch_bytes(rows, columns, depth, a_type, DType::f32, false));
  const float* dense = w.values.data() + first_row * w.depth + first_place;
  GemmArguments g{rows, columns, depth, a.data(), a_type, depth, 1, nullptr, dense, DType::f32, turned ? 1 : w.depth,
                  turned ? w.depth : 1, expected.data(), columns, false, scratch.data()};
  kernels.gemm_panel(g);
  const Nvfp4Operand operand{w.tiles.data(), w.depth, first_row, first_place, turned};
  g.w = nullptr, g.w_tiles = &operand, g.c = own.data();
  kernels.gemm_panel(g);
  bool same = true;
  for (size_t i = 0; i < rows * columns; ++i) same = same && same_bits(own[i], expected[i]);
  check(same, "%s gemm_panel of tiles, %s, turned %d, rows from %zu: differs from floats", kernels.name, name_of(a_type), turned, first_row);
}

// A NaN scale makes its column NaN and no other.
void test_nan(const KernelTable& kernels, DType x_type, size_t rows, Random& random) {
  Weights w(40, 64, random);
  Stored x(x_type, rows * 64, 0, random);
  w.scales[17 * 4 + 2] = 0x7f;
  weft::nvfp4_to_tiles(w.tiles.data(), w.codes.data(), w.scales.data(), 40, 64);
  Buffer<float> y(rows * 40);
  Scratch scratch(kernels.nvfp4_scratch_bytes(rows, 40, 64, x_type, false));
  Nvfp4Arguments g = arguments(x, rows, 64, w, y.data(), 40);
  g.scratch = scratch.data();
  kernels.nvfp4_multiply(g);
  bool good = true;
  for (size_t i = 0; i < rows * 40; ++i) good = good && std::isnan(y[i]) == (i % 40 == 17);
  check(good, "%s nvfp4_multiply of %zu rows: a NaN scale", kernels.name, rows);
}

}  // namespace

void test_nvfp4_products(const KernelTable& kernels) {
  Random random(12);
  for (DType type : {DType::f32, DType::bf16}) {
    for (size_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 14, 15, 22, 40})
      for (size_t columns : {1, 15, 16, 33, 80}) test_multiply(kernels, type, rows, columns, nvfp4_block * (1 + random.below(20)), random);
    for (size_t depth : {16, 112, 128, 144, 256, 400}) test_multiply(kernels, type, 1 + random.below(20), 1 + random.below(150), depth, random);
    for (int i = 0; i < 12; ++i) test_operand(kernels, type, i % 2 == 1, i % 3 == 0, random);
  }
  for (DType type : {DType::f32, DType::bf16})
    for (size_t rows : {1, 5, 30}) test_nan(kernels, type, rows, random);
  float y[6] = {1, 1, 1, 1, 1, 1}, none = 0;
  kernels.nvfp4_multiply({2, 3, 0, 0, &none, DType::f32, 0, nullptr, nullptr, y, 3, nullptr});
  check(y[0] == 0 && y[5] == 0, "%s nvfp4_multiply of depth 0", kernels.name);
}

}  // namespace weft::cpu::test
