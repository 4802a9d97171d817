#include "check_library_step.h"

#include <algorithm>
#include <variant>

#include "driver/matmul_library.h"

namespace weft::cuda {
namespace {

using plan::Checker;

// Products that a step may have: a weight each, and a kernel has no more slots.
constexpr size_t most_products = plan::most_slots;

class MatrixChecker {
 public:
  MatrixChecker(Checker& checker, const plan::CudaPlan& cuda, const plan::PlanStep& step) : checker_(checker), cuda_(cuda), step_(step) {}

  void check(const plan::CudaMatrix& matrix, plan::Wide rows, int64_t width, bool is_written, const std::string& place) const {
    const bool is_nvfp4 = matrix.dtype == plan::PlanDtype::nvfp4;
    const int64_t bytes = plan::element_bytes(matrix.dtype);
    const int64_t step = static_cast<int64_t>(least_matmul_alignment) / bytes * (is_nvfp4 ? 2 : 1);
    if (!checker_.require(matrix.offset >= 0 && matrix.offset <= plan::largest_arena && matrix.offset % step == 0, place + ".offset",
                          "must be 0 to 2^46 and a multiple of 16 bytes") ||
        !checker_.require(matrix.stride >= width && matrix.stride <= plan::largest_extent && matrix.stride % step == 0, place + ".stride",
                          "must be at least the row's " + std::to_string(width) + " elements and a multiple of 16 bytes"))
      return;
    const plan::Wide elements = rows == 0 ? 0 : matrix.offset + (rows - 1) * matrix.stride + width;
    const plan::Wide end = is_nvfp4 ? elements / 2 : elements * bytes;
    // Buffers of the plan have it in tiles, which no library reads.
    checker_.require(!is_nvfp4 || matrix.buffer == -1, place + ".buffer", "must be scratch for a matrix of nvfp4");
    if (matrix.buffer == -1) {
      checker_.require(end <= cuda_.library_scratch_bytes, place, "goes past the " + std::to_string(cuda_.library_scratch_bytes) + " bytes of scratch");
      return;
    }
    const auto found = std::find(step_.bindings.begin(), step_.bindings.end(), matrix.buffer);
    if (!checker_.require(found != step_.bindings.end(), place + ".buffer", "is buffer " + std::to_string(matrix.buffer) + ", which the step does not use"))
      return;
    const plan::PlanBuffer& buffer = checker_.plan.buffers[static_cast<size_t>(matrix.buffer)];
    checker_.require(matrix.dtype == buffer.dtype, place + ".dtype", "must be that of the buffer " + buffer.name);
    checker_.require(end <= buffer.bytes, place, "goes past the end of the buffer " + buffer.name);
    checker_.require(!is_written || may_write(matrix.buffer), place + ".buffer", "names " + buffer.name + ", which the step only reads");
  }

 private:
  bool may_write(int64_t buffer) const {
    const std::vector<plan::Slot>& slots =
        std::visit([](const auto& kernel) -> const std::vector<plan::Slot>& { return kernel.slots; },
                   checker_.plan.kernels[static_cast<size_t>(step_.kernel)]);
    for (size_t i = 0; i < slots.size() && i < step_.bindings.size(); ++i)
      if (step_.bindings[i] == buffer && slots[i].access != plan::SlotAccess::read) return true;
    return false;
  }

  Checker& checker_;
  const plan::CudaPlan& cuda_;
  const plan::PlanStep& step_;
};

}  // namespace

void check_library_step(Checker& checker, const plan::CudaPlan& cuda, const plan::CudaLibraryStep& step, const plan::PlanStep& planned,
                        const std::string& place) {
  checker.require(step.least_rows >= 1, place + ".leastRows", "must be at least 1");
  if (!checker.require(step.rows.size() <= plan::most_loops, place + ".rows", "has too many loops")) return;
  plan::Wide rows = 1;
  for (const plan::Affine& extent : step.rows) {
    const plan::Linear value = checker.linear(extent, place + ".rows");
    const bool is_sound = checker.bounds.is_moderate(value) && checker.bounds.highest(value) <= plan::largest_extent;
    if (!checker.require(is_sound, place + ".rows", "can pass 2^31")) return;
    rows *= std::max<plan::Wide>(0, checker.bounds.highest(value));
    if (!checker.require(rows <= plan::largest_extent, place + ".rows", "can pass 2^31 in total")) return;
  }
  if (!checker.require(!step.products.empty() && step.products.size() <= most_products, place + ".products",
                       "must be 1 to " + std::to_string(most_products)))
    return;
  const MatrixChecker matrices(checker, cuda, planned);
  for (size_t i = 0; i < step.products.size(); ++i) {
    const plan::CudaProduct& product = step.products[i];
    const std::string at = place + ".products[" + std::to_string(i) + "]";
    const plan::Linear contracted = checker.linear(product.contracted, at + ".contracted");
    const plan::Wide depth = checker.bounds.is_moderate(contracted) ? checker.bounds.highest(contracted) : 0;
    const auto is_size = [](plan::Wide size) { return size >= 1 && size <= plan::largest_extent; };
    if (!checker.require(is_size(product.columns) && is_size(depth), at, "must have 1 to 2^31 columns and contracted elements"))
      continue;
    const plan::PlanDtype out = product.out.dtype;
    const bool is_nvfp4 = !product.scales.empty();
    const plan::PlanDtype operands = is_nvfp4 ? plan::PlanDtype::nvfp4 : plan::PlanDtype::bf16;
    if (!checker.require(product.x.dtype == operands && product.weight.dtype == operands, at,
                         is_nvfp4 ? "must be of nvfp4 matrices, because it has block scales" : "must be of bf16 matrices"))
      continue;
    if (!checker.require(product.scales.size() <= 1, at + ".scales", "must be one or none")) continue;
    if (is_nvfp4 && !checker.require(depth % 32 == 0 && contracted.is_constant() && !product.is_x_transposed && !product.is_weight_transposed,
                                     at, "of nvfp4 must contract a constant multiple of 32 elements along the rows of both"))
      continue;
    for (const plan::CudaBlockScales& scales : product.scales) {
      const auto check_scales = [&](int64_t begin, plan::Wide along, const std::string& where) {
        const bool is_sound = begin >= 0 && begin <= plan::largest_arena && begin % static_cast<int64_t>(least_matmul_alignment) == 0;
        if (!checker.require(is_sound, where, "must be 0 to 2^46 and a multiple of 16 bytes")) return;
        const plan::Wide end = begin + (along + 127) / 128 * ((depth + 63) / 64) * 512;
        checker.require(end <= cuda.library_scratch_bytes, where, "goes past the " + std::to_string(cuda.library_scratch_bytes) + " bytes of scratch");
      };
      check_scales(scales.x, rows, at + ".scales[0].x");
      check_scales(scales.weight, product.columns, at + ".scales[0].weight");
    }
    checker.require(out == plan::PlanDtype::f32 || out == plan::PlanDtype::bf16, at + ".out.dtype", "must be f32 or bf16");
    const auto check_operand = [&](const plan::CudaMatrix& matrix, plan::Wide along, bool is_transposed, const std::string& where) {
      matrices.check(matrix, is_transposed ? depth : along, static_cast<int64_t>(is_transposed ? along : depth), false, where);
    };
    check_operand(product.x, rows, product.is_x_transposed, at + ".x");
    check_operand(product.weight, product.columns, product.is_weight_transposed, at + ".weight");
    matrices.check(product.out, rows, product.columns, true, at + ".out");
    checker.require(product.addends.size() <= 1, at + ".addends", "must be one or none");
    for (const plan::CudaMatrix& addend : product.addends) {
      checker.require(addend.dtype == out, at + ".addends[0].dtype", "must be that of the output");
      matrices.check(addend, rows, product.columns, false, at + ".addends[0]");
    }
  }
}

}  // namespace weft::cuda
