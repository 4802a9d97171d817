// Matmul kernels: rows from the prologue, panels of columns shared out over the team, each finished by its epilogue
// while it is still in cache.
//
// Decisions at run time, by the number of rows M:
//  * Who computes the input rows? Few: every thread, for itself, which saves a barrier. Else, or when the prologue
//    stores something, or when an epilogue writes memory that the prologue reads: together, into shared scratch.
//  * How are products made? Few rows: gemv, streaming the weights once. Else gemm over packed input, in tiles of rows.
//  * Where does the epilogue run? On the panel. But where its row must stay whole and is too wide for a panel:
//    products go to shared scratch and the epilogue runs after a barrier.
#pragma once

#include <vector>

#include "exec/kernel_code.h"

namespace weft::cpu {

class MatmulCode final : public KernelCode {
 public:
  MatmulCode(const plan::MatmulKernel& kernel, const plan::SymbolBounds& bounds, const KernelTable& kernels, int threads);
  ScratchNeeds scratch_needs() const override { return {layout_.per_thread, layout_.shared}; }
  void execute(const StepBinding& step, Worker& worker) const noexcept override;

 private:
  // How a weight is stored.
  struct Operand {
    DType type{};             // unless it is blocks
    bool is_blocks = false;   // nvfp4, in tiles
    bool operator==(const Operand&) const = default;
  };
  // How the columns of a group are cut: `pieces` per unit of `unit` columns, each of at most `panel` columns.
  struct Cut {
    int64_t unit = 1, panel = 1, pieces = 1, count = 0;
  };
  struct Group {
    const plan::MatmulGroup* plan = nullptr;
    RowCode epilogue;
    RowScratch scratch;
    int64_t row = 0;  // columns of one row of the epilogue
    bool is_deferred = false;
    std::vector<Operand> weights;
    int64_t column_bytes = 0;  // of all weights
    Cut gemv, gemm;
    size_t products = 0;  // deferred: floats from the start of the shared products
  };
  // Offsets in scratch.
  struct Layout {
    RowScratch prologue;
    size_t input = 0, packed_few = 0, products = 0, gemm = 0, per_thread = 0;
    size_t shared_input = 0, packed = 0, shared_products = 0, shared = 0;
  };
  struct Run;

  void add_group(const plan::MatmulGroup& plan_group, const plan::SymbolBounds& bounds, int threads);
  Cut cut(const Group& group, int64_t target) const;
  void lay_out();
  bool by_gemv(int64_t rows) const;
  const Operand& first_weight() const { return groups_.front().weights.front(); }
  size_t packed_tile_bytes(int64_t rows) const;

  bool has_private_input(const StepBinding& step, int64_t rows) const noexcept;
  int64_t items_of(const Run& run) const noexcept;
  void fetch_blocks(const StepBinding& step, int64_t item) const noexcept;

  // Each returns true if execution should halt.
  bool make_input(const StepBinding& step, Worker& worker, Run& run) const noexcept;
  bool pack_few_rows(Worker& worker, Run& run) const noexcept;
  bool pack_input(Worker& worker, Run& run) const noexcept;
  void make_panels(const StepBinding& step, Worker& worker, const Run& run) const noexcept;
  void make_panel(const StepBinding& step, Worker& worker, const Run& run, RowRunner& epilogue, const Group& group,
                  int64_t item) const noexcept;
  void multiply(const StepBinding& step, Worker& worker, const Run& run, const Group& group, int64_t tile,
                int64_t first_column, int64_t columns, const Accumulators& out) const noexcept;
  Nvfp4Arguments block_rows(const Run& run, int64_t tile) const noexcept;
  void multiply_blocks(const StepBinding& step, Worker& worker, const Run& run, int64_t slot, int64_t tile,
                       int64_t first_column, int64_t columns, float* products, int64_t pitch) const noexcept;
  void finish_deferred(const StepBinding& step, Worker& worker, const Run& run) const noexcept;

  const plan::MatmulKernel& kernel_;
  const KernelTable& kernels_;
  RowCode prologue_;
  std::vector<Group> groups_;
  Layout layout_;
  int64_t depth_ = 0;
  int64_t most_rows_ = 0;
  plan::PlanDtype input_storage_{};
  DType input_type_{};
  bool packs_ = true;  // all weights want the same packed input
  bool has_blocks_ = false;
};

}  // namespace weft::cpu
