#include "exec/memory_table.h"

namespace weft::cpu {

std::string MemoryTable::text() const {
  std::string lines;
  const auto line = [&](const std::string& name, size_t bytes) {
    const std::string number = std::to_string(bytes);
    lines += "\n  " + name + std::string(28 - name.size(), ' ') +
             std::string(number.size() < 16 ? 16 - number.size() : 0, ' ') + number;
  };
  line("weights, mapped", weights_mapped);
  line("weights, copied", weights_copied);
  line("state", state);
  line("activations", activations);
  line("input", input);
  line("output", output);
  line("scratch, shared", scratch_shared);
  line("scratch, " + std::to_string(threads) + " threads", scratch_per_thread * threads);
  line("total", total());
  return lines;
}

}  // namespace weft::cpu
