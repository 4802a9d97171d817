// Whether this process may use the AMX unit.
#pragma once

namespace weft::cpu {

// True if the processor multiplies tiles of bf16 and the system lets this process do so, which is asked for at the first
// call, for all of its threads and for good. Linux only: elsewhere false.
bool has_amx_bf16();

}  // namespace weft::cpu
