// The driver around the kernels: memory, streams, events, modules, graphs, and a device that is lost.
#include "simulation.h"

namespace weft::cuda::test {

namespace {

constexpr Status invalid_value = 1, out_of_memory = 2, invalid_image = 200, invalid_handle = 400, not_found = 500;

void memory() {
  SimulatorOptions options;
  options.total_bytes = 1 << 20;
  SimulatedDriver driver(options);
  DeviceFacts facts;
  check(driver.facts(facts) == success && facts.name == "simulated sm_90" && facts.compute_capability == 90, "facts");
  check(facts.shared_bytes_per_block == 227 << 10 && facts.multiprocessors == 4, "facts of a multiprocessor");
  DevicePointer a = 0, b = 0;
  check(driver.allocate(a, 1000) == success && a % 256 == 0, "allocate");
  check(driver.facts(facts) == success && facts.total_bytes - facts.free_bytes == 1024, "memory is counted");
  check(driver.allocate(b, 1 << 20) == out_of_memory && b == 0, "the device is full");
  check(driver.explain(out_of_memory) == "CUDA_ERROR_OUT_OF_MEMORY (out of memory)", "explain");
  char bytes[1000];
  check(driver.copy_to_host(bytes, a, 1000, 0) == invalid_value, "nothing was written yet");
  check(driver.details().find("nothing was written to byte 0") != std::string::npos, driver.details());
  check(driver.fill(a + 10, 7, 3, 0) == success && driver.copy_to_host(bytes, a + 10, 3, 0) == success, "fill");
  check(bytes[0] == 7 && bytes[2] == 7, "filled bytes");
  check(driver.copy_to_host(bytes, a + 9, 3, 0) == invalid_value, "the byte before");
  check(driver.copy_to_device(a + 998, "abc", 3, 0) == invalid_value, "copy beyond the end");
  check(driver.details().find("not part of any allocation") != std::string::npos, driver.details());
  check(driver.copy_to_device(a + 997, "abc", 3, 0) == success, "copy up to the end");
  check(driver.copy_on_device(a + 500, a + 996, 4, 0) == success, "copy on the device");
  check(driver.copy_to_host(bytes, a + 501, 3, 0) == success && std::memcmp(bytes, "abc", 3) == 0, "copied bytes");
  check(driver.copy_to_host(bytes, a + 500, 4, 0) == invalid_value, "what was unwritten stays so");
  check(driver.free(a + 256) == invalid_value && driver.free(a) == success && driver.free(a) == invalid_value, "free");
  void* host = nullptr;
  check(driver.allocate_host(host, 64) == success && host != nullptr, "memory of the host");
  check(driver.free_host(host) == success && driver.free_host(host) == invalid_value, "free memory of the host");
  check(driver.allocate_host(host, 64) == success, "left for the driver to free");
}

void modules() {
  SimulatedDriver driver{SimulatorOptions{}};
  const std::string image = read_file(module_folder + "/programs.so");
  Module module = 0;
  Function function = 0;
  check(driver.load_module(module, "no image", 8) == invalid_image, "not an image");
  std::string foreign = image;
  foreign[18] = 0x7f;
  check(driver.load_module(module, foreign.data(), foreign.size()) == invalid_image, "another machine's image");
  for (size_t i = 0; i < 64; ++i) {
    const size_t bytes = image.size() * i / 64;
    check(driver.load_module(module, image.data(), bytes) == invalid_image, "truncated to " + std::to_string(bytes));
  }
  check(driver.details().find("truncated") != std::string::npos, driver.details());
  check(driver.load_module(module, image.data(), image.size()) == success, "whole image");
  check(driver.get_function(function, module, "nothing") == not_found, "no such kernel");
  check(driver.get_function(function, module, "vector_add") == success, "kernel");
  Args<3> args = {};
  const auto status = [&](uint32_t blocks, uint32_t threads, uint32_t shared, size_t bytes) {
    Launch launch;
    launch.function = function, launch.blocks = blocks, launch.threads = threads, launch.shared_bytes = shared;
    launch.args = &args, launch.args_bytes = bytes, launch.label = "step 3";
    return driver.launch(launch);
  };
  check(status(0, 128, 0, sizeof(args)) == invalid_value, "no blocks");
  check(status(1, 48, 0, sizeof(args)) == invalid_value, "no whole warps");
  check(status(1, 256, 0, sizeof(args)) == invalid_value, "more threads than compiled for");
  check(driver.details() == "step 3: vector_add is compiled for 128 threads, not 256", driver.details());
  check(status(1, 128, 0, sizeof(args) - 8) == invalid_value, "arguments of another kernel");
  check(status(1, 128, 60 << 10, sizeof(args)) == invalid_value, "more shared memory than allowed");
  check(driver.allow_shared_bytes(function, 60 << 10) == success, "allow more");
  check(driver.allow_shared_bytes(function, 228 << 10) == invalid_value, "allow too much");
  check(driver.unload_module(module) == success && driver.unload_module(module) == invalid_handle, "unload");
  check(status(1, 128, 0, sizeof(args)) == invalid_handle, "a kernel of an unloaded module");
}

// The same launch again and again, with its arguments as they were and memory as it is.
void graphs() {
  Simulation simulation;
  SimulatedDriver& driver = simulation.driver;
  const Slot x = simulation.buffer(std::vector<float>(100, 1.0f)), y = simulation.empty(400);
  Stream stream = 0, other = 0;
  Event start = 0, end = 0;
  Graph graph = 0;
  check(driver.create_stream(stream) == success && driver.create_stream(other) == success, "streams");
  check(driver.create_event(start) == success && driver.create_event(end) == success, "events");
  check(driver.end_capture(stream, graph) != success, "no capture has begun");
  check(driver.begin_capture(stream) == success && driver.begin_capture(stream) != success, "capture begins once");
  const Status status = simulation.launch(
      "programs", "vector_add", {.blocks = 1, .threads = 128, .symbols = {100}, .stream = stream}, {x, x, y});
  check(status == success, "recorded launch");
  // The other stream joins the capture, and comes back.
  check(driver.record_event(start, stream) == success && driver.wait_event(other, start) == success, "fork");
  check(driver.query_event(start) != success, "an event of a capture has no state");
  check(driver.copy_on_device(Simulation::address(x), Simulation::address(y), 400, other) == success, "recorded copy");
  check(driver.record_event(end, other) == success && driver.wait_event(stream, end) == success, "join");
  float result[100];
  check(driver.end_capture(other, graph) != success, "the capture began elsewhere");
  check(driver.end_capture(stream, graph) == success, "capture ends");
  check(driver.copy_to_host(result, Simulation::address(y), 400, stream) == invalid_value, "nothing was executed");
  for (int i = 0; i < 3; ++i) check(driver.launch_graph(graph, stream) == success, "replay");
  check(driver.copy_to_host(result, Simulation::address(y), 400, stream) == success && result[99] == 8, "doubled thrice");
  float milliseconds = -1;
  check(driver.query_event(end) == success && driver.elapsed(milliseconds, start, end) == success, "times of a replay");
  check(milliseconds >= 0, "time goes forward");
  check(driver.destroy_graph(graph) == success && driver.launch_graph(graph, stream) == invalid_handle, "destroyed");
  check(driver.destroy_event(end) == success && driver.record_event(end, stream) == invalid_handle, "destroyed event");
  check(driver.destroy_stream(other) == success && driver.destroy_stream(other) == invalid_handle, "destroyed stream");
}

void lost_device(bool late) {
  SimulatorOptions options;
  options.failing_launch = 2;
  options.late_failures = late;
  Simulation simulation(options);
  const Slot x = simulation.buffer(std::vector<float>(100, 1.0f)), y = simulation.empty(400);
  const auto launch = [&] {
    return simulation.launch("programs", "vector_add", {.threads = 128, .symbols = {100}}, {x, x, y});
  };
  check(launch() == success, "the first launch is good");
  check(launch() == (late ? success : 700), "the second fails");
  check(simulation.driver.details().starts_with("vector_add: failure injected"), simulation.driver.details());
  float result[1];
  DevicePointer pointer = 0;
  Event event = 0;
  check(simulation.driver.copy_to_host(result, Simulation::address(y), 4, 0) == 700, "so does what follows");
  check(simulation.driver.allocate(pointer, 4) == 700 && simulation.driver.create_event(event) == 700, "all of it");
  check(simulation.driver.free(Simulation::address(y)) == 700, "memory is not given back by hand");
  DeviceFacts facts;
  check(simulation.driver.facts(facts) == success, "facts are still known");
  // Memory has gone from under a kernel: a mistake, not a crash.
  Simulation after;
  const Slot gone = after.empty(400), z = after.empty(400);
  after.driver.free(Simulation::address(gone));
  const Status status = after.launch("programs", "vector_add", {.threads = 128, .symbols = {100}}, {gone, gone, z});
  check(status == 700 && after.driver.details().find("not part of any allocation") != std::string::npos,
        "freed memory: " + after.driver.details());
}

}  // namespace

void test_driver() {
  memory();
  modules();
  graphs();
  lost_device(false);
  lost_device(true);
}

}  // namespace weft::cuda::test
