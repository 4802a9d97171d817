#include "driver/real/cubin.h"

#include <elf.h>

#include <cstring>

namespace weft::cuda {
namespace {

bool lies_within(uint64_t offset, uint64_t size, size_t bytes) { return offset <= bytes && size <= bytes - offset; }

template <class Header>
Header header_at(const void* image, uint64_t offset) {
  Header header;
  std::memcpy(&header, static_cast<const char*>(image) + offset, sizeof header);
  return header;
}

}  // namespace

std::string cubin_fault(const void* image, size_t bytes) {
  if (bytes < sizeof(Elf64_Ehdr) || std::memcmp(image, ELFMAG, SELFMAG) != 0) return "it does not begin as a cubin does";
  const auto file = header_at<Elf64_Ehdr>(image, 0);
  if (file.e_ident[EI_CLASS] != ELFCLASS64 || file.e_ident[EI_DATA] != ELFDATA2LSB) return "it is of another word size or byte order";
  const auto table = [&](uint64_t offset, uint64_t count, uint64_t size, size_t least) {
    return count == 0 || (size >= least && lies_within(offset, count * size, bytes));
  };
  const std::string truncated = "it ends before what it lists: is it truncated?";
  if (!table(file.e_phoff, file.e_phnum, file.e_phentsize, sizeof(Elf64_Phdr)) ||
      !table(file.e_shoff, file.e_shnum, file.e_shentsize, sizeof(Elf64_Shdr)))
    return truncated;
  for (uint64_t i = 0; i < file.e_shnum; ++i) {
    const auto section = header_at<Elf64_Shdr>(image, file.e_shoff + i * file.e_shentsize);
    if (section.sh_type != SHT_NOBITS && section.sh_type != SHT_NULL && !lies_within(section.sh_offset, section.sh_size, bytes)) return truncated;
  }
  for (uint64_t i = 0; i < file.e_phnum; ++i) {
    const auto segment = header_at<Elf64_Phdr>(image, file.e_phoff + i * file.e_phentsize);
    if (!lies_within(segment.p_offset, segment.p_filesz, bytes)) return truncated;
  }
  return {};
}

}  // namespace weft::cuda
