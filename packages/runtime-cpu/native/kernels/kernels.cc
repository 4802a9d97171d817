// Which tables are compiled in, and which of them this processor runs. Compiled for any processor.
#include "kernels.h"

#include <string.h>

#include "amx_support.h"

namespace weft::cpu {

extern const KernelTable portable_kernels;
#if defined(__x86_64__)
extern const KernelTable avx2_kernels;
#if !defined(WEFT_TWINS_ONLY)
extern const KernelTable avx512_kernels;
extern const KernelTable avx512vnni_kernels;
extern const KernelTable avx512bf16_kernels;
#endif
extern const KernelTable avx512bf16_emulated_kernels;
#if defined(WEFT_AMX)
extern const KernelTable amx_kernels;
#endif
extern const KernelTable amx_emulated_kernels;
#elif defined(__aarch64__)
extern const KernelTable neon_kernels;
#endif

namespace {

struct Candidate {
  const KernelTable* table;
  bool (*runs_here)();
};

bool always() { return true; }
#if defined(__x86_64__)
// These built-ins also ask whether the operating system saves the registers.
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c"); }
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#if !defined(WEFT_TWINS_ONLY)
bool has_avx512vnni() { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }
bool has_avx512bf16() { return has_avx512vnni() && __builtin_cpu_supports("avx512bf16"); }
#endif
#if defined(WEFT_AMX)
bool has_amx() { return has_avx512bf16() && has_amx_bf16(); }
#endif
#endif

// Slowest first; the test-only tables last.
const Candidate candidates[] = {
    {&portable_kernels, always},
#if defined(__x86_64__)
    {&avx2_kernels, has_avx2},
#if !defined(WEFT_TWINS_ONLY)
    {&avx512_kernels, has_avx512},
    {&avx512vnni_kernels, has_avx512vnni},
    {&avx512bf16_kernels, has_avx512bf16},
#endif
#if defined(WEFT_AMX)
    {&amx_kernels, has_amx},
#endif
    {&avx512bf16_emulated_kernels, has_avx512},
    {&amx_emulated_kernels, has_avx512},
#elif defined(__aarch64__)
    {&neon_kernels, always},
#endif
};
constexpr size_t candidate_count = sizeof candidates / sizeof candidates[0];

bool test_only(const KernelTable& table) { return strstr(table.name, "-emulated") != nullptr; }

struct Names {
  Names() {
#if defined(__x86_64__)
    __builtin_cpu_init();
#endif
    size_t count = 0;
    for (const Candidate& candidate : candidates)
      if (candidate.runs_here()) list[count++] = candidate.table->name;
  }
  const char* list[candidate_count + 1] = {};
};

}  // namespace

size_t element_bytes(DType type) { return type == DType::f32 ? 4 : type == DType::f8e4m3 ? 1 : 2; }

size_t nvfp4_tiled_bytes(size_t rows, size_t depth) { return (rows + nvfp4_group_rows - 1) / nvfp4_group_rows * 9 * depth; }

const KernelTable* find_kernels(const char* name) {
  for (const Candidate& candidate : candidates)
    if (strcmp(candidate.table->name, name) == 0) return candidate.runs_here() ? candidate.table : nullptr;
  return nullptr;
}

const KernelTable& best_kernels() {
  const KernelTable* best = &portable_kernels;
  for (const Candidate& candidate : candidates)
    if (!test_only(*candidate.table) && candidate.runs_here()) best = candidate.table;
  return *best;
}

const char* const* available_kernels() {
  static const Names names;
  return names.list;
}

}  // namespace weft::cpu
