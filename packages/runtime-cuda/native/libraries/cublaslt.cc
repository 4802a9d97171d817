#include "libraries/cublaslt.h"

#include <map>
#include <utility>

#include "error.h"

namespace weft::cuda {
namespace {

// Shapes that are remembered. A prompt of each length is a shape of its own.
constexpr size_t most_shapes = 1024;

void* address(uint64_t pointer) { return reinterpret_cast<void*>(static_cast<uintptr_t>(pointer)); }

// A descriptor of the library's that ends with its owner.
template <class Object>
class Descriptor {
 public:
  Descriptor() = default;
  Descriptor(Object object, int (*destroy)(Object)) : object_(object), destroy_(destroy) {}
  Descriptor(Descriptor&& other) noexcept : object_(std::exchange(other.object_, nullptr)), destroy_(other.destroy_) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(object_, other.object_);
    std::swap(destroy_, other.destroy_);
    return *this;
  }
  ~Descriptor() {
    if (object_) destroy_(object_);
  }
  Object get() const { return object_; }

 private:
  Object object_ = nullptr;
  int (*destroy_)(Object) = nullptr;
};

// What a product of one shape is called with.
struct Prepared {
  Descriptor<LtMatrixLayout> weight, x, addend, out;
  LtAlgo algo{};
  size_t workspace_bytes = 0;
  // Why there is none.
  std::string refusal;
};

// CUDA 12.8 brought products of NVFP4.
constexpr size_t least_nvfp4_version = 12080;

// What is added where the result goes must have the very layout of the result.
bool has_own_layout(const MatmulShape& shape) { return shape.addend_stride != 0 && shape.addend_stride != shape.out_stride; }

// cuBLASLt's matrices lie in columns. A matrix of ours, in rows, is the transposed one of its; so it computes
// out^T = weight * x^T, with `weight` as its A, to be transposed unless it is so already, and `x` as its B.
class CublasLt final : public MatmulLibrary {
 public:
  CublasLt(const CublasLtApi& api, InContext in_context) : api_(api), in_context_(std::move(in_context)) {
    const std::string failure = inside([&]() -> std::string {
      if (const int status = api_.create(&handle_)) return text("cublasLtCreate", status);
      for (const bool x_is_transposed : {false, true})
        for (const bool weight_is_transposed : {false, true})
          if (const std::string refused = describe_product(product_of(x_is_transposed, weight_is_transposed), x_is_transposed, weight_is_transposed);
              !refused.empty())
            return refused;
      nvfp4_refusal_ = describe_nvfp4();
      return {};
    });
    if (failure.empty()) return;
    close();
    throw Error("[cuda] " + failure + "; opening " + name());
  }
  CublasLt(const CublasLt&) = delete;
  CublasLt& operator=(const CublasLt&) = delete;
  ~CublasLt() override { close(); }

  std::string name() const override { return "cuBLASLt " + api_.version_text() + " (" + api_.path + ")"; }

  std::string nvfp4_refusal() const override { return nvfp4_refusal_; }

  std::string prepare(const MatmulShape& shape) override { return prepared(shape).refusal; }

  std::string multiply(const Matmul& matmul) override {
    const Prepared& way = prepared(matmul.shape);
    if (!way.refusal.empty()) return way.refusal;
    const bool adds = matmul.shape.addend_stride != 0;
    const float alpha = 1, beta = adds ? 1 : 0;
    return inside([&]() -> std::string {
      if (matmul.shape.is_nvfp4) {
        if (const int status = set_scales(address(matmul.weight_scales), address(matmul.x_scales)))
          return text("cublasLtMatmulDescSetAttribute", status);
      }
      const int status = api_.matmul(handle_, product_of(matmul.shape).get(), &alpha, address(matmul.weight), way.weight.get(), address(matmul.x),
                                     way.x.get(), &beta, address(adds ? matmul.addend : matmul.out),
                                     has_own_layout(matmul.shape) ? way.addend.get() : way.out.get(), address(matmul.out),
                                     way.out.get(), &way.algo,
                                     address(matmul.workspace), way.workspace_bytes, address(matmul.stream));
      return status ? text("cublasLtMatmul", status) : std::string();
    });
  }

 private:
  std::string text(const char* call, int status) const {
    const char *status_name = api_.get_status_name(status), *meaning = api_.get_status_string(status);
    return std::string(call) + " must succeed; " + (status_name ? status_name : "status " + std::to_string(status)) + " (" +
           (meaning ? meaning : "no description") + ")";
  }

  Descriptor<LtMatmulDesc>& product_of(bool x_is_transposed, bool weight_is_transposed) {
    return products_[x_is_transposed * 2 + weight_is_transposed];
  }
  const Descriptor<LtMatmulDesc>& product_of(const MatmulShape& shape) const {
    if (shape.is_nvfp4) return nvfp4_product_;
    return products_[shape.x_is_transposed * 2 + shape.weight_is_transposed];
  }

  // NVFP4 is multiplied along the rows of both operands only.
  std::string describe_nvfp4() {
    if (api_.cuda_version < least_nvfp4_version)
      return "cuBLASLt must be of CUDA 12.8 or later to multiply NVFP4; " + name() + " is of CUDA " +
             std::to_string(api_.cuda_version / 1000) + "." + std::to_string(api_.cuda_version % 1000 / 10) + ": update it";
    if (const std::string refused = describe_product(nvfp4_product_, false, false); !refused.empty()) return refused;
    const auto set = [&](int attribute, const auto& value) {
      return api_.matmul_desc_set_attribute(nvfp4_product_.get(), attribute, &value, sizeof value);
    };
    const int32_t mode = matrix_scale_vec16_ue4m3;
    int status = set(matmul_desc_a_scale_mode, mode);
    if (!status) status = set(matmul_desc_b_scale_mode, mode);
    // Ways are asked for before there are scales: that there will be some is what matters then.
    if (!status) status = set_scales(address(most_matmul_alignment), address(most_matmul_alignment));
    return status ? text("cublasLtMatmulDescSetAttribute", status) : std::string();
  }

  // A is the weight.
  int set_scales(const void* a, const void* b) {
    const int status = api_.matmul_desc_set_attribute(nvfp4_product_.get(), matmul_desc_a_scale_pointer, &a, sizeof a);
    return status ? status : api_.matmul_desc_set_attribute(nvfp4_product_.get(), matmul_desc_b_scale_pointer, &b, sizeof b);
  }

  std::string describe_product(Descriptor<LtMatmulDesc>& to, bool x_is_transposed, bool weight_is_transposed) {
    LtMatmulDesc product = nullptr;
    if (const int status = api_.matmul_desc_create(&product, cublas_compute_32f, cuda_r_32f))
      return text("cublasLtMatmulDescCreate", status);
    to = {product, api_.matmul_desc_destroy};
    const auto set = [&](int attribute, int32_t value) {
      return api_.matmul_desc_set_attribute(product, attribute, &value, sizeof value);
    };
    int status = set(matmul_desc_transa, weight_is_transposed ? cublas_op_n : cublas_op_t);
    if (!status) status = set(matmul_desc_transb, x_is_transposed ? cublas_op_t : cublas_op_n);
    return status ? text("cublasLtMatmulDescSetAttribute", status) : std::string();
  }

  template <class Call>
  std::string inside(Call&& call) {
    std::string result;
    const std::string refused = in_context_([&] { result = call(); });
    return refused.empty() ? result : refused;
  }

  void close() noexcept {
    shapes_.clear();
    for (Descriptor<LtMatmulDesc>& product : products_) product = {};
    nvfp4_product_ = {};
    if (LtHandle handle = std::exchange(handle_, nullptr)) in_context_([&] { api_.destroy(handle); });
  }

  const Prepared& prepared(const MatmulShape& shape) {
    const auto found = shapes_.find(shape);
    if (found != shapes_.end()) return found->second;
    Prepared made;
    made.refusal = inside([&] { return choose(shape, made); });
    // What is remembered is quickly found again.
    if (shapes_.size() >= most_shapes) shapes_.clear();
    return shapes_.emplace(shape, std::move(made)).first->second;
  }

  std::string choose(const MatmulShape& shape, Prepared& made) const {
    if (shape.is_nvfp4 && !nvfp4_refusal_.empty()) return nvfp4_refusal_;
    const auto layout = [&](Descriptor<LtMatrixLayout>& to, int type, int64_t rows, int64_t columns, int64_t stride) {
      LtMatrixLayout object = nullptr;
      const int status = api_.matrix_layout_create(&object, type, static_cast<uint64_t>(rows), static_cast<uint64_t>(columns), stride);
      if (status == cublas_status_success) to = {object, api_.matrix_layout_destroy};
      return status;
    };
    const int out = shape.out_is_bf16 ? cuda_r_16bf : cuda_r_32f;
    const auto operand = [&](Descriptor<LtMatrixLayout>& to, int64_t along, int64_t stride, bool is_transposed) {
      return layout(to, shape.is_nvfp4 ? cuda_r_4f_e2m1 : cuda_r_16bf, is_transposed ? along : shape.contracted, is_transposed ? shape.contracted : along, stride);
    };
    int status = operand(made.weight, shape.columns, shape.weight_stride, shape.weight_is_transposed);
    if (!status) status = operand(made.x, shape.rows, shape.x_stride, shape.x_is_transposed);
    if (!status) status = layout(made.out, out, shape.columns, shape.rows, shape.out_stride);
    if (!status && has_own_layout(shape)) status = layout(made.addend, out, shape.columns, shape.rows, shape.addend_stride);
    if (status) return text("cublasLtMatrixLayoutCreate", status);

    LtPreference object = nullptr;
    if (const int created = api_.preference_create(&object)) return text("cublasLtMatmulPreferenceCreate", created);
    const Descriptor<LtPreference> preference(object, api_.preference_destroy);
    const uint64_t workspace = matmul_workspace_bytes;
    status = api_.preference_set_attribute(object, matmul_pref_max_workspace_bytes, &workspace, sizeof workspace);
    // Parts are added up in f32, and in one order: neither in the output's type nor where it lies.
    const uint32_t schemes = reduction_scheme_compute_type;
    if (!status) status = api_.preference_set_attribute(object, matmul_pref_reduction_scheme_mask, &schemes, sizeof schemes);
    const uint32_t alignment = static_cast<uint32_t>(shape.alignment);
    for (const int attribute : {matmul_pref_min_alignment_a_bytes, matmul_pref_min_alignment_b_bytes,
                                matmul_pref_min_alignment_c_bytes, matmul_pref_min_alignment_d_bytes})
      if (!status) status = api_.preference_set_attribute(object, attribute, &alignment, sizeof alignment);
    if (status) return text("cublasLtMatmulPreferenceSetAttribute", status);

    LtHeuristicResult result{};
    int count = 0;
    status = api_.algo_get_heuristic(handle_, product_of(shape).get(), made.weight.get(), made.x.get(),
                                     has_own_layout(shape) ? made.addend.get() : made.out.get(), made.out.get(), object, 1,
                                     &result, &count);
    if (!status && count > 0) status = result.status;
    if (status) return text("cublasLtMatmulAlgoGetHeuristic", status);
    if (count < 1) return "cublasLtMatmulAlgoGetHeuristic must find a way; it finds none";
    if (result.workspace_bytes > matmul_workspace_bytes)
      return "cublasLtMatmulAlgoGetHeuristic must keep to " + std::to_string(matmul_workspace_bytes) + " bytes of workspace; it wants " +
             std::to_string(result.workspace_bytes);
    made.algo = result.algo;
    made.workspace_bytes = result.workspace_bytes;
    return {};
  }

  const CublasLtApi& api_;
  InContext in_context_;
  LtHandle handle_ = nullptr;
  // By whether the weight, and whether x, is transposed.
  Descriptor<LtMatmulDesc> products_[4];
  // Its scales' pointers are those of the product under way.
  Descriptor<LtMatmulDesc> nvfp4_product_;
  std::string nvfp4_refusal_;
  std::map<MatmulShape, Prepared> shapes_;
};

}  // namespace

std::unique_ptr<MatmulLibrary> make_cublaslt(const CublasLtApi& api, InContext in_context) {
  return std::make_unique<CublasLt>(api, std::move(in_context));
}

}  // namespace weft::cuda
