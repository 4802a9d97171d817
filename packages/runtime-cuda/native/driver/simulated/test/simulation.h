// A simulated device for one test: modules from a folder, buffers of values, launches by name.
#pragma once

#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "../../../../../compiler/cuda/types.cuh"
#include "../simulated_driver.h"

namespace weft::cuda::test {

struct Counts {
  long passed = 0, failed = 0;
};
inline Counts counts;
inline std::string module_folder;

inline bool check(bool good, const std::string& what) {
  ++(good ? counts.passed : counts.failed);
  if (!good && counts.failed <= 40) std::printf("FAILED %s\n", what.c_str());
  return good;
}

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline float bf16_value(u16 bits) {
  const u32 wide = static_cast<u32>(bits) << 16;
  float value;
  std::memcpy(&value, &wide, sizeof(value));
  return value;
}

class Simulation {
 public:
  explicit Simulation(const SimulatorOptions& options = {}) : driver(options) {}

  Slot empty(size_t bytes) {
    DevicePointer pointer = 0;
    check(driver.allocate(pointer, bytes) == success, "allocation");
    return {reinterpret_cast<void*>(pointer), bytes};
  }
  template <typename T>
  Slot buffer(const std::vector<T>& values) {
    const Slot slot = empty(values.size() * sizeof(T));
    driver.copy_to_device(address(slot), values.data(), slot.bytes, 0);
    return slot;
  }
  template <typename T>
  std::vector<T> values(const Slot& slot) {
    std::vector<T> result(slot.bytes / sizeof(T));
    const Status status = driver.copy_to_host(result.data(), address(slot), slot.bytes, 0);
    check(status == success, "copy to the host: " + driver.explain(status) + ", " + driver.details());
    return result;
  }
  static DevicePointer address(const Slot& slot) { return reinterpret_cast<DevicePointer>(slot.data); }

  Function function(const std::string& module, const char* name) {
    if (!modules_.contains(module)) {
      const std::string image = read_file(module_folder + "/" + module + ".so");
      const Status status = driver.load_module(modules_[module], image.data(), image.size());
      check(status == success, "module " + module + ": " + driver.details());
    }
    Function function = 0;
    check(driver.get_function(function, modules_[module], name) == success, std::string("kernel ") + name);
    driver.allow_shared_bytes(function, 96 << 10);
    return function;
  }

  struct Shape {
    uint32_t blocks = 1, threads = 32, shared_bytes = 0;
    std::vector<i32> symbols = {0};
    bool overlaps = false;
    Stream stream = 0;
  };
  template <int slots>
  Status launch(const char* module, const char* name, const Shape& shape, const Slot (&bound)[slots]) {
    Args<slots> args = {};
    args.symbols = buffer(shape.symbols);
    args.scratch = scratch;
    if (tickets.data == nullptr) tickets = buffer(std::vector<u32>(64));
    args.tickets = tickets;
    args.blocks = shape.blocks;
    for (int i = 0; i < slots; ++i) args.slot[i] = bound[i];
    Launch launch;
    launch.function = function(module, name);
    launch.blocks = shape.blocks;
    launch.threads = shape.threads;
    launch.shared_bytes = shape.shared_bytes;
    launch.stream = shape.stream;
    launch.args = &args;
    launch.args_bytes = sizeof(args);
    launch.overlaps_previous = shape.overlaps;
    launch.label = name;
    return driver.launch(launch);
  }

  SimulatedDriver driver;
  Slot scratch = {}, tickets = {};

 private:
  std::map<std::string, Module> modules_;
};

void test_primitives();
void test_conversions();
void test_programs();
void test_faults();
void test_driver();

}  // namespace weft::cuda::test
