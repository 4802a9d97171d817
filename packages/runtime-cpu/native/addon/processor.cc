#include "addon/processor.h"

#include <algorithm>
#include <fstream>
#include <set>
#include <string>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif

namespace weft::cpu {
namespace {

// Whole processors that the control group grants, or a large number. Version 2 files, as containers mount them.
int granted_by_group() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return 1 << 20;
  return std::max(1, static_cast<int>(std::stod(quota) / period));
}

}  // namespace

Processor describe_processor() {
  Processor result;
  result.logical = result.physical = std::max(1u, std::thread::hardware_concurrency());
#if defined(__linux__)
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
    std::set<std::string> cores;
    result.logical = CPU_COUNT(&allowed);
    for (int i = 0; i < CPU_SETSIZE; ++i) {
      if (!CPU_ISSET(i, &allowed)) continue;
      // Threads of one core list the same siblings.
      std::ifstream file("/sys/devices/system/cpu/cpu" + std::to_string(i) + "/topology/thread_siblings_list");
      std::string siblings;
      cores.insert(std::getline(file, siblings) ? siblings : "cpu" + std::to_string(i));
    }
    result.physical = static_cast<int>(cores.size());
  }
#endif
  try {
    const int granted = granted_by_group();
    result.logical = std::min(result.logical, granted);
    result.physical = std::min(result.physical, granted);
  } catch (const std::exception&) {
    // An unreadable quota is no quota.
  }
  return result;
}

}  // namespace weft::cpu
