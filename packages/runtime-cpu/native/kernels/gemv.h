// Matrix-vector product (a few rows of X against all of W): W is streamed from memory once.
//
// Several rows of W are walked side by side, which keeps more cache lines in flight than one row does. Every output
// element is the same sum whatever the blocking: one vector accumulator along depth, then reduced across lanes. (Memory
// sets the pace, so that two accumulators per element would gain nothing and cost the registers for more rows of X.)
#pragma once

namespace weft::cpu {
namespace {

// How X and W meet: one step consumes `width` elements of each.
template <class X, class W>
struct WidenedProduct {
  static constexpr size_t width = Vec::lanes;
  using XElement = typename X::Element;
  using WElement = typename W::Element;
  using Operand = Vec::F32;
  static Operand load_x(const XElement* p) { return X::load(p); }
  static Operand load_w(const WElement* p) { return W::load(p); }
  static Operand load_x_partial(const XElement* p, size_t n) { return X::load_partial(p, n); }
  static Operand load_w_partial(const WElement* p, size_t n) { return W::load_partial(p, n); }
  static Vec::F32 step(Vec::F32 sum, Operand x, Operand w) { return Vec::multiply_add(x, w, sum); }
};

// bf16 times bf16 by the pair instruction: a vector register holds 2 * lanes elements.
struct PairedProduct {
  static constexpr size_t width = 2 * Vec::lanes;
  using XElement = uint16_t;
  using WElement = uint16_t;
  using Operand = Vec::F32;  // bits of bf16 pairs
  static Operand load_x(const uint16_t* p) { return Vec::load(p); }
  static Operand load_w(const uint16_t* p) { return Vec::load(p); }
  static Operand load_x_partial(const uint16_t* p, size_t n) {
    uint16_t rest[2 * Vec::lanes] = {};
    memcpy(rest, p, n * sizeof(uint16_t));
    return Vec::load(rest);
  }
  static Operand load_w_partial(const uint16_t* p, size_t n) { return load_x_partial(p, n); }
  static Vec::F32 step(Vec::F32 sum, Operand x, Operand w) { return PairDot::dot(sum, x, w); }
};

constexpr size_t gemv_column_limit = 4;                // rows of W walked side by side
constexpr size_t gemv_rows = Vec::accumulators / 6 < 3 ? 3 : 4;  // rows of X per pass; more take several passes over W's rows
constexpr size_t gemv_column_group = 12;               // rows of W per group when there are several passes

// Rows of W side by side when `rows` rows of X need an accumulator each.
constexpr size_t gemv_columns(size_t rows) {
  const size_t fit = Vec::accumulators / rows;
  return fit > gemv_column_limit ? gemv_column_limit : fit;
}

// Asks for the bytes [address, address + bytes), which may lie anywhere.
inline void prefetch(uintptr_t address, size_t bytes) {
  for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch(reinterpret_cast<const void*>(address + i), 0, 3);
}

template <class Product, size_t rows, size_t columns>
inline void gemv_block(const GemvArguments& g, const typename Product::XElement* x,
                       const typename Product::WElement* w, float* y) {
  constexpr size_t width = Product::width;
  Vec::F32 sum[rows][columns];
  WEFT_UNROLL(32)
  for (size_t m = 0; m < rows; ++m)
    WEFT_UNROLL(32)
    for (size_t n = 0; n < columns; ++n) sum[m][n] = Vec::zero();
  const size_t depth = g.depth;
  size_t k = 0;
  for (; k + 2 * width <= depth; k += 2 * width) {
    const size_t ahead = k + prefetch_bytes / sizeof(*w);
    const uintptr_t fetched =
        reinterpret_cast<uintptr_t>(w) + sizeof(*w) * (ahead < depth ? ahead : ahead - depth + columns * g.w_stride);
    WEFT_UNROLL(2)
    for (size_t half = 0; half < 2 * width; half += width) {
      WEFT_UNROLL(32)
      for (size_t n = 0; n < columns; ++n) {
        if (half == 0) prefetch(fetched + n * g.w_stride * sizeof(*w), 2 * width * sizeof(*w));
        const typename Product::Operand w_part = Product::load_w(w + n * g.w_stride + k + half);
        WEFT_UNROLL(32)
        for (size_t m = 0; m < rows; ++m)
          sum[m][n] = Product::step(sum[m][n], Product::load_x(x + m * g.x_stride + k + half), w_part);
      }
    }
  }
  for (; k < depth; k += width) {
    const size_t rest = depth - k;
    WEFT_UNROLL(32)
    for (size_t n = 0; n < columns; ++n)
      WEFT_UNROLL(32)
      for (size_t m = 0; m < rows; ++m)
        sum[m][n] = rest >= width ? Product::step(sum[m][n], Product::load_x(x + m * g.x_stride + k), Product::load_w(w + n * g.w_stride + k))
                                  : Product::step(sum[m][n], Product::load_x_partial(x + m * g.x_stride + k, rest),
                                                  Product::load_w_partial(w + n * g.w_stride + k, rest));
  }
  WEFT_UNROLL(32)
  for (size_t m = 0; m < rows; ++m)
    WEFT_UNROLL(32)
    for (size_t n = 0; n < columns; ++n) y[m * g.y_stride + n] = Vec::reduce_add(sum[m][n]);
}

// All columns for `rows` rows of X.
template <class Product, size_t rows>
void gemv_rows_pass(const GemvArguments& g, size_t row, size_t column_begin, size_t column_end) {
  constexpr size_t columns = gemv_columns(rows);
  const auto* x = static_cast<const typename Product::XElement*>(g.x) + row * g.x_stride;
  const auto* w = static_cast<const typename Product::WElement*>(g.w);
  float* y = g.y + row * g.y_stride;
  size_t n = column_begin;
  for (; n + columns <= column_end; n += columns) gemv_block<Product, rows, columns>(g, x, w + n * g.w_stride, y + n);
  for (; n < column_end; ++n) gemv_block<Product, rows, 1>(g, x, w + n * g.w_stride, y + n);
}

template <class Product, size_t rows>
inline void gemv_dispatch_rows(const GemvArguments& g, size_t count, size_t row, size_t column_begin, size_t column_end) {
  if constexpr (rows > 0) {
    if (count == rows) gemv_rows_pass<Product, rows>(g, row, column_begin, column_end);
    else gemv_dispatch_rows<Product, rows - 1>(g, count, row, column_begin, column_end);
  }
}

template <class Product>
void gemv_of(const GemvArguments& g) {
  if (g.rows <= gemv_rows) return gemv_dispatch_rows<Product, gemv_rows>(g, g.rows, 0, 0, g.columns);
  const size_t passes = (g.rows + gemv_rows - 1) / gemv_rows;
  for (size_t n = 0; n < g.columns; n += gemv_column_group) {
    const size_t end = n + gemv_column_group < g.columns ? n + gemv_column_group : g.columns;
    for (size_t pass = 0; pass < passes; ++pass) {
      const size_t row = g.rows * pass / passes;
      gemv_dispatch_rows<Product, gemv_rows>(g, g.rows * (pass + 1) / passes - row, row, n, end);
    }
  }
}

void gemv(const GemvArguments& g) {
  if (g.rows == 0 || g.columns == 0) return;
  if constexpr (PairDot::available)
    if (g.x_type == DType::bf16 && g.w_type == DType::bf16) return gemv_of<PairedProduct>(g);
  with_weight_source(g.w_type, [&](auto w) {
    if (g.x_type == DType::bf16) gemv_of<WidenedProduct<Bf16Source, decltype(w)>>(g);
    else gemv_of<WidenedProduct<F32Source, decltype(w)>>(g);
  });
}

}  // namespace
}  // namespace weft::cpu
