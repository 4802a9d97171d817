// Runs every test over every table that this processor has. Arguments: names of tables, to run only those.
#include "checks.h"

int main(int argc, char** argv) {
  using namespace weft::cpu;
  using namespace weft::cpu::test;
  for (const char* const* name = available_kernels(); *name != nullptr; ++name) {
    bool wanted = argc == 1;
    for (int i = 1; i < argc; ++i) wanted = wanted || std::strcmp(argv[i], *name) == 0;
    if (!wanted) continue;
    const KernelTable* kernels = find_kernels(*name);
    if (!check(kernels != nullptr, "find_kernels(\"%s\")", *name)) continue;
    const long failed = counts.failed;
    test_rows(*kernels);
    test_conversions(*kernels);
    test_matmul(*kernels);
    test_attention(*kernels);
    test_nvfp4(*kernels);
    test_e4m3(*kernels);
    test_nvfp4_products(*kernels);
    if (multiplies_by_tiles(*kernels)) test_tiles(*kernels);
    std::printf("%-20s %s\n", *name, counts.failed == failed ? "ok" : "FAILED");
  }
  for (const char* name : {"avx2", "avx512", "avx512vnni", "avx512bf16", "amx", "neon"})
    if (find_kernels(name) == nullptr) std::printf("%-20s skipped: this processor, system or build lacks it\n", name);
  check(find_kernels("no such") == nullptr, "an unknown name gives nullptr");
  check(std::strstr(best_kernels().name, "emulated") == nullptr, "the emulated table is never the best one");
  test_nvfp4_definition();
  if (argc == 1) test_threads();
  std::printf("%ld passed, %ld failed\n", counts.passed, counts.failed);
  return counts.failed == 0 ? 0 : 1;
}
