// What the machine can do at best, to hold measured times against.
#pragma once

#include <cstddef>

namespace weft::cpu {

// Bytes per second that so many threads together read from memory, by the best of several walks. `bytes` should be far
// beyond the caches; so much memory is taken meanwhile. Throws Error where there is none.
double measure_read_bandwidth(int threads, size_t bytes);

// Operations per second of so many threads together in f32; a multiply-add is two.
double measure_multiply_add_rate(int threads);

}  // namespace weft::cpu
