// Reductions of one contiguous row.
//
// Sums run in eight vectors over blocks of 4096 elements, and the blocks' vectors are summed in turn: the error grows
// with n / 4096 + 4096 / (8 lanes) instead of n. The order depends on n only.
#pragma once

namespace weft::cpu {
namespace {

// term(i, n) gives the vector of n terms at i; the lanes beyond n must be zero.
template <class Term>
inline __attribute__((always_inline)) float sum_of(size_t n, Term term) {
  constexpr size_t ways = 8, block = 4096;
  Vec::F32 total = Vec::zero();
  for (size_t begin = 0; begin < n; begin += block) {
    const size_t end = begin + block < n ? begin + block : n;
    Vec::F32 sum[ways];
    for (size_t w = 0; w < ways; ++w) sum[w] = Vec::zero();
    size_t i = begin;
    for (; i + ways * Vec::lanes <= end; i += ways * Vec::lanes)
      WEFT_UNROLL(8)
      for (size_t w = 0; w < ways; ++w) sum[w] = term(sum[w], i + w * Vec::lanes, Vec::lanes);
    for (; i + Vec::lanes <= end; i += Vec::lanes) sum[0] = term(sum[0], i, Vec::lanes);
    if (i < end) sum[1] = term(sum[1], i, end - i);
    for (size_t w = 0; w < 4; ++w) sum[w] = Vec::add(sum[w], sum[w + 4]);
    total = Vec::add(total, Vec::add(Vec::add(sum[0], sum[2]), Vec::add(sum[1], sum[3])));
  }
  return Vec::reduce_add(total);
}

float reduce_sum(const float* a, size_t n) {
  return sum_of(n, [=](Vec::F32 sum, size_t i, size_t count) __attribute__((always_inline)) {
    return Vec::add(sum, load_some(a + i, count));
  });
}

float reduce_sum_of_squares(const float* a, size_t n) {
  return sum_of(n, [=](Vec::F32 sum, size_t i, size_t count) __attribute__((always_inline)) {
    const Vec::F32 x = load_some(a + i, count);
    return Vec::multiply_add(x, x, sum);
  });
}

float dot_row(const float* a, const float* b, size_t n) {
  return sum_of(n, [=](Vec::F32 sum, size_t i, size_t count) __attribute__((always_inline)) {
    return Vec::multiply_add(load_some(a + i, count), load_some(b + i, count), sum);
  });
}

float reduce_max(const float* a, size_t n) {
  const Vec::F32 lowest = Vec::set(-__builtin_inff());
  Vec::F32 top[4] = {lowest, lowest, lowest, lowest};
  // NaN is remembered apart, because the maximum of a NaN and a number is the number.
  Vec::F32 broken = Vec::zero();
  size_t i = 0;
  const Vec::F32 nan = Vec::set(__builtin_nanf(""));
  for (; i + 4 * Vec::lanes <= n; i += 4 * Vec::lanes)
    WEFT_UNROLL(4)
    for (size_t w = 0; w < 4; ++w) {
      const Vec::F32 x = Vec::load(a + i + w * Vec::lanes);
      top[w] = Vec::max(x, top[w]);
      broken = Vec::choose(Vec::equal(x, x), broken, nan);
    }
  for (; i < n; i += Vec::lanes) {
    const size_t count = n - i < Vec::lanes ? n - i : Vec::lanes;
    float rest[Vec::lanes];
    Vec::store(rest, lowest);
    for (size_t j = 0; j < count; ++j) rest[j] = a[i + j];
    const Vec::F32 x = Vec::load(rest);
    top[0] = Vec::max(x, top[0]);
    broken = Vec::choose(Vec::equal(x, x), broken, nan);
  }
  const Vec::F32 best = Vec::max(Vec::max(top[0], top[1]), Vec::max(top[2], top[3]));
  return Vec::reduce_max(best) + Vec::reduce_add(broken);
}

}  // namespace
}  // namespace weft::cpu
