// The NVFP4 kernels give the bytes of packages/runtime/native/formats/nvfp4.h, and that one the values of the format.
#include "formats/nvfp4.h"

#include <cfloat>

#include "checks.h"

namespace weft::cpu::test {

namespace {

// What a tensor may hold, and what it should not.
enum class Kind { ordinary, wide, ties, denormal, zeros, any_bits };
constexpr Kind kinds[] = {Kind::ordinary, Kind::wide, Kind::ties, Kind::denormal, Kind::zeros, Kind::any_bits};

float value_of(Kind kind, Random& random) {
  switch (kind) {
    case Kind::ordinary: return random.uniform(-1, 1);
    case Kind::wide: return std::ldexp(random.uniform(-1, 1), static_cast<int>(random.below(250)) - 125);
    case Kind::ties: {  // codes and the middles between them, and the floats beside these
      constexpr float halves[] = {0, 0.25f, 0.5f, 0.75f, 1, 1.25f, 1.5f, 1.75f, 2, 2.5f, 3, 3.5f, 4, 5, 6};
      const float value = halves[random.below(15)] * (random.below(2) ? 1 : -1);
      return random.below(3) ? value : std::nextafter(value, random.below(2) ? 8.0f : -8.0f);
    }
    case Kind::denormal: return float_of(static_cast<uint32_t>(random.bits()) & 0x80ffffff);
    case Kind::zeros: return random.below(40) ? (random.below(2) ? 0.0f : -0.0f) : random.uniform(-1, 1);
    case Kind::any_bits: return float_of(static_cast<uint32_t>(random.bits()));
  }
  return 0;
}

float scale_of(Kind kind, const float* x, size_t n, Random& random) {
  float amax = 0;
  for (size_t i = 0; i < n; ++i)
    if (std::fabs(x[i]) <= FLT_MAX) amax = std::fmax(amax, std::fabs(x[i]));
  switch (random.below(kind == Kind::ties ? 3 : 6)) {
    case 0: return 1;
    case 1: return std::ldexp(1.0f, static_cast<int>(random.below(12)) - 6);
    case 2: return weft::nvfp4_encode_scale(amax);
    case 3: return FLT_MAX;
    case 4: return FLT_MIN;
    default: return std::ldexp(random.uniform(1, 2), static_cast<int>(random.below(252)) - 126);
  }
}

struct Encoded {
  explicit Encoded(size_t n) : codes(n / 2, n % 3), scales(n / nvfp4_block, n % 5) {}
  Buffer<uint8_t> codes, scales;
};

bool same_bytes(Buffer<uint8_t>& a, Buffer<uint8_t>& b) { return std::memcmp(a.data(), b.data(), a.size()) == 0; }

void test_encode(const KernelTable& kernels, Kind kind, size_t blocks, Random& random) {
  const size_t n = blocks * nvfp4_block;
  Buffer<float> x(n, random.below(4));
  for (size_t i = 0; i < n; ++i) x[i] = value_of(kind, random);
  if (kind == Kind::ordinary && blocks > 3) {
    x[random.below(n)] = std::numeric_limits<float>::infinity();
    x[random.below(n)] = std::numeric_limits<float>::quiet_NaN();
    x[random.below(n)] = -FLT_MAX;
  }
  Nvfp4Encoding encoding{scale_of(kind, x.data(), n, random), random.below(2) == 1, random.below(3) == 0, random.below(3) == 0,
                         random.bits() >> 24, {0xabcdef, 0x123456, 77}};
  std::vector<uint16_t> halves(n);
  for (size_t i = 0; i < n; ++i) halves[i] = static_cast<uint16_t>(random_half(encoding.place + i, encoding.from));
  Encoded own(n), expected(n);
  kernels.nvfp4_encode(own.codes.data(), own.scales.data(), x.data(), n, encoding);
  encode_nvfp4(expected.codes.data(), expected.scales.data(), x.data(), n,
               {encoding.encode_scale, encoding.four_over_six, encoding.non_zero, encoding.stochastic ? halves.data() : nullptr});
  check(same_bytes(own.codes, expected.codes) && same_bytes(own.scales, expected.scales),
        "%s nvfp4_encode: kind %d, %zu blocks, scale %g, four over six %d, non zero %d, stochastic %d", kernels.name,
        static_cast<int>(kind), blocks, static_cast<double>(encoding.encode_scale), encoding.four_over_six, encoding.non_zero,
        encoding.stochastic);
}

// Every scale with every code.
void test_decode(const KernelTable& kernels) {
  const size_t n = 256 * nvfp4_block;
  Encoded all(n);
  Buffer<float> own(n, 1);
  std::vector<float> expected(n);
  for (size_t b = 0; b < 256; ++b) {
    all.scales[b] = static_cast<uint8_t>(b);
    for (size_t i = 0; i < 8; ++i) all.codes[8 * b + i] = static_cast<uint8_t>(2 * i | (2 * i + 1) << 4);
  }
  kernels.nvfp4_decode(own.data(), all.codes.data(), all.scales.data(), n);
  decode_nvfp4(expected.data(), all.codes.data(), all.scales.data(), n);
  bool same = true;
  for (size_t i = 0; i < n; ++i) same = same && same_bits(own[i], expected[i]);
  check(same, "%s nvfp4_decode", kernels.name);
}

void test_tiles(const KernelTable& kernels, size_t rows, size_t depth, Random& random) {
  Encoded matrix(rows * depth);
  for (size_t i = 0; i < matrix.codes.size(); ++i) matrix.codes[i] = static_cast<uint8_t>(random.bits());
  for (size_t i = 0; i < matrix.scales.size(); ++i) matrix.scales[i] = static_cast<uint8_t>(random.bits());
  const size_t bytes = cpu::nvfp4_tiled_bytes(rows, depth), groups = (rows + 15) / 16, cut = random.below(groups + 1);
  Buffer<uint8_t> own(bytes, 3), expected(bytes, 1);
  weft::nvfp4_to_tiles(expected.data(), matrix.codes.data(), matrix.scales.data(), rows, depth);
  kernels.nvfp4_to_tiles(own.data(), matrix.codes.data(), matrix.scales.data(), rows, depth, cut, groups);
  kernels.nvfp4_to_tiles(own.data(), matrix.codes.data(), matrix.scales.data(), rows, depth, 0, cut);
  check(bytes == weft::nvfp4_tiled_bytes(rows, depth) && same_bytes(own, expected), "%s nvfp4_to_tiles %zu x %zu", kernels.name, rows, depth);
  Encoded back(rows * depth), definition(rows * depth);
  kernels.nvfp4_from_tiles(back.codes.data(), back.scales.data(), own.data(), rows, depth, 0, cut);
  kernels.nvfp4_from_tiles(back.codes.data(), back.scales.data(), own.data(), rows, depth, cut, groups);
  weft::nvfp4_from_tiles(definition.codes.data(), definition.scales.data(), own.data(), rows, depth);
  for (Encoded* it : {&back, &definition})
    check(same_bytes(it->codes, matrix.codes) && same_bytes(it->scales, matrix.scales), "%s nvfp4_from_tiles %zu x %zu",
          kernels.name, rows, depth);

  // Parts of rows, loaded and stored.
  std::vector<float> values(rows * depth);
  decode_nvfp4(values.data(), matrix.codes.data(), matrix.scales.data(), values.size());
  bool same = true;
  for (int i = 0; i < 20; ++i) {
    const size_t row = random.below(rows), first = random.below(depth), n = random.below(depth - first + 1);
    Buffer<float> part(n, 1);
    kernels.nvfp4_load_row(part.data(), own.data(), row, depth, first, n);
    for (size_t k = 0; k < n; ++k) same = same && same_bits(part[k], values[row * depth + first + k]);
  }
  check(same, "%s nvfp4_load_row %zu x %zu", kernels.name, rows, depth);
  const size_t row = random.below(rows), begin = random.below(depth / nvfp4_block);
  const size_t first = begin * nvfp4_block, n = (1 + random.below(depth / nvfp4_block - begin)) * nvfp4_block;
  Buffer<float> x(n);
  for (size_t i = 0; i < n; ++i) x[i] = random.uniform(-3, 3);
  const size_t at = row * depth + first;
  encode_nvfp4(matrix.codes.data() + at / 2, matrix.scales.data() + at / nvfp4_block, x.data(), n);
  kernels.nvfp4_store_row(own.data(), row, depth, first, n, x.data(), {1, false, false, false, 0, {}});
  weft::nvfp4_to_tiles(expected.data(), matrix.codes.data(), matrix.scales.data(), rows, depth);
  check(same_bytes(own, expected), "%s nvfp4_store_row %zu x %zu", kernels.name, rows, depth);
}

}  // namespace

// The values of all codes, and that the nearest code is found.
// All codes, and floats of all sizes: the codes and the middles between them and what is beside these, and what is too large.
void test_e4m3(const KernelTable& kernels) {
  Buffer<uint8_t> codes(256, 3);
  Buffer<float> values(256, 1);
  for (size_t i = 0; i < 256; ++i) codes[i] = static_cast<uint8_t>(i);
  kernels.e4m3_to_f32(values.data(), codes.data(), 256);
  bool same = true;
  for (size_t i = 0; i < 256; ++i) {
    const float expected = weft::decode_e4m3(static_cast<uint8_t>(i));
    same = same && (std::isnan(expected) ? std::isnan(values[i]) : same_bits(values[i], expected));
  }
  check(same, "%s e4m3_to_f32 of every code", kernels.name);
  Random random(8);
  for (const size_t n : {size_t{1}, size_t{7}, size_t{16}, size_t{31}, size_t{5000}})
    for (const float scale : {1.0f, 0.37f, FLT_MIN, 0x1p100f}) {
      Buffer<float> x(n, random.below(4));
      Buffer<uint8_t> own(n, random.below(4));
      for (size_t i = 0; i < n; ++i) {
        const size_t code = random.below(126);
        const float low = weft::decode_e4m3(static_cast<uint8_t>(code)), high = weft::decode_e4m3(static_cast<uint8_t>(code + 1));
        float value = random.below(3) == 0 ? low : (low + high) / 2;
        if (random.below(2)) value = std::nextafter(value, random.below(2) ? 1e9f : -1.0f);
        if (random.below(8) == 0) value = value_of(kinds[random.below(5)], random);
        x[i] = (random.below(2) ? value : -value) * scale;
        if (!(std::fabs(x[i]) <= FLT_MAX)) x[i] = FLT_MAX;
      }
      kernels.f32_to_e4m3(own.data(), x.data(), n, scale);
      same = true;
      for (size_t i = 0; i < n; ++i) same = same && own[i] == weft::encode_e4m3(x[i] / scale);
      check(same, "%s f32_to_e4m3 of %zu elements over %g", kernels.name, n, static_cast<double>(scale));
    }
}

void test_nvfp4_definition() {
  constexpr float e2m1[8] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
  bool good = true;
  for (uint8_t code = 0; code < 16; ++code)
    good = good && same_bits(decode_e2m1(code), code & 8 ? -e2m1[code & 7] : e2m1[code & 7]) && encode_e2m1(decode_e2m1(code)) == code;
  for (int code = 0; code < 256; ++code) {
    const float value = decode_e4m3(static_cast<uint8_t>(code));
    const int exponent = code >> 3 & 15, fraction = code & 7;
    const double magnitude = exponent == 0 ? fraction / 512.0 : std::ldexp(8 + fraction, exponent - 10);
    if ((code & 0x7f) == 0x7f) good = good && std::isnan(value);
    else good = good && value == (code & 0x80 ? -magnitude : magnitude) && encode_e4m3(value) == code;
  }
  good = good && encode_e4m3(std::numeric_limits<float>::infinity()) == 0x7e && encode_e4m3(-1e9f) == 0xfe;
  good = good && encode_e4m3(std::numeric_limits<float>::quiet_NaN()) == 0x7f;
  check(good, "codes of E2M1 and E4M3");
}

void test_nvfp4(const KernelTable& kernels) {
  Random random(11);
  for (Kind kind : kinds)
    for (size_t blocks : {0, 1, 2, 3, 15, 16, 17, 33, 100})
      for (int i = 0; i < 12; ++i) test_encode(kernels, kind, blocks, random);
  test_decode(kernels);
  for (size_t rows : {1, 3, 15, 16, 17, 31, 64, 70})
    for (size_t depth : {16, 48, 128, 144, 272}) test_tiles(kernels, rows, depth, random);
}

}  // namespace weft::cpu::test
