#include "amx_support.h"

#if defined(__x86_64__) && defined(__linux__)

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace weft::cpu {
namespace {

bool processor_has_amx_bf16() {
  constexpr unsigned bf16 = 1u << 22, tile = 1u << 24;  // of leaf 7, edx
  unsigned a, b, c, d;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & bf16) != 0 && (d & tile) != 0;
}

// A thread's tiles take 8 KB of what the system saves: so it wants to be asked (Documentation/arch/x86/xstate.rst).
bool system_permits_tiles() {
  constexpr long request_permission = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

}  // namespace

bool has_amx_bf16() {
  static const bool result = processor_has_amx_bf16() && system_permits_tiles();
  return result;
}

}  // namespace weft::cpu

#else

namespace weft::cpu {

bool has_amx_bf16() { return false; }

}  // namespace weft::cpu

#endif
