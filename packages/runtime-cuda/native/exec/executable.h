// A plan loaded on a GPU: one allocation for each class of memory, modules loaded, the launches of every program bound
// to their buffers.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "exec/launch_args.h"
#include "exec/layout.h"
#include "exec/owned.h"
#include "exec/weight_upload.h"
#include "loaded/index_checks.h"
#include "loaded/loaded_plan.h"

namespace weft::cuda {

// The kernels of a plan, found sound.
struct CompiledPlan {
  // Throws Error when the CUDA plan does not belong to the plan or is not sound.
  CompiledPlan(std::shared_ptr<const PreparedPlan> prepared, plan::CudaPlan cuda);

  const std::shared_ptr<const PreparedPlan> prepared;
  const plan::CudaPlan cuda;
};

// Of a step with a way by a library.
struct LibraryChoice {
  size_t program;
  size_t step;
  int64_t least_rows;
  bool is_nvfp4;
  // Empty: the library is taken.
  std::string refusal;
};

// What the modules of a CUDA plan were compiled to.
struct Images {
  // One for each module.
  std::vector<std::vector<char>> modules;
  // CUDA version of the compiler, "13.0", for messages; empty where it is not known.
  std::string toolkit_version;
};

class Executable final : public LoadedPlan {
 public:
  // Copies weights that lie in memory.
  Executable(std::shared_ptr<Gpu> gpu, std::shared_ptr<const CompiledPlan> compiled, Images images,
             std::vector<WeightOrigin> weights, const LoadOptions& options);
  // Refuses, with the table, what does not fit; then allocates, loads and uploads. Throws Error.
  void load(const Progress& progress);

  const PreparedPlan& prepared() const override { return *compiled_->prepared; }
  // Which of the steps that can go by a library do so, when they have enough rows.
  std::vector<LibraryChoice> library_choices() const;
  MemoryTable memory() const override { return layout_.table(); }
  size_t runs_ahead(size_t program) const override { return layout_.is_steady[program] ? layout_.slots : 1; }
  char* input_data(size_t program, size_t port, size_t slot) const override;
  const char* output_data(size_t program, size_t port, size_t slot) const override;

  void check(const Run& run) override;
  void put(const Run& run) override;
  bool finish(const Run& run, const Interrupted& interrupted) override;

  void save_state(size_t begin, size_t bytes, char* to) override;
  void restore_state(size_t begin, size_t bytes, const char* from) override;
  void reset_state() override;
  void shift_state(int64_t count) override;

  void release() noexcept override;

 private:
  struct BoundLaunch {
    const plan::CudaLaunch* source;
    Function function;
    uint32_t threads;
    uint32_t shared_bytes;
    LaunchArgs args;
    std::string label;
    // The grid for the largest values of the symbols.
    uint32_t most_blocks;
  };
  struct BoundProduct {
    const plan::CudaProduct* source;
    int64_t step;
    // Rows and contracted elements are those of the run.
    Matmul call;
    std::string label;
  };
  // A step's other way.
  struct BoundLibraryStep {
    const plan::CudaLibraryStep* source;
    // The launches that it stands for: from `first` to before `last`.
    size_t first, last;
    std::vector<BoundLaunch> before;
    std::vector<BoundProduct> products;
    std::vector<BoundLaunch> after;
    // Rows and contracted elements are the same whatever the symbols.
    bool is_fixed;
    // Why the launches are taken whatever the rows; empty when they are not.
    std::string refusal;
    // By units for FP4, which were asked for: the launches never stand in for them.
    bool is_nvfp4;
  };
  struct Program {
    std::vector<BoundLaunch> launches;
    std::vector<BoundLibraryStep> library_steps;
    // Of a steady program: its second run captures the launches.
    bool has_run = false;
    OwnedGraph graph;
  };
  // Of page-locked memory: a run that is under way has one.
  struct Slot {
    // Comes when the run has ended.
    OwnedEvent done;
    // Since when the run is waited for: the runs before it have a time of their own.
    std::optional<Clock::time_point> awaited_since;
  };
  // What a launch's number of blocks is taken from. What is launched for the most must do for fewer.
  enum class Grid { now, most };

  // Throws Error where the plan multiplies in units for FP4 and there are none, or no library for them.
  void check_nvfp4();
  void check_limit();
  void allocate();
  void load_modules();
  void bind_launches();
  BoundLaunch bind(const plan::CudaLaunch& source, size_t program, const std::vector<Function>& functions) const;
  void bind_library_steps(size_t program, const std::vector<Function>& functions);
  BoundProduct bind(const plan::CudaProduct& source, size_t program, int64_t step) const;
  DeviceSlot slot_of(int64_t buffer) const;

  // The rows of a step that goes by the library in a run with these symbols, its products made ready; else 0.
  int64_t library_rows(BoundLibraryStep& step, const int64_t* symbols, Grid grid);
  // All launches and products of a run, in order: on_launch(launch, blocks), on_product(product, rows).
  template <class OnLaunch, class OnProduct>
  void each_call(Program& program, const int64_t* symbols, Grid grid, OnLaunch&& on_launch, OnProduct&& on_product);
  uint32_t blocks_of(const BoundLaunch& launch, const int64_t* symbols) const;
  // Copies what a run with these symbols uses of a port: copy(offset in its buffer, bytes).
  template <class Copy>
  void each_piece(const plan::PlanPort& port, const int64_t* symbols, Copy&& copy) const;
  void put_inputs(const Run& run);
  void put_launch(BoundLaunch& launch, uint32_t blocks, bool follows_kernel);
  void put_product(BoundProduct& product, int64_t rows);
  void put_calls(const Run& run, Grid grid);
  void put_graph(const Run& run);
  OwnedGraph capture(const Run& run);
  void put_timed_calls(const Run& run);
  void put_outputs(const Run& run);
  void read_times(const Run& run);
  // Throws Error when an index that the program computed named no row.
  void check_fault(const Run& run) const;
  // What a run that failed has reported of its indices is no matter of the next one's.
  void forget_fault(size_t program) noexcept;
  // Until everything on the stream has ended.
  void finish_all(const std::string& what);

  std::shared_ptr<Gpu> gpu_;
  std::shared_ptr<const CompiledPlan> compiled_;
  Layout layout_;
  // Why no step goes by the library, though there is one.
  std::string library_refusal_;
  Images images_;
  LoadOptions options_;
  WeightUpload upload_;

  DeviceMemory weights_, state_, activations_, input_, output_, scratch_, workspace_, control_;
  PinnedMemory staging_;
  std::vector<OwnedModule> modules_;
  std::vector<Program> programs_;
  std::vector<Slot> slots_;
  std::vector<OwnedEvent> marks_;  // between launches, for times; made by the first profile
  std::vector<int64_t> marked_steps_;  // of the profile under way: the step that each mark but the first ends
  std::vector<ProgramGathers> gathers_;
  bool is_released_ = false;
};

}  // namespace weft::cuda
