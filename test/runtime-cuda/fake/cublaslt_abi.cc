// Our declarations of cuBLASLt against NVIDIA's own: compiled where its headers are, never run.
#include <cublasLt.h>

#include <tuple>
#include <type_traits>

#include "libraries/cublaslt_api.h"

using namespace weft::cuda;

static_assert(sizeof(LtAlgo) == sizeof(cublasLtMatmulAlgo_t));
static_assert(sizeof(LtHeuristicResult) == sizeof(cublasLtMatmulHeuristicResult_t));
static_assert(offsetof(LtHeuristicResult, algo) == offsetof(cublasLtMatmulHeuristicResult_t, algo));
static_assert(offsetof(LtHeuristicResult, workspace_bytes) == offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize));
static_assert(offsetof(LtHeuristicResult, status) == offsetof(cublasLtMatmulHeuristicResult_t, state));
static_assert(offsetof(LtHeuristicResult, waves) == offsetof(cublasLtMatmulHeuristicResult_t, wavesCount));

#define SAME(ours, theirs) static_assert(static_cast<int>(ours) == static_cast<int>(theirs))
SAME(cublas_status_success, CUBLAS_STATUS_SUCCESS);
SAME(cublas_op_n, CUBLAS_OP_N);
SAME(cublas_op_t, CUBLAS_OP_T);
SAME(cuda_r_32f, CUDA_R_32F);
SAME(cuda_r_16bf, CUDA_R_16BF);
SAME(cuda_r_4f_e2m1, CUDA_R_4F_E2M1);
SAME(matmul_desc_a_scale_pointer, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER);
SAME(matmul_desc_b_scale_pointer, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER);
SAME(matmul_desc_a_scale_mode, CUBLASLT_MATMUL_DESC_A_SCALE_MODE);
SAME(matmul_desc_b_scale_mode, CUBLASLT_MATMUL_DESC_B_SCALE_MODE);
SAME(matrix_scale_vec16_ue4m3, CUBLASLT_MATMUL_MATRIX_SCALE_VEC16_UE4M3);
static_assert(sizeof(cublasLtMatmulMatrixScale_t) == sizeof(LtMatrixScale));
SAME(cublas_compute_32f, CUBLAS_COMPUTE_32F);
SAME(matmul_desc_transa, CUBLASLT_MATMUL_DESC_TRANSA);
SAME(matmul_desc_transb, CUBLASLT_MATMUL_DESC_TRANSB);
SAME(matmul_pref_max_workspace_bytes, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
SAME(matmul_pref_reduction_scheme_mask, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK);
SAME(reduction_scheme_compute_type, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE);
SAME(matmul_pref_min_alignment_a_bytes, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES);
SAME(matmul_pref_min_alignment_b_bytes, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES);
SAME(matmul_pref_min_alignment_c_bytes, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES);
SAME(matmul_pref_min_alignment_d_bytes, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES);

// How a type is passed: an enumeration as the integer beneath it (C's enumerators count as int), any pointer as one.
template <class T>
using Passed = std::conditional_t<std::is_pointer_v<T>, void*, std::conditional_t<std::is_enum_v<T>, int, T>>;
template <class Result, class... Arguments>
std::tuple<Passed<Result>, Passed<Arguments>...> passed(Result (*)(Arguments...));

#define SAME_CALL(ours, theirs) \
  static_assert(std::is_same_v<decltype(passed(std::declval<decltype(CublasLtApi::ours)>())), decltype(passed(&theirs))>)
static_assert(sizeof(cudaDataType) == sizeof(int) && sizeof(cublasStatus_t) == sizeof(int));
SAME_CALL(get_version, cublasLtGetVersion);
SAME_CALL(get_cudart_version, cublasLtGetCudartVersion);
SAME_CALL(get_status_name, cublasLtGetStatusName);
SAME_CALL(get_status_string, cublasLtGetStatusString);
SAME_CALL(create, cublasLtCreate);
SAME_CALL(destroy, cublasLtDestroy);
SAME_CALL(matmul_desc_create, cublasLtMatmulDescCreate);
SAME_CALL(matmul_desc_destroy, cublasLtMatmulDescDestroy);
SAME_CALL(matmul_desc_set_attribute, cublasLtMatmulDescSetAttribute);
SAME_CALL(matrix_layout_create, cublasLtMatrixLayoutCreate);
SAME_CALL(matrix_layout_destroy, cublasLtMatrixLayoutDestroy);
SAME_CALL(preference_create, cublasLtMatmulPreferenceCreate);
SAME_CALL(preference_destroy, cublasLtMatmulPreferenceDestroy);
SAME_CALL(preference_set_attribute, cublasLtMatmulPreferenceSetAttribute);
SAME_CALL(algo_get_heuristic, cublasLtMatmulAlgoGetHeuristic);
SAME_CALL(matmul, cublasLtMatmul);
