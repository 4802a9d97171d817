// Products of large matrices by a library of NVIDIA's, next to the driver: a driver opens one, and owns the memory and
// the streams that it works on. Three implementations: cuBLASLt, the simulator's, which computes on the host, and the
// recorder's, which computes nothing.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>

namespace weft::cuda {

// Memory that a product may use while it runs.
inline constexpr size_t matmul_workspace_bytes = size_t{32} << 20;
// Matrices begin at a multiple of this many bytes, and so do their rows.
inline constexpr uint64_t least_matmul_alignment = 16;
inline constexpr uint64_t most_matmul_alignment = 256;

// out[rows][columns] = x[rows][contracted] * weight[columns][contracted]^T + addend[rows][columns], in f32. `x` and
// `weight` are bf16; `addend` is of the output's type. A transposed matrix lies in memory as [contracted][rows], or
// [contracted][columns]. Strides count elements from one row in memory to the next.
struct MatmulShape {
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t contracted = 0;
  int64_t x_stride = 0;
  int64_t weight_stride = 0;
  int64_t out_stride = 0;
  // 0: nothing is added.
  int64_t addend_stride = 0;
  bool out_is_bf16 = false;
  bool x_is_transposed = false;
  bool weight_is_transposed = false;
  // `x` and `weight` are NVFP4 instead of bf16: rows of two codes to a byte, the first in the low half, and block scales of
  // their own. Strides count elements, and `contracted` is a multiple of 32.
  bool is_nvfp4 = false;
  // What the addresses of all matrices are multiples of.
  uint64_t alignment = least_matmul_alignment;
  auto operator<=>(const MatmulShape&) const = default;
};

// Bytes of block scales as units for FP4 read them: tiles of 128 rows and 4 blocks of 16 elements.
constexpr int64_t swizzled_scales_bytes(int64_t rows, int64_t contracted) {
  return (rows + 127) / 128 * ((contracted + 63) / 64) * 512;
}
// Where the scale of element k of a row lies.
constexpr int64_t swizzled_scale_place(int64_t row, int64_t k, int64_t contracted) {
  const int64_t block = k / 16;
  return (row / 128 * ((contracted + 63) / 64) + block / 4) * 512 + row % 32 * 16 + row / 32 % 4 * 4 + block % 4;
}

struct Matmul {
  MatmulShape shape;
  uint64_t x = 0;
  uint64_t weight = 0;
  uint64_t out = 0;
  // May be `out`.
  uint64_t addend = 0;
  // Block scales of x and the weight (E4M3, swizzled), where they are NVFP4.
  uint64_t x_scales = 0;
  uint64_t weight_scales = 0;
  // `matmul_workspace_bytes` of them.
  uint64_t workspace = 0;
  uint64_t stream = 0;
  // Kernel, step and origin paths, for messages.
  const char* label = "";
};

// Methods give what went wrong, "cublasLtMatmul must succeed; CUBLAS_STATUS_...", and nothing when nothing did.
// All calls come from the thread that calls the driver.
class MatmulLibrary {
 public:
  virtual ~MatmulLibrary() = default;

  // "cuBLASLt 13.0.2 (path)".
  virtual std::string name() const = 0;
  // Why it multiplies no NVFP4; empty where it does, on a device that can.
  virtual std::string nvfp4_refusal() const = 0;
  // Chooses how products of this shape are computed. The choice, or the refusal, is kept for the next time. Puts
  // nothing on a stream.
  virtual std::string prepare(const MatmulShape& shape) = 0;
  // Puts a product on its stream, which may be under capture.
  virtual std::string multiply(const Matmul& matmul) = 0;
};

}  // namespace weft::cuda
