#include "elf_image.h"

#include <cstdint>
#include <cstring>

#ifdef __linux__
#include <elf.h>
#endif

namespace weft::cuda::sim {

#ifdef __linux__

namespace {

#if defined(__x86_64__)
constexpr uint16_t machine = EM_X86_64;
#else
constexpr uint16_t machine = EM_AARCH64;
#endif

bool within(uint64_t offset, uint64_t size, size_t bytes) { return offset <= bytes && size <= bytes - offset; }

}  // namespace

bool is_whole_image(const void* image, size_t bytes, std::string& reason) {
  const char* start = static_cast<const char*>(image);
  Elf64_Ehdr header;
  if (image == nullptr || bytes < sizeof(header)) {
    reason = "an image of " + std::to_string(bytes) + " bytes is too short for a shared object";
    return false;
  }
  std::memcpy(&header, start, sizeof(header));
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
    reason = "the image is no shared object";
    return false;
  }
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_type != ET_DYN || header.e_machine != machine) {
    reason = "the image is for another kind of machine";
    return false;
  }
  // Section headers come last, so a file that ends too early has lost some.
  bool whole = header.e_phentsize == sizeof(Elf64_Phdr) &&
               within(header.e_phoff, uint64_t{header.e_phnum} * sizeof(Elf64_Phdr), bytes) &&
               within(header.e_shoff, uint64_t{header.e_shnum} * header.e_shentsize, bytes);
  for (unsigned i = 0; whole && i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    std::memcpy(&segment, start + header.e_phoff + i * sizeof(segment), sizeof(segment));
    whole = within(segment.p_offset, segment.p_filesz, bytes);
  }
  if (!whole) reason = "the image is truncated";
  return whole;
}

#else

// Other systems' loaders check it themselves.
bool is_whole_image(const void* image, size_t bytes, std::string& reason) {
  if (image != nullptr && bytes >= 64) return true;
  reason = "an image of " + std::to_string(bytes) + " bytes is too short for a shared object";
  return false;
}

#endif

}  // namespace weft::cuda::sim
