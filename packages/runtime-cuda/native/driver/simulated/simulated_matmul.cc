// Products of a library, computed on the host from the simulated device's memory: bf16 or NVFP4 in, sums in f32.
#include <bit>
#include <cstring>

#include "formats/nvfp4.h"
#include "guarded.h"
#include "simulated_driver.h"

namespace weft::cuda {

using namespace sim;

namespace {

float from_bf16(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

// To the nearest, ties to even.
uint16_t to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

template <class T>
T read(DevicePointer base, int64_t index) {
  T value;
  std::memcpy(&value, reinterpret_cast<const T*>(base) + index, sizeof value);
  return value;
}

struct Bytes {
  DevicePointer begin;
  int64_t rows;
  size_t row, step;
  DevicePointer end() const { return begin + static_cast<size_t>(rows - 1) * step + row; }
  bool meets(const Bytes& other) const { return begin < other.end() && other.begin < end(); }
};

Bytes bytes_of(DevicePointer begin, int64_t rows, int64_t width, int64_t stride, size_t element) {
  return {begin, rows, static_cast<size_t>(width) * element, static_cast<size_t>(stride) * element};
}

}  // namespace

Status SimulatedDriver::multiply_now(const Matmul& matmul) {
  const MatmulShape& shape = matmul.shape;
  const auto wrong = [&](const std::string& why) { return refuse(invalid_value, std::string(matmul.label) + ": " + why); };
  if (shape.rows < 1 || shape.columns < 1 || shape.contracted < 1) return wrong("a product of nothing");
  if (shape.is_nvfp4 && (shape.contracted % 32 != 0 || shape.x_is_transposed || shape.weight_is_transposed))
    return wrong("a product of NVFP4 must be of rows of a multiple of 32 elements");
  const size_t element = shape.out_is_bf16 ? 2 : 4;
  const auto operand = [&](DevicePointer begin, int64_t along, int64_t stride, bool is_transposed) {
    if (shape.is_nvfp4) return bytes_of(begin, along, shape.contracted / 2, stride / 2, 1);
    return bytes_of(begin, is_transposed ? shape.contracted : along, is_transposed ? along : shape.contracted, stride, 2);
  };
  const Bytes x = operand(matmul.x, shape.rows, shape.x_stride, shape.x_is_transposed);
  const Bytes weight = operand(matmul.weight, shape.columns, shape.weight_stride, shape.weight_is_transposed);
  const Bytes out = bytes_of(matmul.out, shape.rows, shape.columns, shape.out_stride, element);
  const bool adds = shape.addend_stride != 0;
  const Bytes addend = adds ? bytes_of(matmul.addend, shape.rows, shape.columns, shape.addend_stride, element) : out;
  const Bytes workspace = bytes_of(matmul.workspace, 1, matmul_workspace_bytes, matmul_workspace_bytes, 1);
  const auto check = [&](const Bytes& bytes, const char* what, bool is_read) -> Status {
    if (bytes.begin % shape.alignment != 0 || bytes.step % least_matmul_alignment != 0 || bytes.step < bytes.row)
      return wrong(std::string(what) + " is not aligned as was said, or its rows overlap");
    MemoryBuffer* buffer = memory_.find(bytes.begin, bytes.end() - bytes.begin);
    if (!buffer) return wrong(std::string(what) + " is not in one allocation of the device");
    const size_t begin = bytes.begin - reinterpret_cast<DevicePointer>(buffer->base);
    for (int64_t row = 0; is_read && row < bytes.rows; ++row) {
      const size_t at = begin + static_cast<size_t>(row) * bytes.step;
      if (buffer->shadow.first_unwritten(at, bytes.row) < at + bytes.row)
        return wrong("nothing was written to part of row " + std::to_string(row) + " of " + what);
    }
    return success;
  };
  const auto scales_of = [&](DevicePointer begin, int64_t along) {
    const int64_t bytes = swizzled_scales_bytes(along, shape.contracted);
    return bytes_of(begin, 1, bytes, bytes, 1);
  };
  if (shape.is_nvfp4) {
    // Tiles whole, with what is padded: units read it, and zero times NaN is NaN.
    if (const Status status = check(scales_of(matmul.x_scales, shape.rows), "the scales of x", true)) return status;
    if (const Status status = check(scales_of(matmul.weight_scales, shape.columns), "the scales of the weight", true)) return status;
  }
  if (const Status status = check(x, "x", true)) return status;
  if (const Status status = check(weight, "the weight", true)) return status;
  if (const Status status = check(out, "the output", false)) return status;
  if (const Status status = adds ? check(addend, "the addend", true) : success) return status;
  if (const Status status = check(workspace, "the workspace", false)) return status;
  // In place is one thing, halfway another.
  const bool in_place = addend.begin == out.begin && addend.step == out.step;
  if (out.meets(x) || out.meets(weight) || (!in_place && out.meets(addend)) || workspace.meets(out) || workspace.meets(x))
    return wrong("the output or the workspace lies where the product reads");

  const auto element_at = [](DevicePointer base, int64_t index, int64_t k, int64_t stride, bool is_transposed) {
    return from_bf16(read<uint16_t>(base, is_transposed ? k * stride + index : index * stride + k));
  };
  const auto code_at = [&](DevicePointer base, DevicePointer scales, int64_t index, int64_t k, int64_t stride) {
    const uint8_t pair = read<uint8_t>(base, (index * stride + k) / 2);
    const float value = decode_e2m1(static_cast<uint8_t>(k % 2 ? pair >> 4 : pair & 15));
    return value * decode_e4m3(read<uint8_t>(scales, swizzled_scale_place(index, k, shape.contracted)) & 0x7f);
  };
  MemoryBuffer& target = *memory_.find(out.begin, out.end() - out.begin);
  for (int64_t row = 0; row < shape.rows; ++row) {
    for (int64_t column = 0; column < shape.columns; ++column) {
      float sum = 0;
      for (int64_t k = 0; shape.is_nvfp4 && k < shape.contracted; ++k)
        sum += code_at(matmul.x, matmul.x_scales, row, k, shape.x_stride) *
               code_at(matmul.weight, matmul.weight_scales, column, k, shape.weight_stride);
      for (int64_t k = 0; !shape.is_nvfp4 && k < shape.contracted; ++k)
        sum += element_at(matmul.x, row, k, shape.x_stride, shape.x_is_transposed) *
               element_at(matmul.weight, column, k, shape.weight_stride, shape.weight_is_transposed);
      const int64_t at = row * shape.out_stride + column, from = row * shape.addend_stride + column;
      if (adds) sum += shape.out_is_bf16 ? from_bf16(read<uint16_t>(matmul.addend, from)) : read<float>(matmul.addend, from);
      const uint16_t narrow = to_bf16(sum);
      void* place = reinterpret_cast<void*>(matmul.out + static_cast<size_t>(at) * element);
      std::memcpy(place, shape.out_is_bf16 ? static_cast<const void*>(&narrow) : &sum, element);
    }
    const size_t begin = out.begin - reinterpret_cast<DevicePointer>(target.base) + static_cast<size_t>(row) * out.step;
    target.shadow.mark(begin, out.row, scheduler_.host_stamp());
  }
  scheduler_.break_chain();
  return success;
}

class SimulatedMatmul final : public MatmulLibrary {
 public:
  explicit SimulatedMatmul(SimulatedDriver& driver) : driver_(driver) {}

  std::string name() const override { return "products on the host"; }
  std::string nvfp4_refusal() const override { return {}; }
  std::string prepare(const MatmulShape&) override { return {}; }

  std::string multiply(const Matmul& matmul) override {
    driver_.details_.clear();
    const Status status = driver_.guarded([&] {
      // A capture keeps it longer than the caller keeps the label.
      struct Copy {
        Matmul matmul;
        std::string label;
      };
      const auto copy = std::make_shared<Copy>(Copy{matmul, matmul.label});
      copy->matmul.label = copy->label.c_str();
      return driver_.put(matmul.stream, [copy, &driver = driver_] { return driver.multiply_now(copy->matmul); });
    });
    if (status == success) return {};
    return "a simulated product must succeed; " + driver_.explain(status) + (driver_.details_.empty() ? "" : "; " + driver_.details_);
  }

 private:
  SimulatedDriver& driver_;
};

std::unique_ptr<MatmulLibrary> SimulatedDriver::open_matmul_library(std::string&) {
  return std::make_unique<SimulatedMatmul>(*this);
}

}  // namespace weft::cuda
