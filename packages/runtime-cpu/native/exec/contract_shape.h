// A general contraction seen as matrix products: C[m][n] = sum over k of A[m][k] * B[n][k], for each item of a batch.
#pragma once

#include <cstddef>
#include <cstdint>

#include "affine_bounds.h"
#include "plan_generated.h"
#include "validate.h"

namespace weft::cpu {

// One axis of the product: neighbouring loops that step evenly through all operands are one.
struct ContractAxis {
  int64_t extent = 1;
  int64_t a = 0, b = 0, out = 0;  // strides in elements
};

struct ContractAxes {
  ContractAxis at[plan::most_loops];
  size_t count = 0;

  // Merges into the last axis where that is all the same.
  void add(const ContractAxis& axis);
  // Takes the longest axis out of the list; one of a single element if there is none.
  ContractAxis take_longest();
  int64_t extent() const;
  // The offsets of item `item` of all axes.
  ContractAxis offsets(int64_t item) const;
};

struct ContractShape {
  // With the extents of these symbols.
  ContractShape(const plan::ContractKernel& kernel, const int64_t* symbols);
  // The largest.
  ContractShape(const plan::ContractKernel& kernel, const plan::SymbolBounds& bounds);

  ContractAxis rows, columns, depth;
  // `batch`: axes that both operands have, or that are left over; `terms`: contracted axes beside `depth`.
  ContractAxes batch, terms;

 private:
  template <class ExtentOf>
  void build(const plan::ContractKernel& kernel, ExtentOf&& extent_of);
};

}  // namespace weft::cpu
