// Correct programs under many seeds: right results, and nothing to complain of.
#include <cmath>

#include "simulation.h"

namespace weft::cuda::test {

namespace {

std::vector<float> ramp(size_t count) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<float>((i * 37) % 101) - 50.0f;
  return values;
}

bool good(Simulation& simulation, Status status, const std::string& what) {
  return check(status == success, what + ": " + simulation.driver.explain(status) + " " + simulation.driver.details());
}

void vector_add(Simulation& simulation, const std::string& seed) {
  const std::vector<float> a = ramp(1000), b = ramp(1100);
  const Slot sum = simulation.empty(4000);
  // Three blocks for eight virtual ones.
  const Status status = simulation.launch("programs", "vector_add", {.blocks = 3, .threads = 128, .symbols = {1000}},
                                          {simulation.buffer(a), simulation.buffer(b), sum});
  if (!good(simulation, status, "vector_add" + seed)) return;
  const std::vector<float> result = simulation.values<float>(sum);
  bool equal = true;
  for (size_t i = 0; i < 1000; ++i) equal &= result[i] == a[i] + b[i];
  check(equal, "vector_add" + seed);
}

void row_sum(Simulation& simulation, const std::string& seed) {
  const std::vector<float> x = ramp(5 * 512);
  const Slot sums = simulation.empty(20);
  const Status status = simulation.launch(
      "programs", "row_sum", {.blocks = 2, .threads = 128, .shared_bytes = 128, .symbols = {5}}, {simulation.buffer(x), sums});
  if (!good(simulation, status, "row_sum" + seed)) return;
  const std::vector<float> result = simulation.values<float>(sums);
  for (size_t row = 0; row < 5; ++row) {
    float sum = 0;
    for (size_t i = 0; i < 512; ++i) sum += x[row * 512 + i];
    check(result[row] == sum, "row_sum" + seed);
  }
}

void transpose(Simulation& simulation, const std::string& seed) {
  const std::vector<float> x = ramp(64 * 64);
  const Slot y = simulation.empty(64 * 64 * 4);
  const Status status = simulation.launch("programs", "transpose",
                                          {.blocks = 4, .threads = 256, .shared_bytes = 32 * 33 * 4}, {simulation.buffer(x), y});
  if (!good(simulation, status, "transpose" + seed)) return;
  const std::vector<float> result = simulation.values<float>(y);
  bool equal = true;
  for (size_t i = 0; i < 64; ++i)
    for (size_t j = 0; j < 64; ++j) equal &= result[j * 64 + i] == x[i * 64 + j];
  check(equal, "transpose" + seed);
}

void matmul(Simulation& simulation, const std::string& seed) {
  constexpr size_t m = 45, n = 64, k = 96;
  const auto small = [](size_t count, size_t step) {
    std::vector<u16> bits(count);
    for (size_t i = 0; i < count; ++i) {
      const float value = (static_cast<float>((i * step) % 17) - 8.0f) / 4;
      u32 wide;
      std::memcpy(&wide, &value, sizeof(wide));
      bits[i] = static_cast<u16>(wide >> 16);
    }
    return bits;
  };
  const std::vector<u16> a = small(m * k, 5), b = small(n * k, 7);
  const Slot c = simulation.empty(m * n * 4);
  const Status status = simulation.launch(
      "programs", "matmul", {.blocks = 4, .threads = 128, .shared_bytes = 4 * 32 * 40 * 2, .symbols = {m, n, k}},
      {simulation.buffer(a), simulation.buffer(b), c});
  if (!good(simulation, status, "matmul" + seed)) return;
  const std::vector<float> result = simulation.values<float>(c);
  bool equal = true;
  for (size_t i = 0; i < m; ++i)
    for (size_t j = 0; j < n; ++j) {
      float sum = 0;
      for (size_t l = 0; l < k; ++l) sum += bf16_value(a[i * k + l]) * bf16_value(b[j * k + l]);
      equal &= result[i * n + j] == sum;
    }
  check(equal, "matmul" + seed);
}

void last_block_sum(Simulation& simulation, const std::string& seed) {
  const std::vector<float> x = ramp(7 * 128);
  const Slot sum = simulation.empty(4);
  simulation.scratch = simulation.empty(7 * 4);
  float expected = 0;
  for (const float value : x) expected += value;
  // Twice: the ticket is back at zero.
  for (int i = 0; i < 2; ++i) {
    const Status status =
        simulation.launch("programs", "last_block_sum", {.blocks = 5, .threads = 128, .shared_bytes = 256, .symbols = {7}},
                          {simulation.buffer(x), sum});
    if (!good(simulation, status, "last_block_sum" + seed)) return;
    check(simulation.values<float>(sum)[0] == expected, "last_block_sum" + seed);
  }
}

void grid_barrier(uint64_t seed) {
  SimulatorOptions options;
  options.seed = seed;
  options.resident_blocks = 6;
  Simulation simulation(options);
  simulation.scratch = simulation.empty(6 * 4);
  const Slot sums = simulation.empty(6 * 4);
  const Status status = simulation.launch("programs", "grid_barrier", {.blocks = 6, .threads = 64},
                                          {simulation.buffer(std::vector<float>{1, 2, 3, 4, 5, 6}), sums});
  if (good(simulation, status, "grid_barrier")) check(simulation.values<float>(sums)[3] == 21, "grid_barrier");
}

}  // namespace

void test_programs() {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    SimulatorOptions options;
    options.seed = seed;
    Simulation simulation(options);
    const std::string label = " with seed " + std::to_string(seed);
    vector_add(simulation, label);
    row_sum(simulation, label);
    transpose(simulation, label);
    matmul(simulation, label);
    last_block_sum(simulation, label);
    grid_barrier(seed);
  }
}

}  // namespace weft::cuda::test
