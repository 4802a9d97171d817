// Threads of its own, each on a processor: it asks what the machine can do, not what a loaded plan leaves of it.
#include "machine/limits.h"

#if defined(__linux__)
#include <sched.h>
#endif

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "error.h"
#include "machine/multiply_adds.h"
#include "machine/read_walks.h"

namespace weft::cpu {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Each thread on a processor of its own: two that happen to share one would measure half of what there is.
void pin_to_processor(int index) {
#if defined(__linux__)
  cpu_set_t available, one;
  if (sched_getaffinity(0, sizeof available, &available) != 0) return;
  index %= CPU_COUNT(&available);
  for (int processor = 0; processor < CPU_SETSIZE; ++processor) {
    if (!CPU_ISSET(processor, &available) || index-- > 0) continue;
    CPU_ZERO(&one);
    CPU_SET(processor, &one);
    sched_setaffinity(0, sizeof one, &one);
    return;
  }
#else
  (void)index;
#endif
}

// Seconds from the start of the first thread to the end of the last; all start together.
template <class Function>
double together(int threads, Function&& function) {
  std::atomic<int> waiting{threads};
  std::vector<double> starts(static_cast<size_t>(threads)), ends(starts);
  std::vector<std::thread> team;
  team.reserve(static_cast<size_t>(threads));
  const auto join = [&] {
    for (std::thread& thread : team) thread.join();
  };
  try {
    for (int t = 0; t < threads; ++t)
      team.emplace_back([&, t] {
        pin_to_processor(t);
        --waiting;
        while (waiting.load() > 0) std::this_thread::yield();
        starts[static_cast<size_t>(t)] = now();
        function(t);
        ends[static_cast<size_t>(t)] = now();
      });
  } catch (const std::system_error& error) {
    waiting.store(0);  // those that have started wait for no more
    join();
    throw Error("[threads] the system refused to start " + std::to_string(threads) + " threads (" + error.what() + ")");
  }
  join();
  return *std::max_element(ends.begin(), ends.end()) - *std::min_element(starts.begin(), starts.end());
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

size_t vector_lanes() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return 16;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return 8;
#endif
  return 4;
}

struct Free {
  void operator()(char* memory) const { std::free(memory); }
};

}  // namespace

// The best walk by the median of its repeats. Threads take turns over slices, as they share a matrix's rows.
double measure_read_bandwidth(int threads, size_t bytes) {
  constexpr int repeats = 3;
  constexpr size_t page = 4096;
  const std::unique_ptr<char, Free> memory(static_cast<char*>(std::aligned_alloc(page, (bytes + page - 1) / page * page)));
  if (!memory) throw Error("[memory] there must be room for " + std::to_string(bytes) + " bytes to measure how fast memory is read");
  char* buffer = memory.get();
  for (size_t i = 0; i < bytes; i += 64) buffer[i] = static_cast<char>(i >> 6);  // each page is really there
  std::atomic<uint64_t> keep{0};
  double best = 0;
  for (size_t w = 0; w < walk_count; ++w) {
    const Walk& walk = best_walks()[w];
    std::vector<double> rates;
    for (int r = 0; r < repeats; ++r) {
      const double seconds = together(threads, [&](int t) {
        uint64_t sum = 0;
        const size_t step = static_cast<size_t>(threads) * slice_bytes;
        for (size_t at = static_cast<size_t>(t) * slice_bytes; at + slice_bytes <= bytes; at += step)
          sum ^= walk.read(buffer + at, slice_bytes);
        keep ^= sum;
      });
      rates.push_back(static_cast<double>(bytes / slice_bytes * slice_bytes) / seconds);
    }
    best = std::max(best, median(rates));
  }
  return best;
}

double measure_multiply_add_rate(int threads) {
  constexpr int repeats = 5;
  constexpr long steps = 300'000;
  const size_t lanes = vector_lanes();
  std::vector<double> rates;
  for (int r = 0; r < repeats; ++r) {
    double operations = 0;
    const double seconds = together(threads, [&](int t) {
      const double done = multiply_adds(lanes, steps);
      if (t == 0) operations = done;
    });
    rates.push_back(operations * threads / seconds);
  }
  return median(rates);
}

}  // namespace weft::cpu
