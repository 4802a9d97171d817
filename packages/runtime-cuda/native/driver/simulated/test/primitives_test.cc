// Shuffles, moves, matrices, copies and counters against what device.cuh says of them.
#include <algorithm>

#include "simulation.h"

namespace weft::cuda::test {

namespace {

bool good(Simulation& simulation, Status status, const std::string& what) {
  return check(status == success, what + ": " + simulation.driver.explain(status) + " " + simulation.driver.details());
}

void shuffles(Simulation& simulation) {
  const Slot out = simulation.empty(3 * 1024 * 4);
  if (!good(simulation, simulation.launch("primitives", "shuffles", {}, {out}), "shuffles")) return;
  const std::vector<u32> values = simulation.values<u32>(out);
  for (u32 i = 0; i < 32; ++i)
    for (u32 lane = 0; lane < 32; ++lane) {
      check(values[i * 32 + lane] == (lane ^ i) * 3, "shuffle_xor");
      check(values[1024 + i * 32 + lane] == i, "shuffle from one lane");
      check(values[2048 + i * 32 + lane] == (lane + i) % 32, "shuffle from different lanes");
    }
}

void moves(Simulation& simulation) {
  // Bits of all kinds pass unchanged, signalling NaNs among them.
  std::vector<u8> bytes(512);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<u8>(i * 73 + (i >> 3) + (i % 4 == 3 ? 0x7f : 0));
  const Slot x = simulation.buffer(bytes);
  for (i32 type = 0; type < 6; ++type)
    for (i32 way = 0; way < 4; ++way) {
      const std::string what = "type " + std::to_string(type) + " moved in way " + std::to_string(way);
      const Slot y = simulation.empty(512);
      // Through shared memory, a thread of 32 bytes reads what its neighbour wrote.
      const Status status =
          simulation.launch("primitives", "moves", {.shared_bytes = 528, .symbols = {type, way}}, {x, y});
      if (good(simulation, status, what)) check(simulation.values<u8>(y) == bytes, what);
    }
}

void matrices(Simulation& simulation) {
  std::vector<u16> rows(256);
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<u16>(i * 257 + 3);
  const Slot out = simulation.empty(256 * 4);
  const Status status =
      simulation.launch("primitives", "matrices", {.shared_bytes = 32 * 24 * 2}, {simulation.buffer(rows), out});
  if (!good(simulation, status, "matrices")) return;
  const std::vector<u32> values = simulation.values<u32>(out);
  for (size_t lane = 0; lane < 32; ++lane)
    for (size_t j = 0; j < 4; ++j) {
      const size_t row = lane / 4, column = 2 * (lane % 4);
      const auto element = [&](size_t r, size_t c) { return static_cast<u32>(rows[(8 * j + r) * 8 + c]); };
      check(values[lane * 4 + j] == (element(row, column) | element(row, column + 1) << 16), "load_matrix4");
      check(values[128 + lane * 4 + j] == (element(column, row) | element(column + 1, row) << 16),
            "load_matrix4_transposed");
    }
}

void product(Simulation& simulation) {
  const auto bits = [](float value) {
    u32 wide;
    std::memcpy(&wide, &value, sizeof(wide));
    return static_cast<u16>(wide >> 16);
  };
  std::vector<u16> a(256), b(128);
  std::vector<float> d(128);
  for (size_t i = 0; i < a.size(); ++i) a[i] = bits(static_cast<float>(i * 29 % 64) - 31);
  for (size_t i = 0; i < b.size(); ++i) b[i] = bits(static_cast<float>(i * 37 % 32) / 8 - 2);
  for (size_t i = 0; i < d.size(); ++i) d[i] = static_cast<float>(i) / 4;
  const Slot out = simulation.buffer(d);
  const Status status =
      simulation.launch("primitives", "product", {}, {simulation.buffer(a), simulation.buffer(b), out});
  if (!good(simulation, status, "product")) return;
  const std::vector<float> values = simulation.values<float>(out);
  for (size_t i = 0; i < 16; ++i)
    for (size_t j = 0; j < 8; ++j) {
      float sum = d[i * 8 + j];
      for (size_t k = 0; k < 16; ++k) sum += bf16_value(a[i * 16 + k]) * bf16_value(b[k * 8 + j]);
      check(values[i * 8 + j] == sum, "mma_16816");
    }
}

void copies(Simulation& simulation) {
  std::vector<float> x(128);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i + 1);
  const Slot y = simulation.empty(96 * 4);
  const Status status =
      simulation.launch("primitives", "copies", {.shared_bytes = 384 * 4}, {simulation.buffer(x), y});
  if (!good(simulation, status, "copies")) return;
  const std::vector<float> values = simulation.values<float>(y);
  for (size_t i = 0; i < 32; ++i) {
    check(values[i] == x[i * 4], "copy16_async");
    check(values[32 + i] == 0, "copy16_async without valid");
    // Element 127 - 4i of the last group lies 3 into the copy of thread 31 - i, which came from 4i.
    check(values[64 + i] == x[i * 4 + 3], "copy16_async of another thread");
  }
}

void counters(Simulation& simulation) {
  const Slot counts = simulation.buffer(std::vector<u32>{0, 7}), seen = simulation.empty(6 * 64 * 4);
  const Status status =
      simulation.launch("primitives", "counters", {.blocks = 4, .threads = 64}, {counts, seen});
  if (!good(simulation, status, "counters")) return;
  check(simulation.values<u32>(counts) == std::vector<u32>{0, 7 + 2 * 6 * 64}, "atomic_add adds");
  std::vector<u32> values = simulation.values<u32>(seen);
  std::sort(values.begin(), values.end());
  bool all = true;
  for (u32 i = 0; i < values.size(); ++i) all &= values[i] == 7 + 2 * i;
  check(all, "atomic_add gives what was there before");
}

}  // namespace

void test_primitives() {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    SimulatorOptions options;
    options.seed = seed;
    Simulation simulation(options);
    shuffles(simulation);
    moves(simulation);
    matrices(simulation);
    product(simulation);
    copies(simulation);
    counters(simulation);
  }
}

}  // namespace weft::cuda::test
