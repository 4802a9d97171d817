#include "loaded/memory_table.h"

namespace weft {

std::string MemoryTable::text() const {
  std::string lines;
  const auto line = [&](const std::string& name, size_t bytes) {
    const std::string number = std::to_string(bytes);
    lines += "\n  " + name + std::string(28 - name.size(), ' ') +
             std::string(number.size() < 16 ? 16 - number.size() : 0, ' ') + number;
  };
  const bool is_host = threads > 0;
  if (is_host) line("weights, mapped", weights_mapped);
  line(is_host ? "weights, copied" : "weights", weights_copied);
  line("state", state);
  line("activations", activations);
  line("input", input);
  line("output", output);
  line(is_host ? "scratch, shared" : "scratch", scratch_shared);
  if (is_host) line("scratch, " + std::to_string(threads) + " threads", scratch_per_thread * threads);
  else line("symbols and counters", control);
  line("total", total());
  return lines;
}

}  // namespace weft
