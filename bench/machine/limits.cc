// Measures read bandwidth and multiply-add rate on demand, so that a benchmark can do it around each of its rows.
//   limits THREADS [MIB]
// Reads one command per line, `read` or `multiply-add`, and answers each with one line of JSON. Idle in between.
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

namespace {

using weft::cpu::bench::multiply_adds;
using weft::cpu::bench::read_forward;
using weft::cpu::bench::read_four_rows;
using weft::cpu::bench::read_prefetched;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Seconds from the start of the first thread to the end of the last; all start together.
template <class Function>
double together(int threads, Function&& function) {
  std::atomic<int> waiting{threads};
  std::vector<double> starts(static_cast<size_t>(threads)), ends(starts);
  std::vector<std::thread> team;
  for (int t = 0; t < threads; ++t)
    team.emplace_back([&, t] {
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

struct Walk {
  const char* name;
  uint64_t (*read)(const char*, size_t);
};
constexpr Walk walks[] = {
    {"forward", read_forward}, {"prefetched", read_prefetched}, {"four rows", read_four_rows}};

// The best walk by the median of its repeats. Threads take turns over slices, as they share a matrix's rows.
void answer_read(int threads, const char* buffer, size_t bytes, int repeats) {
  constexpr size_t slice = size_t{64} << 10;
  std::atomic<uint64_t> keep{0};
  double best = 0;
  const char* name = "";
  for (const Walk& walk : walks) {
    std::vector<double> rates;
    for (int r = 0; r < repeats; ++r) {
      const double seconds = together(threads, [&](int t) {
        uint64_t sum = 0;
        for (size_t at = static_cast<size_t>(t) * slice; at + slice <= bytes; at += static_cast<size_t>(threads) * slice)
          sum ^= walk.read(buffer + at, slice);
        keep ^= sum;
      });
      rates.push_back(static_cast<double>(bytes) / seconds);
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
