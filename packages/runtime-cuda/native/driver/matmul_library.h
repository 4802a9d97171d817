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
  // What the addresses of all matrices are multiples of.
  uint64_t alignment = least_matmul_alignment;
  auto operator<=>(const MatmulShape&) const = default;
};

struct Matmul {
  MatmulShape shape;
  uint64_t x = 0;
  uint64_t weight = 0;
  uint64_t out = 0;
  // May be `out`.
  uint64_t addend = 0;
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
  // Chooses how products of this shape are computed. The choice, or the refusal, is kept for the next time. Puts
  // nothing on a stream.
  virtual std::string prepare(const MatmulShape& shape) = 0;
  // Puts a product on its stream, which may be under capture.
  virtual std::string multiply(const Matmul& matmul) = 0;
};

}  // namespace weft::cuda
