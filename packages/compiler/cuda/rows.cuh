// Pieces of rows in registers, and reductions over the threads that share a row.
#pragma once

// n consecutive elements of a row, as one thread holds them. Arithmetic takes pieces and scalars (f32) in any mixture.
template <i32 n>
struct Piece {
  float at[n];
};

template <i32 n>
DEVICE Piece<n> spread(float value) {
  Piece<n> result;
#pragma unroll
  for (i32 i = 0; i < n; ++i) result.at[i] = value;
  return result;
}

// Defines a function of one argument on pieces from the one on scalars.
#define PIECEWISE_UNARY(name)                                  \
  template <i32 n>                                             \
  DEVICE Piece<n> name(Piece<n> x) {                           \
    _Pragma("unroll") for (i32 i = 0; i < n; ++i) x.at[i] = name(x.at[i]); \
    return x;                                                  \
  }

// The same for two arguments, of which one may be a scalar.
#define PIECEWISE_BINARY(name)                                 \
  template <i32 n>                                             \
  DEVICE Piece<n> name(Piece<n> a, Piece<n> b) {               \
    _Pragma("unroll") for (i32 i = 0; i < n; ++i) a.at[i] = name(a.at[i], b.at[i]); \
    return a;                                                  \
  }                                                            \
  template <i32 n>                                             \
  DEVICE Piece<n> name(Piece<n> a, float b) {                  \
    _Pragma("unroll") for (i32 i = 0; i < n; ++i) a.at[i] = name(a.at[i], b); \
    return a;                                                  \
  }                                                            \
  template <i32 n>                                             \
  DEVICE Piece<n> name(float a, Piece<n> b) {                  \
    _Pragma("unroll") for (i32 i = 0; i < n; ++i) b.at[i] = name(a, b.at[i]); \
    return b;                                                  \
  }

DEVICE float neg_of(float x) { return -x; }
DEVICE float abs_of(float x) { return fabsf(x); }
DEVICE float exp_of(float x) { return expf(x); }
DEVICE float log_of(float x) { return logf(x); }
DEVICE float sqrt_of(float x) { return sqrtf(x); }
DEVICE float rsqrt_of(float x) { return fast_rsqrt(x); }
DEVICE float reciprocal_of(float x) { return 1.0f / x; }
DEVICE float sin_of(float x) { return sinf(x); }
DEVICE float cos_of(float x) { return cosf(x); }
DEVICE float tanh_of(float x) { return tanhf(x); }
DEVICE float sigmoid_of(float x) { return fast_quotient(1.0f, 1.0f + expf(-x)); }
DEVICE float floor_of(float x) { return floorf(x); }
PIECEWISE_UNARY(neg_of)
PIECEWISE_UNARY(abs_of)
PIECEWISE_UNARY(exp_of)
PIECEWISE_UNARY(log_of)
PIECEWISE_UNARY(sqrt_of)
PIECEWISE_UNARY(rsqrt_of)
PIECEWISE_UNARY(reciprocal_of)
PIECEWISE_UNARY(sin_of)
PIECEWISE_UNARY(cos_of)
PIECEWISE_UNARY(tanh_of)
PIECEWISE_UNARY(sigmoid_of)
PIECEWISE_UNARY(floor_of)

DEVICE float add_of(float a, float b) { return a + b; }
DEVICE float sub_of(float a, float b) { return a - b; }
DEVICE float mul_of(float a, float b) { return a * b; }
DEVICE float div_of(float a, float b) { return a / b; }
// NaN goes through, as in the reference.
DEVICE float max_of(float a, float b) { return a > b || a != a ? a : b; }
DEVICE float min_of(float a, float b) { return a < b || a != a ? a : b; }
DEVICE float pow_of(float a, float b) { return powf(a, b); }
DEVICE float less_of(float a, float b) { return a < b ? 1.0f : 0.0f; }
DEVICE float less_equal_of(float a, float b) { return a <= b ? 1.0f : 0.0f; }
DEVICE float equal_of(float a, float b) { return a == b ? 1.0f : 0.0f; }
PIECEWISE_BINARY(add_of)
PIECEWISE_BINARY(sub_of)
PIECEWISE_BINARY(mul_of)
PIECEWISE_BINARY(div_of)
PIECEWISE_BINARY(max_of)
PIECEWISE_BINARY(min_of)
PIECEWISE_BINARY(pow_of)
PIECEWISE_BINARY(less_of)
PIECEWISE_BINARY(less_equal_of)
PIECEWISE_BINARY(equal_of)

#undef PIECEWISE_UNARY
#undef PIECEWISE_BINARY

// Element i of a piece, or the scalar itself.
template <i32 n>
DEVICE float element(const Piece<n>& x, i32 i) {
  return x.at[i];
}
DEVICE float element(float x, i32) { return x; }

template <i32 n, typename C, typename A, typename B>
DEVICE Piece<n> select_of(const C& condition, const A& then, const B& otherwise) {
  Piece<n> result;
#pragma unroll
  for (i32 i = 0; i < n; ++i)
    result.at[i] = element(condition, i) != 0.0f ? element(then, i) : element(otherwise, i);
  return result;
}
DEVICE float select_of(float condition, float then, float otherwise) { return condition != 0.0f ? then : otherwise; }

// To the values of a narrower type and back.
template <typename T>
DEVICE float round_of(float x) {
  return widen(Narrow<T>::of(x));
}
template <typename T, i32 n>
DEVICE Piece<n> round_of(Piece<n> x) {
#pragma unroll
  for (i32 i = 0; i < n; ++i) x.at[i] = round_of<T>(x.at[i]);
  return x;
}

// first, first + 1, ...
template <i32 n>
DEVICE Piece<n> counting(i64 first) {
  Piece<n> result;
#pragma unroll
  for (i32 i = 0; i < n; ++i) result.at[i] = static_cast<float>(first + i);
  return result;
}

// ---- pieces in memory. `index` is a multiple of n.

// Elements of two bytes in 32-bit words, the first one in the lower half.
DEVICE bf16 half_of(u32 word, i32 i, bf16) { return {static_cast<u16>(word >> (16 * i))}; }
DEVICE f16 half_of(u32 word, i32 i, f16) { return {static_cast<u16>(word >> (16 * i))}; }

// Four codes of E4M3, the first one in the lowest byte.
DEVICE void unpack_e4m3(float* to, u32 codes) {
  u32 even = finite_e4m3x2(codes << 8);
  u32 odd = finite_e4m3x2(codes);
  if (has_nan_e4m3(codes)) {
    even = e4m3x2(codes << 8);
    odd = e4m3x2(codes);
  }
  to[0] = float_of(even << 16);
  to[1] = float_of(odd << 16);
  to[2] = float_of(even & 0xffff0000u);
  to[3] = float_of(odd & 0xffff0000u);
}

template <typename T, i32 words>
DEVICE void unpack(float* to, const u32 (&word)[words]) {
#pragma unroll
  for (i32 i = 0; i < words; ++i) {
    if constexpr (sizeof(T) == 2) {
      to[2 * i] = widen(half_of(word[i], 0, T{}));
      to[2 * i + 1] = widen(half_of(word[i], 1, T{}));
    } else if constexpr (Same<T, i32>::yes) {
      to[i] = widen(static_cast<i32>(word[i]));
    } else if constexpr (Same<T, f8e4m3>::yes) {
      unpack_e4m3(to + 4 * i, word[i]);
    } else if constexpr (sizeof(T) == 1) {
#pragma unroll
      for (i32 j = 0; j < 4; ++j) to[4 * i + j] = widen(static_cast<T>(word[i] >> (8 * j)));
    } else {
      to[i] = float_of(word[i]);
    }
  }
}

template <typename T, i32 words>
DEVICE void pack(u32 (&word)[words], const float* from) {
#pragma unroll
  for (i32 i = 0; i < words; ++i) {
    if constexpr (sizeof(T) == 2) {
      word[i] = Narrow<T>::of(from[2 * i]).bits | static_cast<u32>(Narrow<T>::of(from[2 * i + 1]).bits) << 16;
    } else if constexpr (Same<T, i32>::yes) {
      word[i] = static_cast<u32>(Narrow<i32>::of(from[i]));
    } else if constexpr (sizeof(T) == 1) {
      word[i] = 0;
#pragma unroll
      for (i32 j = 0; j < 4; ++j) word[i] |= static_cast<u32>(static_cast<u8>(Narrow<T>::of(from[4 * i + j]))) << (8 * j);
    } else {
      word[i] = bits_of(from[i]);
    }
  }
}

// `View` is Global or Shared, of bf16, f16, f8e4m3, f32, i32 or i8.
template <typename T, i32 n, template <typename> class View, typename Index>
DEVICE Piece<n> load_piece(View<T> view, Index index) {
  constexpr i32 bytes = n * static_cast<i32>(sizeof(T));
  Piece<n> result;
  if constexpr (bytes % 16 == 0) {
    constexpr i32 step = 16 / static_cast<i32>(sizeof(T));
#pragma unroll
    for (i32 i = 0; i < n; i += step) unpack<T>(result.at + i, load16(view, index + i).word);
  } else if constexpr (bytes == 8) {
    unpack<T>(result.at, load8(view, index).word);
  } else {
#pragma unroll
    for (i32 i = 0; i < n; ++i) result.at[i] = widen(load(view, index + i));
  }
  return result;
}

template <typename T, i32 n, template <typename> class View, typename Index>
DEVICE void store_piece(View<T> view, Index index, const Piece<n>& piece) {
  constexpr i32 bytes = n * static_cast<i32>(sizeof(T));
  if constexpr (bytes % 16 == 0) {
    constexpr i32 step = 16 / static_cast<i32>(sizeof(T));
#pragma unroll
    for (i32 i = 0; i < n; i += step) {
      Bytes16 value;
      pack<T>(value.word, piece.at + i);
      store16(view, index + i, value);
    }
  } else if constexpr (bytes == 8) {
    Bytes8 value;
    pack<T>(value.word, piece.at);
    store8(view, index, value);
  } else {
#pragma unroll
    for (i32 i = 0; i < n; ++i) store(view, index + i, Narrow<T>::of(piece.at[i]));
  }
}

// Elements that are `stride` apart.
template <typename T, i32 n>
DEVICE Piece<n> load_strided(Global<T> view, i64 index, i64 stride) {
  Piece<n> result;
#pragma unroll
  for (i32 i = 0; i < n; ++i) result.at[i] = widen(load(view, index + i * stride));
  return result;
}
template <typename T, i32 n>
DEVICE void store_strided(Global<T> view, i64 index, i64 stride, const Piece<n>& piece) {
#pragma unroll
  for (i32 i = 0; i < n; ++i) store(view, index + i * stride, Narrow<T>::of(piece.at[i]));
}

// The row of a table that `value` names. One that it has not is reported, the first of them with its value, and row 0
// taken for it.
template <i32 slots>
DEVICE i64 checked_index(const Args<slots>& args, float value, i64 bound) {
  // NaN fails both. The bound itself may be no f32.
  if (value >= 0.0f && value < 9.2e18f) {
    const i64 index = static_cast<i64>(value);
    if (index < bound) return index;
  }
  const Global<u32> fault = global<u32>(args.fault);
  if (atomic_add(fault, 0, 1u) == 0) {
    store(fault, 1, static_cast<u32>(args.step));
    store(fault, 2, bits_of(value));
    store(fault, 3, static_cast<u32>(bound));
  }
  return 0;
}

// What other blocks of this launch have written.
template <i32 n>
DEVICE Piece<n> load_piece_fresh(Global<float> view, i64 index) {
  Piece<n> result;
#pragma unroll
  for (i32 i = 0; i < n; ++i) result.at[i] = load_fresh(view, index + i);
  return result;
}

// ---- reductions. The order of additions depends on the number of threads only.

struct Sum {
  DEVICE float identity() { return 0.0f; }
  DEVICE float join(float a, float b) { return a + b; }
};
struct Max {
  DEVICE float identity() { return float_of(0xff800000u); }
  DEVICE float join(float a, float b) { return max_of(a, b); }
};

template <typename R>
DEVICE float join_piece(float x) {
  return x;
}
template <typename R, i32 n>
DEVICE float join_piece(const Piece<n>& x) {
  float result = x.at[0];
#pragma unroll
  for (i32 i = 1; i < n; ++i) result = R::join(result, x.at[i]);
  return result;
}

// Over the 32 lanes of a warp; every lane gets the result.
template <typename R>
DEVICE float reduce_warp(float value) {
#pragma unroll
  for (i32 mask = 16; mask > 0; mask >>= 1) value = R::join(value, shuffle_xor(value, mask));
  return value;
}

// Over all threads of the block, whose warps leave their parts in `parts` (one word each).
template <typename R>
DEVICE float reduce_block(float value, Shared<float> parts) {
  value = reduce_warp<R>(value);
  // Whoever still reads an earlier result must have it.
  sync_block();
  if (lane_index() == 0) store(parts, warp_index(), value);
  sync_block();
  float result = load(parts, 0);
  for (i32 warp = 1; warp < thread_count() / 32; ++warp) result = R::join(result, load(parts, warp));
  return result;
}
