// Measures read bandwidth and multiply-add rate on demand, so that a benchmark can do it around each of its rows.
//   limits THREADS [MIB]
// Reads one command per line, `read` or `multiply-add`, and answers each with one line of JSON. Idle in between.
#if defined(__linux__)
#include <sched.h>
#endif

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "machine_peak.h"
#include "read_walks.h"

namespace {

using weft::bench::best_walks;
using weft::bench::slice_bytes;
using weft::bench::Walk;
using weft::bench::walk_count;
using weft::cpu::bench::multiply_adds;

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
  for (int t = 0; t < threads; ++t)
    team.emplace_back([&, t] {
      pin_to_processor(t);
      --waiting;
      while (waiting.load() > 0) std::this_thread::yield();
      starts[static_cast<size_t>(t)] = now();
      function(t);
      ends[static_cast<size_t>(t)] = now();
    });
  for (std::thread& thread : team) thread.join();
  return *std::max_element(ends.begin(), ends.end()) - *std::min_element(starts.begin(), starts.end());
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// The best walk by the median of its repeats. Threads take turns over slices, as they share a matrix's rows.
void answer_read(int threads, const char* buffer, size_t bytes, int repeats) {
  std::atomic<uint64_t> keep{0};
  double best = 0;
  const char* name = "";
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
    if (median(rates) > best) best = median(rates), name = walk.name;
  }
  std::printf("{\"bytesPerSecond\": %.0f, \"walk\": \"%s\"}\n", best, name);
}

size_t vector_lanes() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return 16;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return 8;
#endif
  return 4;
}

void answer_multiply_add(int threads, int repeats) {
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
  std::printf("{\"operationsPerSecond\": %.0f, \"lanes\": %zu}\n", median(rates), lanes);
}

}  // namespace

int main(int count, char** arguments) {
  const int threads = count > 1 ? std::atoi(arguments[1]) : 2;
  const size_t bytes = (count > 2 ? static_cast<size_t>(std::atol(arguments[2])) : 256) << 20;
  if (threads < 1 || bytes == 0) {
    std::fputs("usage: limits THREADS [MIB]\n", stderr);
    return 2;
  }
  char* buffer = static_cast<char*>(std::aligned_alloc(4096, bytes));
  if (buffer == nullptr) {
    std::fputs("out of memory\n", stderr);
    return 1;
  }
  for (size_t i = 0; i < bytes; i += 64) buffer[i] = static_cast<char>(i >> 6);  // each page is really there
  for (std::string command; std::getline(std::cin, command);) {
    if (command == "read") answer_read(threads, buffer, bytes, 3);
    else if (command == "multiply-add") answer_multiply_add(threads, 5);
    else std::puts("{\"error\": \"unknown command\"}");
    std::fflush(stdout);
  }
}
