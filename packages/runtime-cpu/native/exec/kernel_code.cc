#include "exec/kernel_code.h"

#include "exec/attention_code.h"
#include "exec/attention_training_code.h"
#include "exec/contract_code.h"
#include "exec/linear_cross_entropy_code.h"
#include "exec/matmul_code.h"
#include "exec/rows_code.h"
#include "exec/scatter_add_code.h"
#include "exec/top_k_code.h"

namespace weft::cpu {

DType kernel_dtype(plan::PlanDtype dtype) {
  switch (dtype) {
    case plan::PlanDtype::bf16: return DType::bf16;
    case plan::PlanDtype::f16: return DType::f16;
    case plan::PlanDtype::f8e4m3: return DType::f8e4m3;
    case plan::PlanDtype::f32:
    case plan::PlanDtype::nvfp4:       // asked for before this matters
    case plan::PlanDtype::i32:
    case plan::PlanDtype::i8: break;  // refused where it matters
  }
  return DType::f32;
}

std::unique_ptr<KernelCode> compile_kernel(const plan::Kernel& kernel, const plan::SymbolBounds& bounds,
                                           const KernelTable& kernels, int threads) {
  struct Compile {
    const plan::SymbolBounds& bounds;
    const KernelTable& kernels;
    int threads;
    std::unique_ptr<KernelCode> operator()(const plan::RowsKernel& rows) const {
      return std::make_unique<RowsCode>(rows, bounds);
    }
    std::unique_ptr<KernelCode> operator()(const plan::MatmulKernel& matmul) const {
      return std::make_unique<MatmulCode>(matmul, bounds, kernels, threads);
    }
    std::unique_ptr<KernelCode> operator()(const plan::AttentionKernel& attention) const {
      return std::make_unique<AttentionCode>(attention, bounds, kernels);
    }
    std::unique_ptr<KernelCode> operator()(const plan::AttentionForwardKernel& attention) const {
      return std::make_unique<AttentionForwardCode>(attention, bounds, kernels);
    }
    std::unique_ptr<KernelCode> operator()(const plan::AttentionBackwardKernel& attention) const {
      return std::make_unique<AttentionBackwardCode>(attention, bounds, kernels);
    }
    std::unique_ptr<KernelCode> operator()(const plan::LinearCrossEntropyKernel& head) const {
      return std::make_unique<LinearCrossEntropyCode>(head, kernels);
    }
    std::unique_ptr<KernelCode> operator()(const plan::TopKKernel& top_k) const {
      return std::make_unique<TopKCode>(top_k);
    }
    std::unique_ptr<KernelCode> operator()(const plan::ScatterAddKernel& scatter) const {
      return std::make_unique<ScatterAddCode>(scatter);
    }
    std::unique_ptr<KernelCode> operator()(const plan::ContractKernel& contract) const {
      return std::make_unique<ContractCode>(contract, bounds, kernels);
    }
  };
  return std::visit(Compile{bounds, kernels, threads}, kernel);
}

}  // namespace weft::cpu
