// Where the dense values of a caller lie in the buffer of a port. A buffer's strides are those of its largest sizes, so
// with an inner axis at less than its largest size a port is several runs of neighbouring elements.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "plan_generated.h"
#include "validate.h"

namespace weft {

// Calls visit(element in the buffer, element in the dense array, count) for each run, in order.
template <class Visit>
void each_run(const plan::PlanPort& port, const plan::PlanBuffer& buffer, const int64_t* symbols, Visit visit) {
  const size_t rank = port.shape.size();
  std::vector<size_t> sizes(rank);
  size_t total = 1;
  for (size_t i = 0; i < rank; ++i) total *= sizes[i] = static_cast<size_t>(plan::evaluate(port.shape[i], symbols));
  if (total == 0) return;
  // The axes [outer, rank) lie in one piece.
  size_t outer = rank, run = 1;
  while (outer > 0 && rank == buffer.shape.size()) {
    run *= sizes[--outer];
    if (sizes[outer] != static_cast<size_t>(buffer.shape[outer])) break;
  }
  if (rank != buffer.shape.size()) run = total;
  std::vector<size_t> stride(rank);
  size_t step = 1;
  for (size_t i = rank; i-- > 0;) {
    stride[i] = step;
    if (i < buffer.shape.size()) step *= static_cast<size_t>(buffer.shape[i]);
  }
  for (size_t dense = 0; dense < total; dense += run) {
    size_t element = 0, rest = dense / run;
    for (size_t i = outer; i-- > 0;) {
      element += stride[i] * (rest % sizes[i]);
      rest /= sizes[i];
    }
    visit(element, dense, run);
  }
}

}  // namespace weft
