// Runs launches: the threads of some blocks at a time, in a random order that the seed decides.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "run.h"

namespace weft::cuda::sim {

class Scheduler {
 public:
  Scheduler(const SimulatorOptions& options, DeviceMemory& memory);

  weft_sim::Table& table() { return table_; }
  Places& places() { return places_; }
  // Whether launches may overlap the one before: something else came between otherwise.
  void break_chain() { chained_ = false; }
  // The time that a write of the host has.
  Stamp host_stamp() { return Stamp::by_host(clock_); }

  Status run(const weft_sim::Kernel& kernel, const Launch& launch, std::string& details);

 private:
  // Gives false when the system has no memory.
  bool begin_block(LaunchRun& launch, BlockRun& block, uint32_t number);
  void run_blocks(LaunchRun& launch);
  void run_some(LaunchRun& launch, ThreadRun& thread);

  const SimulatorOptions& options_;
  DeviceMemory& memory_;
  Places places_;
  weft_sim::Table table_;
  uint64_t clock_ = 1;
  uint64_t launches_ = 0;
  // The first of the launches that may still run when an overlapping one starts.
  uint64_t chain_start_ = 0;
  bool chained_ = false;
  FiberStacks stacks_;
  // Blocks in the making, used again and again.
  std::vector<std::unique_ptr<BlockRun>> resident_;
  std::vector<uint32_t> owners_;
};

}  // namespace weft::cuda::sim
