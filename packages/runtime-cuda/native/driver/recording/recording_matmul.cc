// Products that are only written down: what the host asks of a library, tested without one.
#include <set>

#include "driver/recording/recording_driver.h"

namespace weft::cuda {
namespace {

std::vector<std::pair<const char*, uint64_t>> numbers_of(const MatmulShape& shape) {
  const auto number = [](int64_t value) { return static_cast<uint64_t>(value); };
  return {{"rows", number(shape.rows)}, {"columns", number(shape.columns)}, {"contracted", number(shape.contracted)}};
}

}  // namespace

class RecordingMatmul final : public MatmulLibrary {
 public:
  explicit RecordingMatmul(RecordingDriver& driver) : driver_(driver) {}

  std::string name() const override { return "recorded library"; }
  std::string nvfp4_refusal() const override { return {}; }

  std::string prepare(const MatmulShape& shape) override {
    if (known_.contains(shape)) return {};
    const Status status = driver_.call("prepare_matmul", numbers_of(shape));
    if (status == success) known_.insert(shape);
    return status == success ? "" : "prepare_matmul must succeed; status " + std::to_string(status);
  }

  std::string multiply(const Matmul& matmul) override {
    const MatmulShape& shape = matmul.shape;
    const auto number = [](int64_t value) { return static_cast<uint64_t>(value); };
    Status status = driver_.call(
        "multiply", numbers_of(shape), matmul.label,
        {matmul.x, number(shape.x_stride), matmul.weight, number(shape.weight_stride), matmul.out, number(shape.out_stride),
         matmul.addend, number(shape.addend_stride), number(shape.out_is_bf16), shape.alignment, matmul.workspace,
         number(shape.x_is_transposed), number(shape.weight_is_transposed), number(shape.is_nvfp4), matmul.x_scales, matmul.weight_scales});
    const auto inside = [&](DevicePointer pointer, int64_t stride, int64_t rows, int64_t width, size_t bytes) {
      const size_t elements = static_cast<size_t>((rows - 1) * stride + width);
      if (status == success) status = driver_.in_range("device", pointer, elements * bytes);
    };
    const size_t out_bytes = shape.out_is_bf16 ? 2 : 4;
    const auto operand = [&](DevicePointer pointer, int64_t stride, int64_t along, bool is_transposed) {
      inside(pointer, stride, is_transposed ? shape.contracted : along, is_transposed ? along : shape.contracted, 2);
    };
    const auto codes = [&](DevicePointer pointer, DevicePointer scales, int64_t stride, int64_t along) {
      inside(pointer, stride / 2, along, shape.contracted / 2, 1);
      inside(scales, 0, 1, swizzled_scales_bytes(along, shape.contracted), 1);
    };
    if (shape.is_nvfp4) {
      codes(matmul.x, matmul.x_scales, shape.x_stride, shape.rows);
      codes(matmul.weight, matmul.weight_scales, shape.weight_stride, shape.columns);
    } else {
      operand(matmul.x, shape.x_stride, shape.rows, shape.x_is_transposed);
      operand(matmul.weight, shape.weight_stride, shape.columns, shape.weight_is_transposed);
    }
    inside(matmul.out, shape.out_stride, shape.rows, shape.columns, out_bytes);
    if (shape.addend_stride != 0) inside(matmul.addend, shape.addend_stride, shape.rows, shape.columns, out_bytes);
    inside(matmul.workspace, 0, 1, matmul_workspace_bytes, 1);
    if (status == success) status = driver_.is_live("stream", matmul.stream);
    return status == success ? "" : "multiply must succeed; " + driver_.explain(status) + " " + driver_.details();
  }

 private:
  RecordingDriver& driver_;
  std::set<MatmulShape> known_;
};

std::unique_ptr<MatmulLibrary> RecordingDriver::open_matmul_library(std::string& why) {
  if (const Status status = call("open_matmul_library")) {
    why = "open_matmul_library must succeed; status " + std::to_string(status);
    return nullptr;
  }
  return std::make_unique<RecordingMatmul>(*this);
}

}  // namespace weft::cuda
