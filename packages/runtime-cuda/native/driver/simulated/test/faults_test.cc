// Planted mistakes: each is caught under every seed, with the right status, both parties and both places.
#include <algorithm>
#include <functional>
#include <sstream>

#include "simulation.h"

namespace weft::cuda::test {

namespace {

// "faults.cu:12" for the line that ends with `// @ mark`.
std::string place(const std::string& mark) {
  static const std::string source = read_file(WEFT_KERNEL_FOLDER "/faults.cu");
  std::istringstream lines(source);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number)
    if (line.ends_with("// @ " + mark)) return "faults.cu:" + std::to_string(number);
  return "no mark " + mark;
}

struct Expected {
  const char* kernel;
  Status status;
  // All of these words are part of the details; `@mark` stands for its place.
  std::vector<std::string> words;
  uint32_t blocks = 1;
};

Status run(Simulation& simulation, const char* kernel, uint32_t blocks, const Slot& x, const Slot& y, bool overlaps) {
  return simulation.launch("faults", kernel,
                           {.blocks = blocks,
                            .threads = 64,
                            .shared_bytes = 1024,
                            .symbols = {static_cast<i32>(blocks)},
                            .overlaps = overlaps},
                           {x, y});
}

void expect(const Expected& expected, uint64_t seed) {
  SimulatorOptions options;
  options.seed = seed;
  options.most_steps = 100'000;
  Simulation simulation(options);
  const Slot x = simulation.buffer(std::vector<float>(64, 1.0f)), y = simulation.empty(64 * 4);
  const Status status = run(simulation, expected.kernel, expected.blocks, x, y, false);
  const std::string details = simulation.driver.details();
  const std::string what = std::string(expected.kernel) + " with seed " + std::to_string(seed);
  if (!check(status == expected.status, what + ": " + simulation.driver.explain(status) + " " + details)) return;
  if (status == success) return;
  for (const std::string& word : expected.words) {
    const std::string wanted = word[0] == '@' ? place(word.substr(1)) : word;
    check(details.find(wanted) != std::string::npos, what + ": no \"" + wanted + "\" in: " + details);
  }
  check(details.starts_with(std::string(expected.kernel) + ": "), what + " begins with its label");
  check(details.ends_with("(simulated with seed " + std::to_string(seed) + ")"), what + " ends with the seed");
  // The device is gone, the process is not.
  DevicePointer pointer = 0;
  check(simulation.driver.allocate(pointer, 16) == status, what + ": later calls fail as well");
}

constexpr Status illegal_address = 700, timeout = 702, misaligned = 716, failed = 719;

const std::vector<Expected> all = {
    {"missing_barrier", failed, {"race: ", "of shared memory", "@missing_barrier store", "@missing_barrier load", "with no sync_block between"}},
    {"missing_second_barrier", failed, {"race: ", "@missing_second_barrier store", "@missing_second_barrier load"}},
    {"both_write", failed, {"race: writes byte ", " wrote, ", "@both_write"}},
    {"missing_warp_sync", failed, {"race: ", "@missing_warp_sync store", "with neither sync_block nor sync_warp"}},
    {"with_warp_sync", success, {}},
    {"adjacent_bytes", success, {}},
    {"overlapping_words", failed,
     {"race: ", "@overlapping_words byte", "@overlapping_words word", "thread 5", "thread 40", "byte 6 of shared"}},
    {"shared_store_outside", illegal_address,
     {"out of bounds: store of 4 bytes at element 64 of a view of 64 elements", "thread 63", "@shared_store_outside"}},
    {"shared_load_outside", illegal_address,
     {"out of bounds: load of 4 bytes at element -1", "thread 0", "@shared_load_outside"}},
    {"arena_outside", illegal_address, {"1028 bytes at offset 0 of 1024 bytes of shared memory", "@arena_outside"}},
    {"shared_misaligned", misaligned, {"misaligned: load of 16 bytes at element 2", "@shared_misaligned"}},
    {"shared_unwritten", failed,
     {"reads 4 bytes from byte 28 of shared memory", "nothing was written", "thread 7", "@shared_unwritten"}},
    {"global_store_outside", illegal_address,
     {"out of bounds: store of 4 bytes at element 64", "thread 63", "allocation of 256 bytes", "@global_store_outside"}},
    {"global_load_outside", illegal_address, {"out of bounds: load of 4 bytes at element -", "@global_load_outside"}},
    {"vector_outside", illegal_address, {"out of bounds: load of 16 bytes at element 64", "@vector_outside"}},
    {"part_outside", illegal_address, {"at element 4 of a view of 4 elements", "byte 240 of", "@part_outside"}},
    {"global_misaligned", misaligned, {"misaligned: load of 16 bytes at element 2", "@global_misaligned"}},
    {"global_misaligned_store", misaligned, {"misaligned: store of 8 bytes at element 1", "@global_misaligned_store"}},
    {"global_unwritten", failed, {"nothing was written", "allocation of 256 bytes", "@global_unwritten"}},
    {"blocks_both_write", failed,
     {"race: writes byte 0", "block 0, thread 3", "block 1, thread 3", "nothing orders the two", "@blocks_both_write"},
     2},
    {"block_writes_what_other_reads", failed,
     {"race: ", "block 0, thread 0", "block 1, thread 9", "@block_reads", "@block_writes"},
     2},
    {"threads_both_write", failed, {"race: writes ", "@threads_both_write", "nor sync_warp"}},
    {"in_place", success, {}},
    {"missing_fence", failed, {"race: reads ", "@missing_fence store", "@missing_fence load", "fence_device"}, 4},
    {"stale_load", failed, {"stale L1 cache", "load_fresh", "@stale_load"}, 4},
    {"missing_barrier_before_fence", failed, {"race: reads ", "thread 40", "@missing_barrier_before_fence"}, 4},
    {"all_fence", success, {}, 4},
    {"copy_not_waited_for", failed,
     {"asynchronous copy", "wait_copies", "@copy_not_waited_for copy", "@copy_not_waited_for load"}},
    {"copy_not_committed", failed, {"asynchronous copy", "@copy_not_committed"}},
    {"wrong_group", failed, {"asynchronous copy", "@wrong_group"}},
    // Whichever comes first: the other's copy is under way, over, or not yet begun.
    {"copy_without_barrier", failed, {"thread ", "@copy_without_barrier load"}},
    {"copy_over_what_is_read", failed, {"@copy_over_what_is_read copy", "@copy_over_what_is_read load"}},
    {"divergent_shuffle", failed,
     {"divergence: ", "@divergent_shuffle", "@divergent_sync", "all 32 lanes of a warp must come to the same call"}},
    {"lane_left", failed, {"deadlock: ", "threads 0-31, 35 ended", "threads 32-34, 36-63 in shuffle at ", "@lane_left"}},
    {"barrier_of_some", failed,
     {"deadlock: ", "threads 0-31 in sync_block at ", "threads 32-63 ended", "@barrier_of_some"}},
    {"two_barriers", failed, {"divergence: calls sync_block", "@two_barriers one", "@two_barriers other"}},
    {"endless", timeout, {"does not end: stopped after 100", "@endless"}},
};

// A launch that may start early, after one that wrote its input.
void test_inputs(const char* kernel, Status expected, uint64_t seed) {
  SimulatorOptions options;
  options.seed = seed;
  Simulation simulation(options);
  const Slot x = simulation.buffer(std::vector<float>(64, 1.0f)), y = simulation.empty(64 * 4);
  simulation.driver.copy_on_device(Simulation::address(y), Simulation::address(x), 256, 0);
  // No upload of arguments may come between, so a graph replays both.
  Stream stream = 0;
  Graph graph = 0;
  simulation.driver.create_stream(stream);
  simulation.driver.begin_capture(stream);
  const auto shape = [&](bool overlaps) {
    return Simulation::Shape{.threads = 64, .shared_bytes = 1024, .symbols = {1}, .overlaps = overlaps, .stream = stream};
  };
  simulation.launch("faults", "in_place", shape(false), {x, y});
  simulation.launch("faults", kernel, shape(true), {x, y});
  simulation.driver.end_capture(stream, graph);
  const Status status = simulation.driver.launch_graph(graph, stream);
  const std::string details = simulation.driver.details();
  check(status == expected, std::string(kernel) + ": " + simulation.driver.explain(status) + " " + details);
  if (expected == success) return;
  for (const std::string& word : {place("without_waiting"), std::string("an earlier launch"), std::string("wait_for_inputs")})
    check(details.find(word) != std::string::npos, "no \"" + word + "\" in: " + details);
}

}  // namespace

void test_faults() {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    for (const Expected& expected : all) expect(expected, seed);
    test_inputs("without_waiting_for_inputs", failed, seed);
    test_inputs("waiting_for_inputs", success, seed);
  }
  // Threads are dropped in the middle of what they do; the next device starts afresh.
  SimulatorOptions options;
  options.most_seconds = 0.2;
  Simulation simulation(options);
  const Slot x = simulation.buffer(std::vector<float>(64, 1.0f)), y = simulation.empty(64 * 4);
  const Status status = run(simulation, "endless", 1, x, y, false);
  check(status == timeout && simulation.driver.details().find(" s") != std::string::npos, "stopped by the clock");
}

}  // namespace weft::cuda::test
