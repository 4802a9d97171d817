// The head of a language model with its loss, chunk by chunk: scores of a chunk and their losses, then blocks of classes,
// each of which turns its scores into slopes where they stay in the cache and multiplies them for both gradients.
#pragma once

#include "exec/kernel_code.h"

namespace weft::cpu {

class LinearCrossEntropyCode final : public KernelCode {
 public:
  LinearCrossEntropyCode(const plan::LinearCrossEntropyKernel& kernel, const KernelTable& kernels);
  ScratchNeeds scratch_needs() const override { return {scratch_, shared_}; }
  void execute(const StepBinding& step, Worker& worker) const noexcept override;

 private:
  struct Run;
  struct Piece;
  Run run_of(const StepBinding& step, int64_t first, int64_t positions, const Worker& worker) const noexcept;
  Piece piece_of(const Run& run, int64_t index) const noexcept;
  void pack_input(const Run& run, Worker& worker) const noexcept;
  void score(const Run& run, Worker& worker) const noexcept;
  void finish_rows(const Run& run, Worker& worker) const noexcept;
  void give_gradients(const Run& run, Worker& worker) const noexcept;
  void slopes_of(const Run& run, const Piece& piece, int64_t begin, int64_t classes, float* slopes, Worker& worker) const noexcept;
  void to_input(const Run& run, const Piece& piece, int64_t begin, int64_t classes, float* out, int64_t out_stride,
                bool accumulate, const float* slopes, Worker& worker) const noexcept;
  void to_weight(const Run& run, const Piece& piece, int64_t begin, int64_t classes, const float* slopes,
                 Worker& worker) const noexcept;
  void add_partials(const Run& run, Worker& worker) const noexcept;

  const plan::LinearCrossEntropyKernel& kernel_;
  plan::PlanDtype input_ = {}, weight_ = {};
  int64_t score_tiles_ = 0;
  // Classes are cut into blocks, blocks into ranges with an own sum for the input's gradient each.
  int64_t block_classes_ = 0, blocks_ = 0, ranges_ = 0;
  size_t packed_piece_bytes_ = 0;
  // In a thread's scratch.
  size_t slopes_ = 0, packed_slopes_ = 0, panel_ = 0, exponentials_ = 0, scratch_ = 0;
  // In the team's scratch: the packed input; per row and tile of scores the largest and the sum of exponentials; per row
  // the largest and the factor of its exponentials; partial sums of the input's gradient, one for each range.
  size_t packed_input_ = 0, tile_tops_ = 0, tile_sums_ = 0, row_tops_ = 0, row_factors_ = 0, partials_ = 0, shared_ = 0;
};

}  // namespace weft::cpu
