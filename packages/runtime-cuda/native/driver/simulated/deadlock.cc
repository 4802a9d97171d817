#include "deadlock.h"

#include <map>

#include "faults.h"

namespace weft::cuda::sim {

namespace {

// "threads 0-31 and 40".
std::string ranges(const std::vector<int>& threads) {
  std::string text = threads.size() == 1 ? "thread " : "threads ";
  size_t shown = 0;
  for (size_t i = 0; i < threads.size();) {
    size_t end = i;
    while (end + 1 < threads.size() && threads[end + 1] == threads[end] + 1) ++end;
    if (shown++ > 0) text += ", ";
    if (shown > 8) return text + "...";
    text += std::to_string(threads[i]);
    if (end > i) text += "-" + std::to_string(threads[end]);
    i = end + 1;
  }
  return text;
}

}  // namespace

void fail_deadlock(LaunchRun& launch, const std::vector<BlockRun*>& running) {
  std::string text = "deadlock: ";
  for (const BlockRun* block : running) {
    if (block != running.front()) text += "; ";
    text += "block " + std::to_string(block->number) + ": ";
    std::map<std::string, std::vector<int>> groups;
    for (int i = 0; i < block->count; ++i) {
      const ThreadRun& thread = *block->threads[static_cast<size_t>(i)];
      const std::string where =
          thread.state == ThreadState::ended
              ? "ended"
              : std::string("in ") + thread.waits_in + " at " + text_of(launch, thread.waits_at);
      groups[where].push_back(i);
    }
    bool first = true;
    for (const auto& [where, threads] : groups) {
      if (!first) text += ", ";
      first = false;
      text += ranges(threads) + (where == "ended" ? " ended" : " " + where);
    }
  }
  fail_or_confirm(launch, launch_failed, text);
}

}  // namespace weft::cuda::sim
