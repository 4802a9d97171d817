// f32 to NVFP4, a block in each lane: so the sum of squared errors has the definition's order, and a block's codes gather
// in two words of its lane. Rounding is by adding a power of two whose last place is the grid's step.
#pragma once

namespace weft::cpu {
namespace {

struct EncodedBlocks {
  Vec::I32 low, high;  // codes 0 to 7 and 8 to 15
  Vec::I32 scale;
};

// A magnitude on a grid of `fraction_bits` bits behind the leading one, which gets no finer below `smallest`, a power of
// two. `steps` counts from the power of two below the magnitude, or from zero below `smallest`.
template <int fraction_bits>
struct OnGrid {
  OnGrid(Vec::F32 magnitude, float smallest) {
    const Vec::I32 exponent = Vec::and_i32(Vec::bits(magnitude), Vec::set_i32(0x7f800000));
    power = Vec::max(Vec::from_bits(exponent), Vec::set(smallest));
    const Vec::F32 coarse = Vec::from_bits(Vec::add_i32(Vec::bits(power), Vec::set_i32((23 - fraction_bits) << 23)));
    const Vec::F32 sum = Vec::add(magnitude, coarse);
    value = Vec::sub(sum, coarse);
    steps = Vec::sub_i32(Vec::bits(sum), Vec::bits(coarse));
  }
  // A format's code, if that of `smallest` is 2^fraction_bits.
  Vec::I32 code(float smallest) const { return code_of(steps, power, smallest); }
  static Vec::I32 code_of(Vec::I32 steps, Vec::F32 power, float smallest) {
    const Vec::I32 octaves = Vec::sub_i32(Vec::bits(power), Vec::bits(Vec::set(smallest)));
    return Vec::add_i32(steps, Vec::shift_right<23 - fraction_bits>(octaves));
  }
  Vec::F32 power, value;
  Vec::I32 steps;
};

struct E2m1Codes {
  Vec::F32 value;  // magnitude
  Vec::I32 code;   // of the magnitude
};

constexpr float smallest_normal_e2m1 = 1, smallest_normal_e4m3 = 0x1p-6f;

// `magnitude` is at most 6.
inline E2m1Codes nearest_e2m1(Vec::F32 magnitude) {
  const OnGrid<1> grid(magnitude, smallest_normal_e2m1);
  return {grid.value, grid.code(smallest_normal_e2m1)};
}

// Up where the part above the code below is more than `half` / 2^16: all of it is exact.
inline E2m1Codes random_e2m1(Vec::F32 magnitude, Vec::I32 half) {
  const Vec::I32 exponent = Vec::and_i32(Vec::bits(magnitude), Vec::set_i32(0x7f800000));
  const Vec::F32 power = Vec::max(Vec::from_bits(exponent), Vec::set(smallest_normal_e2m1));
  const Vec::F32 inverse_step = Vec::from_bits(Vec::sub_i32(Vec::set_i32(static_cast<int32_t>(255u << 23)), Vec::bits(power)));
  const Vec::F32 scaled = Vec::mul(magnitude, inverse_step);
  const Vec::F32 below = Vec::floor(scaled);
  const Vec::Mask is_up = Vec::less(Vec::to_f32(half), Vec::mul(Vec::sub(scaled, below), Vec::set(0x1p16f)));
  const Vec::F32 steps = Vec::choose(is_up, Vec::add(below, Vec::set(1)), below);
  const Vec::F32 step = Vec::mul(power, Vec::set(0.5f));
  return {Vec::mul(steps, step), OnGrid<1>::code_of(Vec::to_i32(steps), power, smallest_normal_e2m1)};
}

inline Vec::I32 choose_bits(Vec::Mask mask, Vec::I32 a, Vec::I32 b) {
  return Vec::bits(Vec::choose(mask, Vec::from_bits(a), Vec::from_bits(b)));
}

struct LanesScale {
  LanesScale(Vec::F32 wanted, Vec::F32 decode_scale, bool upward) {
    const Vec::F32 magnitude = Vec::min(wanted, Vec::set(448));
    const OnGrid<3> grid(magnitude, smallest_normal_e4m3);
    code = grid.code(smallest_normal_e4m3);
    Vec::F32 value = grid.value;
    if (upward) {
      // Codes ascend with their values: the next one is a step of the grid further.
      const Vec::Mask is_short = Vec::less(value, magnitude);
      code = choose_bits(is_short, Vec::add_i32(code, Vec::set_i32(1)), code);
      value = Vec::choose(is_short, Vec::add(value, Vec::mul(grid.power, Vec::set(0.125f))), value);
    }
    unit = Vec::mul(value, decode_scale);
    // Without a scale nothing but zero can be meant: so it is with a divisor without bound.
    divisor = Vec::choose(Vec::equal(unit, Vec::zero()), Vec::set(__builtin_inff()), unit);
  }
  Vec::I32 code;
  Vec::F32 unit, divisor;
};

// Codes of one block a lane under its scale, and the squared error.
template <bool stochastic, bool measured>
inline EncodedBlocks encode_with(const Vec::F32 (&x)[nvfp4_block], const Vec::F32* halves, const LanesScale& scale,
                                 bool non_zero, Vec::F32& error) {
  EncodedBlocks out{Vec::set_i32(0), Vec::set_i32(0), scale.code};
  error = Vec::zero();
  const auto encode = [&](Vec::F32 value, Vec::F32 half) __attribute__((always_inline)) {
    const Vec::F32 magnitude = absolute(value);
    const Vec::F32 scaled = Vec::min(Vec::div(magnitude, scale.divisor), Vec::set(6));
    E2m1Codes result;
    if constexpr (stochastic) result = random_e2m1(scaled, Vec::shift_right<16>(Vec::bits(half)));
    else result = nearest_e2m1(scaled);
    if (non_zero) {
      const Vec::Mask is_zero = Vec::equal(result.value, Vec::zero());
      result.code = Vec::bits(Vec::choose(is_zero, Vec::from_bits(Vec::set_i32(1)), Vec::from_bits(result.code)));
      result.value = Vec::choose(is_zero, Vec::set(0.5f), result.value);
    }
    if constexpr (measured) {
      // Signs are equal, so magnitudes differ as the values do.
      const Vec::F32 difference = Vec::sub(magnitude, Vec::mul(result.value, scale.unit));
      error = Vec::add(error, Vec::mul(difference, difference));
    }
    const Vec::I32 sign = Vec::and_i32(Vec::shift_right<28>(Vec::bits(value)), Vec::set_i32(8));
    return Vec::or_i32(result.code, sign);
  };
  Vec::I32 codes[nvfp4_block];
  WEFT_UNROLL(16)
  for (size_t i = 0; i < nvfp4_block; ++i) codes[i] = encode(x[i], stochastic ? halves[i] : Vec::zero());
  // From the last code to the first, each moves those before it up.
  out.low = codes[7];
  out.high = codes[15];
  WEFT_UNROLL(8)
  for (size_t i = 7; i > 0; --i) {
    out.low = Vec::or_i32(Vec::shift_left<4>(out.low), codes[i - 1]);
    out.high = Vec::or_i32(Vec::shift_left<4>(out.high), codes[i + 7]);
  }
  return out;
}

template <bool stochastic>
inline EncodedBlocks encode_lanes(const Vec::F32 (&x)[nvfp4_block], const Vec::F32* halves, const Nvfp4Encoding& encoding) {
  Vec::F32 amax = Vec::zero(), poison = Vec::zero();
  WEFT_UNROLL(16)
  for (size_t i = 0; i < nvfp4_block; ++i) {
    amax = Vec::max(amax, absolute(x[i]));
    poison = Vec::add(poison, Vec::mul(x[i], Vec::zero()));  // NaN of what is not finite
  }
  const Vec::Mask finite = Vec::equal(poison, Vec::zero());
  const Vec::F32 scaled = Vec::mul(amax, Vec::set(encoding.encode_scale)), decode_scale = Vec::set(1 / encoding.encode_scale);
  const LanesScale six(Vec::div(scaled, Vec::set(6)), decode_scale, encoding.non_zero);
  Vec::F32 error;
  EncodedBlocks out;
  if (!encoding.four_over_six) {
    out = encode_with<stochastic, false>(x, halves, six, encoding.non_zero, error);
  } else {
    out = encode_with<stochastic, true>(x, halves, six, encoding.non_zero, error);
    const LanesScale four(Vec::mul(scaled, Vec::set(0.25f)), decode_scale, encoding.non_zero);
    Vec::F32 other_error;
    const EncodedBlocks other = encode_with<stochastic, true>(x, halves, four, encoding.non_zero, other_error);
    const Vec::Mask is_better = Vec::less(other_error, error);
    out = {choose_bits(is_better, other.low, out.low), choose_bits(is_better, other.high, out.high),
           choose_bits(is_better, other.scale, out.scale)};
  }
  const Vec::I32 none = Vec::set_i32(0);
  return {choose_bits(finite, out.low, none), choose_bits(finite, out.high, none),
          choose_bits(finite, out.scale, Vec::set_i32(0x7f))};
}

// Element i of `count` <= lanes blocks, block by lane; zero in the lanes beyond.
template <class Source>
inline void load_blocks(Vec::F32 (&x)[nvfp4_block], const typename Source::Element* p, size_t count) {
  for (size_t part = 0; part < nvfp4_block; part += Vec::lanes) {
    Vec::F32 square[Vec::lanes];
    if (count == Vec::lanes) {
      WEFT_UNROLL(16)
      for (size_t b = 0; b < Vec::lanes; ++b) square[b] = Source::load(p + b * nvfp4_block + part);
    } else {
      for (size_t b = 0; b < Vec::lanes; ++b) square[b] = b < count ? Source::load(p + b * nvfp4_block + part) : Vec::zero();
    }
    Vec::transpose(square);
    WEFT_UNROLL(16)
    for (size_t i = 0; i < Vec::lanes; ++i) x[part + i] = square[i];
  }
}

// Calls put(block, low, high, scale) for each of the blocks of n values.
template <class Put>
inline void encode_blocks(const float* x, size_t n, const Nvfp4Encoding& encoding, Put put) {
  const size_t blocks = n / nvfp4_block;
  for (size_t first = 0; first < blocks; first += Vec::lanes) {
    const size_t count = blocks - first < Vec::lanes ? blocks - first : Vec::lanes;
    Vec::F32 values[nvfp4_block], halves[nvfp4_block];
    load_blocks<F32Source>(values, x + first * nvfp4_block, count);
    EncodedBlocks out;
    if (encoding.stochastic) {
      uint16_t bits[Vec::lanes * nvfp4_block];
      fill_random_halves(bits, encoding.place + first * nvfp4_block, encoding.from, Vec::lanes * nvfp4_block);
      load_blocks<Bf16Source>(halves, bits, Vec::lanes);  // the half in the upper bits
      out = encode_lanes<true>(values, halves, encoding);
    } else {
      out = encode_lanes<false>(values, nullptr, encoding);
    }
    uint32_t low[Vec::lanes], high[Vec::lanes], scale[Vec::lanes];
    Vec::store(low, Vec::from_bits(out.low));
    Vec::store(high, Vec::from_bits(out.high));
    Vec::store(scale, Vec::from_bits(out.scale));
    for (size_t b = 0; b < count; ++b) put(first + b, low[b], high[b], static_cast<uint8_t>(scale[b]));
  }
}

void nvfp4_encode(uint8_t* codes, uint8_t* scales, const float* x, size_t n, const Nvfp4Encoding& encoding) {
  encode_blocks(x, n, encoding, [=](size_t block, uint32_t low, uint32_t high, uint8_t scale) __attribute__((always_inline)) {
    memcpy(codes + 8 * block, &low, sizeof low);
    memcpy(codes + 8 * block + 4, &high, sizeof high);
    scales[block] = scale;
  });
}

void nvfp4_store_row(uint8_t* tiles, size_t row, size_t depth, size_t first, size_t n, const float* x,
                     const Nvfp4Encoding& encoding) {
  const Nvfp4Tiles matrix(tiles, depth);
  const size_t group = static_cast<size_t>(matrix.group(row / nvfp4_group_rows) - tiles);
  uint8_t* word = tiles + group + first / Nvfp4Tiles::word_codes * Nvfp4Tiles::word_bytes + row % nvfp4_group_rows * sizeof(uint32_t);
  uint8_t* scales = tiles + group + 8 * depth + first / nvfp4_block * nvfp4_group_rows + row % nvfp4_group_rows;
  encode_blocks(x, n, encoding, [=](size_t block, uint32_t low, uint32_t high, uint8_t scale) __attribute__((always_inline)) {
    uint8_t* at = word + 2 * block * Nvfp4Tiles::word_bytes;
    memcpy(at, &low, sizeof low);
    memcpy(at + Nvfp4Tiles::word_bytes, &high, sizeof high);
    scales[block * nvfp4_group_rows] = scale;
  });
}

}  // namespace
}  // namespace weft::cpu
