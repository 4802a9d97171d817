// The thread pool: every index once, barriers in order, many short regions, more threads than processors.
#include "thread_pool.h"

#include <stdexcept>

#include "checks.h"

namespace weft::cpu::test {

void test_threads() {
  for (int threads : {1, 2, 3, 7, 64}) {
    ThreadPool pool(threads);
    check(pool.size() == threads, "pool of %d threads", threads);
    const int rounds = threads > 8 ? 20 : 2000;

    std::vector<std::atomic<int>> seen(1000);
    bool once = true;
    for (int round = 0; round < rounds / 20; ++round) {
      for (auto& s : seen) s = 0;
      pool.parallel_for(seen.size(), 7, [&](size_t begin, size_t end, int) noexcept {
        for (size_t i = begin; i < end; ++i) ++seen[i];
      });
      pool.parallel_for_static(seen.size(), [&](size_t begin, size_t end, int) noexcept {
        for (size_t i = begin; i < end; ++i) ++seen[i];
      });
      for (auto& s : seen) once = once && s == 2;
    }
    check(once, "parallel_for visits every index once, %d threads", threads);
    pool.parallel_for(0, 1, [&](size_t, size_t, int) noexcept { once = false; });
    check(once, "parallel_for of nothing calls nothing, %d threads", threads);

    // Guided runs cover every item once, are never longer than asked, and short at the end.
    WorkCounter counter;
    std::atomic<bool> fits{true};
    for (auto& s : seen) s = 0;
    pool.run([&](int) noexcept {
      size_t begin, end;
      while (counter.take_guided(seen.size(), static_cast<size_t>(threads), 8, begin, end)) {
        if (end - begin > 8 || (seen.size() - begin < 4 * static_cast<size_t>(threads) && end - begin != 1)) fits = false;
        for (size_t i = begin; i < end; ++i) ++seen[i];
      }
    });
    once = true;
    for (auto& s : seen) once = once && s == 1;
    check(once && fits, "guided runs cover every item once, %d threads", threads);

    // Plain ints: only the region's start and end order these.
    std::vector<int> counters(static_cast<size_t>(threads) * 16);
    for (int round = 0; round < rounds; ++round) pool.run([&](int thread) noexcept { ++counters[static_cast<size_t>(thread) * 16]; });
    bool all = true;
    for (size_t t = 0; t < static_cast<size_t>(threads); ++t) all = all && counters[t * 16] == rounds;
    check(all, "run reaches every thread every time, %d threads", threads);

    // Each step reads what every other thread wrote in the step before.
    std::vector<long> values[2] = {std::vector<long>(static_cast<size_t>(threads)), std::vector<long>(static_cast<size_t>(threads))};
    std::atomic<int> wrong{0};
    pool.run([&](int thread) noexcept {
      for (int step = 1; step <= rounds; ++step) {
        values[step & 1][static_cast<size_t>(thread)] = step;
        pool.barrier();
        for (const long value : values[step & 1])
          if (value != step) ++wrong;
      }
    });
    check(wrong == 0, "barriers order the steps, %d threads, %d wrong", threads, wrong.load());
  }
  for (int threads : {0, -3, ThreadPool::max_threads + 1}) {
    bool refused = false;
    try {
      ThreadPool pool(threads);
    } catch (const std::invalid_argument& error) {
      refused = std::strstr(error.what(), "number of threads") != nullptr;
    }
    check(refused, "a pool of %d threads is refused", threads);
  }
  for (int i = 0; i < 50; ++i) ThreadPool unused(4);
  check(true, "unused pools join");
}

}  // namespace weft::cpu::test
