// The part of cuBLASLt that is used: own declarations of its ABI, the same in CUDA 12 and 13, so that no toolkit is
// needed. Names without the prefix `cublasLt`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "libraries/shared_library.h"

namespace weft::cuda {

using LtHandle = struct LtHandleObject*;
using LtMatmulDesc = struct LtMatmulDescObject*;
using LtMatrixLayout = struct LtMatrixLayoutObject*;
using LtPreference = struct LtPreferenceObject*;

// cublasLtMatmulAlgo_t: opaque.
struct LtAlgo {
  uint64_t data[8];
};
static_assert(sizeof(LtAlgo) == 64);

// cublasLtMatmulHeuristicResult_t.
struct LtHeuristicResult {
  LtAlgo algo;
  size_t workspace_bytes;
  int status;
  float waves;
  int reserved[4];
};
static_assert(sizeof(LtHeuristicResult) == 96 && offsetof(LtHeuristicResult, workspace_bytes) == 64 &&
              offsetof(LtHeuristicResult, status) == 72);

// Values of its enumerations, under the names of the headers in lower case.
enum LtValue : int {
  cublas_status_success = 0,
  cublas_op_n = 0,
  cublas_op_t = 1,
  cuda_r_32f = 0,
  cuda_r_16bf = 14,
  cuda_r_4f_e2m1 = 33,  // from CUDA 12.8 on
  cublas_compute_32f = 68,
};
enum LtMatmulDescAttribute : int {
  matmul_desc_transa = 3,  // int32_t
  matmul_desc_transb = 4,
  matmul_desc_a_scale_pointer = 17,  // const void*, of the device
  matmul_desc_b_scale_pointer = 18,
  matmul_desc_a_scale_mode = 31,  // int32_t; from CUDA 12.8 on
  matmul_desc_b_scale_mode = 32,
};
enum LtMatrixScale : int32_t {
  matrix_scale_vec16_ue4m3 = 1,
};
// How the parts of a product whose contracted axis is cut may be added up; never is always allowed.
enum LtReductionScheme : uint32_t {
  reduction_scheme_compute_type = 2,
};
enum LtPreferenceAttribute : int {
  matmul_pref_max_workspace_bytes = 1,  // uint64_t
  matmul_pref_reduction_scheme_mask = 3,  // uint32_t
  matmul_pref_min_alignment_a_bytes = 5,  // uint32_t
  matmul_pref_min_alignment_b_bytes = 6,
  matmul_pref_min_alignment_c_bytes = 7,
  matmul_pref_min_alignment_d_bytes = 8,
};

struct CublasLtApi {
  std::string path;
  // 13.0.2 as 130002, and of the CUDA that it was built with, 13.0 as 13000.
  size_t version;
  size_t cuda_version;

  size_t (*get_version)();
  size_t (*get_cudart_version)();
  const char* (*get_status_name)(int status);
  const char* (*get_status_string)(int status);
  int (*create)(LtHandle*);
  int (*destroy)(LtHandle);
  int (*matmul_desc_create)(LtMatmulDesc*, int compute_type, int scale_type);
  int (*matmul_desc_destroy)(LtMatmulDesc);
  int (*matmul_desc_set_attribute)(LtMatmulDesc, int attribute, const void* value, size_t bytes);
  int (*matrix_layout_create)(LtMatrixLayout*, int type, uint64_t rows, uint64_t columns, int64_t leading_dimension);
  int (*matrix_layout_destroy)(LtMatrixLayout);
  int (*preference_create)(LtPreference*);
  int (*preference_destroy)(LtPreference);
  int (*preference_set_attribute)(LtPreference, int attribute, const void* value, size_t bytes);
  int (*algo_get_heuristic)(LtHandle, LtMatmulDesc, LtMatrixLayout a, LtMatrixLayout b, LtMatrixLayout c, LtMatrixLayout d,
                            LtPreference, int requested, LtHeuristicResult* results, int* returned);
  int (*matmul)(LtHandle, LtMatmulDesc, const void* alpha, const void* a, LtMatrixLayout, const void* b, LtMatrixLayout,
                const void* beta, const void* c, LtMatrixLayout, void* d, LtMatrixLayout, const LtAlgo*, void* workspace,
                size_t workspace_bytes, void* stream);

  // "13.0.2".
  std::string version_text() const;
};

// The newest library that a driver for this version of CUDA (13.0 as 13000) can serve: opened once, kept open. Throws
// Error with the places tried when there is none.
const CublasLtApi& cublaslt_for(int driver_version);

}  // namespace weft::cuda
