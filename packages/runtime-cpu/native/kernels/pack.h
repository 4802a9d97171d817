// Packing: up to `lanes` rows of a matrix, transposed to [unit][row] order for the micro-kernel.
#pragma once

namespace weft::cpu {
namespace {

// Units of one f32 each, from any storage type.
template <class Source>
struct SingleUnits {
  using Element = typename Source::Element;
  static constexpr size_t elements = 1;
  static Vec::F32 load(const Element* p) { return Source::load(p); }
  static Vec::F32 load_partial(const Element* p, size_t n) { return Source::load_partial(p, n); }
  // One unit of `rows` rows that lie side by side, places depth_stride apart, of which `depth` are left.
  static Vec::F32 load_across(const Element* p, size_t, size_t rows, size_t) {
    return rows == Vec::lanes ? Source::load(p) : Source::load_partial(p, rows);
  }
  static void gather(float* out, const Element* p, size_t, size_t) { Vec::store_partial(out, Source::load_partial(p, 1), 1); }
};

// Units of two bf16; an odd last element is paired with zero.
struct PairUnits {
  using Element = uint16_t;
  static constexpr size_t elements = 2;
  static Vec::F32 load(const uint16_t* p) { return Vec::load(p); }
  static Vec::F32 load_partial(const uint16_t* p, size_t n) {
    uint16_t rest[2 * Vec::lanes] = {};
    memcpy(rest, p, n * sizeof(uint16_t));
    return Vec::load(rest);
  }
  static Vec::F32 load_across(const uint16_t* p, size_t depth_stride, size_t rows, size_t depth) {
    const auto load = [rows](const uint16_t* from) {
      return Vec::bits(rows == Vec::lanes ? Vec::load_bf16(from) : Vec::load_bf16_partial(from, rows));
    };
    const Vec::I32 first = Vec::shift_right<16>(load(p));
    return Vec::from_bits(depth > 1 ? Vec::or_i32(first, load(p + depth_stride)) : first);
  }
  static void gather(float* out, const uint16_t* p, size_t depth_stride, size_t n) {
    const uint16_t pair[2] = {p[0], n > 1 ? p[depth_stride] : uint16_t{0}};
    memcpy(out, pair, sizeof pair);
  }
};

template <class Element>
struct Strip {
  const Element* first;  // element (0, 0)
  size_t row_stride, depth_stride;
  size_t rows;   // 1 .. lanes
  size_t depth;  // elements
};

// out[u * out_stride + r] for every unit u and row r. padded: rows up to `lanes` are written, as zeros beyond the
// strip's own; else only its own rows are.
template <class Units>
void pack_strip(const Strip<typename Units::Element>& s, float* out, size_t out_stride, bool padded) {
  constexpr size_t step = Vec::lanes * Units::elements;
  const size_t units = (s.depth + Units::elements - 1) / Units::elements;
  // A whole vector may be stored when what it overwrites is written later, by the units that follow.
  const bool dense = out_stride == s.rows;
  const auto put = [&](size_t u, Vec::F32 v) {
    if (padded || s.rows == Vec::lanes || (dense && (units - u) * out_stride >= Vec::lanes)) Vec::store(out + u * out_stride, v);
    else Vec::store_partial(out + u * out_stride, v, s.rows);
  };
  if (s.depth_stride == 1) {
    for (size_t k = 0; k < s.depth; k += step) {
      const size_t rest = s.depth - k < step ? s.depth - k : step;
      Vec::F32 block[Vec::lanes];
      if (s.rows == Vec::lanes && rest == step) {
        WEFT_UNROLL(16)
        for (size_t r = 0; r < Vec::lanes; ++r) {
          const auto* p = s.first + r * s.row_stride + k;
          block[r] = Units::load(p);
          // The rows are too short for the hardware's prefetcher: ask for the same place in the next strip.
          prefetch(reinterpret_cast<uintptr_t>(p) + Vec::lanes * s.row_stride * sizeof(*p), 1);
        }
      } else {
        for (size_t r = 0; r < Vec::lanes; ++r)
          block[r] = r >= s.rows    ? Vec::zero()
                     : rest == step ? Units::load(s.first + r * s.row_stride + k)
                                    : Units::load_partial(s.first + r * s.row_stride + k, rest);
      }
      Vec::transpose(block);
      const size_t u = k / Units::elements;
      const size_t count = (rest + Units::elements - 1) / Units::elements;
      if (count == Vec::lanes && (padded || s.rows == Vec::lanes)) {
        WEFT_UNROLL(16)
        for (size_t i = 0; i < Vec::lanes; ++i) Vec::store(out + (u + i) * out_stride, block[i]);
      } else {
        for (size_t i = 0; i < count; ++i) put(u + i, block[i]);
      }
    }
    return;
  }
  if (s.row_stride == 1) {  // already in the wanted order
    constexpr size_t ahead = 8;
    for (size_t k = 0, u = 0; k < s.depth; k += Units::elements, ++u) {
      const auto* p = s.first + k * s.depth_stride;
      WEFT_UNROLL(2)
      for (size_t i = 0; i < Units::elements; ++i)
        prefetch(reinterpret_cast<uintptr_t>(p + (ahead + i) * s.depth_stride), 1);
      put(u, Units::load_across(p, s.depth_stride, s.rows, s.depth - k));
    }
    return;
  }
  for (size_t k = 0, u = 0; k < s.depth; k += Units::elements, ++u) {
    float values[Vec::lanes] = {};
    for (size_t r = 0; r < s.rows; ++r)
      Units::gather(values + r, s.first + r * s.row_stride + k * s.depth_stride, s.depth_stride, s.depth - k);
    put(u, Vec::load(values));
  }
}

// Calls function(first, count) for the parts of the depth that are packed one after the other. Where a strip's rows lie
// side by side, all strips take a few steps along depth before any goes on: whole stretches of memory are read, where
// one strip alone would read a line here and a line there.
template <class Function>
inline void for_depth_parts(size_t row_stride, size_t depth, Function&& function) {
  constexpr size_t steps = 16;
  const size_t part = row_stride == 1 ? steps : depth;
  for (size_t k = 0; k < depth; k += part) function(k, smaller(part, depth - k));
}

// A strip of any number of rows, `lanes` at a time.
template <class Units>
void pack_rows(Strip<typename Units::Element> s, size_t rows, float* out, size_t out_stride, bool padded) {
  for (size_t r = 0; r < rows; r += Vec::lanes) {
    s.rows = rows - r < Vec::lanes ? rows - r : Vec::lanes;
    pack_strip<Units>(s, out + r, out_stride, padded);
    s.first += Vec::lanes * s.row_stride;
  }
}

}  // namespace
}  // namespace weft::cpu
