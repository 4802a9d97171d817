// The driver takes an image without its length and trusts what it says of itself, so a truncated file would be read past
// its end. Checked before it gets there.
#pragma once

#include <cstddef>
#include <string>

namespace weft::cuda {

// Why the bytes are no whole cubin (an ELF file whose tables and sections all lie within it); empty when they are.
std::string cubin_fault(const void* image, size_t bytes);

}  // namespace weft::cuda
