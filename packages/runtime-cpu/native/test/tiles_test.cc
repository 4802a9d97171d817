// Products by tiles: each sum in the order that kernels.h states, to the bit, by the unit and by what stands in for it.
#include <algorithm>

#include "checks.h"
#include "nvfp4_values.h"

namespace weft::cpu::test {

namespace {

// What the unit does to denormals.
float flushed(float x) { return std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x; }
float fused(float a, float b, float c) { return flushed(std::fma(flushed(a), flushed(b), flushed(c))); }

// The sum of x[k] * w[k] by definition, added to `before` if there is something.
float tile_sum(const std::vector<float>& x, const std::vector<float>& w, const float* before) {
  const size_t depth = x.size(), steps = (depth + 31) / 32, blocks = (steps + 63) / 64, block = (steps + blocks - 1) / blocks;
  float total = 0;
  for (size_t first = 0; first < steps; first += block) {
    float sum = 0;
    for (size_t step = first; step < std::min(steps, first + block); ++step) {
      float half[2] = {};
      for (size_t k = 32 * step; k < std::min(depth, 32 * step + 32); ++k) half[k % 2] = fused(x[k], w[k], half[k % 2]);
      sum = flushed(sum + flushed(half[0] + half[1]));
    }
    total = first > 0 ? total + sum : before != nullptr ? *before + sum : sum;
  }
  return total;
}

// Any bits of bf16 now and then: denormals, infinities and NaN are among them.
void make_odd(Stored& values, size_t n, Random& random) {
  for (size_t i = 0; i < n; ++i)
    if (random.below(40) == 0) values.set(i, from_bf16(static_cast<uint16_t>(random.below(2) ? random.bits() : random.below(128))));
}

void test_sums(const KernelTable& kernels, DType w_type, size_t rows, size_t columns, size_t depth, bool is_odd, Random& random) {
  Stored x(DType::bf16, rows * depth, 1, random), w(w_type, columns * depth, 3, random);
  if (is_odd) make_odd(x, rows * depth, random);
  if (is_odd && w_type == DType::bf16) make_odd(w, columns * depth, random);
  Buffer<float> c(rows * columns, 1);
  Scratch scratch(kernels.gemm_scratch_bytes(rows, columns, depth, DType::bf16, w_type, false));
  GemmArguments g{rows, columns, depth, x.data(), DType::bf16, depth, 1, nullptr, w.data(), w_type, depth, 1,
                  c.data(), columns, false, scratch.data()};
  for (const bool accumulate : {false, true}) {
    std::vector<float> before(rows * columns);
    for (size_t i = 0; i < before.size(); ++i) before[i] = c[i] = random.uniform(-1, 1);
    g.accumulate = accumulate;
    kernels.gemm_panel(g);
    bool same = true;
    for (size_t m = 0; m < rows; ++m)
      for (size_t n = 0; n < columns; ++n) {
        std::vector<float> a(depth), b(depth);
        for (size_t k = 0; k < depth; ++k)
          a[k] = static_cast<float>(x.value(m * depth + k)), b[k] = static_cast<float>(w.value(n * depth + k));
        same = same && same_bits(c[m * columns + n], tile_sum(a, b, accumulate ? &before[m * columns + n] : nullptr));
      }
    check(same, "%s gemm bf16 x %s, %zu x %zu x %zu: not the sum of tiles", kernels.name, name_of(w_type), rows, columns, depth);
  }
}

void test_nvfp4_sums(const KernelTable& kernels, size_t rows, size_t columns, size_t depth, Random& random) {
  std::vector<uint8_t> codes(columns * depth / 2), scales(columns * depth / nvfp4_block), tiles(nvfp4_tiled_bytes(columns, depth));
  for (uint8_t& code : codes) code = static_cast<uint8_t>(random.bits());
  for (uint8_t& scale : scales) scale = static_cast<uint8_t>(random.below(128));  // NaN among them
  weft::nvfp4_to_tiles(tiles.data(), codes.data(), scales.data(), columns, depth);
  std::vector<float> values(columns * depth);
  decode_nvfp4(values.data(), codes.data(), scales.data(), values.size());
  Stored x(DType::bf16, rows * depth, 1, random);
  Buffer<float> y(rows * columns, 1);
  Scratch scratch(kernels.nvfp4_scratch_bytes(rows, columns, depth, DType::bf16, false));
  kernels.nvfp4_multiply({rows, columns, depth, 0, x.data(), DType::bf16, depth, nullptr, tiles.data(), y.data(), columns, scratch.data()});
  bool same = true;
  for (size_t m = 0; m < rows; ++m)
    for (size_t n = 0; n < columns; ++n) {
      std::vector<float> a(depth), b(values.begin() + static_cast<long>(n * depth), values.begin() + static_cast<long>((n + 1) * depth));
      for (size_t k = 0; k < depth; ++k) a[k] = static_cast<float>(x.value(m * depth + k));
      same = same && same_bits(y[m * columns + n], tile_sum(a, b, nullptr));
    }
  check(same, "%s nvfp4_multiply bf16, %zu x %zu x %zu: not the sum of tiles", kernels.name, rows, columns, depth);
}

// A row with a single one picks a weight: each code of FP8, and each code of NVFP4 under each scale, has its own value.
void test_values(const KernelTable& kernels) {
  std::vector<uint8_t> codes(256 * 32);
  for (size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<uint8_t>(i / 32);
  std::vector<uint16_t> one(32);
  one[5] = to_bf16(1);
  Buffer<float> c(256, 1);
  Scratch scratch(kernels.gemm_scratch_bytes(1, 256, 32, DType::bf16, DType::f8e4m3, false));
  for (size_t code = 0; code < 256; ++code) {
    // NaN times zero is NaN as well: one column at a time has the code that is asked for.
    std::fill(codes.begin(), codes.end(), uint8_t{0});
    codes[32 * code + 5] = static_cast<uint8_t>(code);
    kernels.gemm_panel({1, 256, 32, one.data(), DType::bf16, 32, 1, nullptr, codes.data(), DType::f8e4m3, 32, 1, c.data(), 256,
                        false, scratch.data()});
    const float value = decode_e4m3(static_cast<uint8_t>(code));
    bool good = value == c[code] || (std::isnan(value) && std::isnan(c[code]));
    for (size_t n = 0; n < 256; ++n) good = good && (n == code || c[n] == 0);
    check(good, "%s FP8 code %zu is %g by tiles", kernels.name, code, static_cast<double>(c[code]));
  }
  for (size_t scale = 0; scale < 256; ++scale)
    for (size_t code = 0; code < 16; ++code) {
      const float value = decode_e2m1(static_cast<uint8_t>(code)) * decode_e4m3(static_cast<uint8_t>(scale));
      check(same_bits(value, from_bf16(nvfp4_values.of[scale][code])), "NVFP4 code %zu under the scale %zu", code, scale);
    }
}

}  // namespace

void test_tiles(const KernelTable& kernels) {
  Random random(21);
  test_values(kernels);
  for (DType w_type : {DType::bf16, DType::f8e4m3})
    for (const bool is_odd : {false, true}) {
      for (size_t depth : {1, 31, 32, 33, 64, 500, 2048, 2049, 4097})
        test_sums(kernels, w_type, 1 + random.below(40), 1 + random.below(40), depth, is_odd, random);
      for (int i = 0; i < 20; ++i)
        test_sums(kernels, w_type, 1 + random.below(70), 1 + random.below(70), 1 + random.below(300), is_odd, random);
    }
  for (size_t depth : {16, 32, 48, 256, 2064}) test_nvfp4_sums(kernels, 9 + random.below(40), 1 + random.below(60), depth, random);
}

}  // namespace weft::cpu::test
