#include "shadow.h"

#include <algorithm>
#include <cstdlib>
#include <new>

namespace weft::cuda::sim {

Shadow::Shadow(size_t bytes) : page_count_((bytes + page_bytes - 1) / page_bytes) {
  pages_ = static_cast<Page*>(std::calloc(std::max<size_t>(page_count_, 1), sizeof(Page)));
  if (pages_ == nullptr) throw std::bad_alloc();
}

Shadow::~Shadow() { std::free(pages_); }

void Shadow::renew(Page& page) {
  page.generation = generation_;
  if (page.records != nullptr) std::fill_n(page.records, page_bytes >> shift_of(page), Record{});
  page.whole = {};
}

void Shadow::split(Page& page, unsigned shift) {
  const unsigned old = shift_of(page);
  const size_t count = page_bytes >> shift;
  std::vector<Record*>& free = free_[shift];
  if (free.empty()) {
    const size_t pages = 16;
    chunks_.push_back(std::make_unique<Record[]>(count * pages));
    for (size_t i = 0; i < pages; ++i) free.push_back(chunks_.back().get() + i * count);
  }
  Record* records = free.back();
  free.pop_back();
  for (size_t i = 0; i < count; ++i)
    records[i] = page.records == nullptr ? page.whole : page.records[i << shift >> old];
  if (page.records != nullptr) free_[old].push_back(page.records);
  page.records = records;
  page.finer = static_cast<int32_t>(page_shift - shift);
}

void Shadow::join(Page& page) {
  if (page.records != nullptr) free_[shift_of(page)].push_back(page.records);
  page.records = nullptr;
  page.finer = 0;
}

Shadow::Span Shadow::split_span(Page& page, size_t offset, size_t bytes) {
  unsigned shift = 0;
  while (size_t{2} << shift <= bytes) ++shift;
  split(page, shift);
  return {page.records + (offset % page_bytes >> shift), 1, bytes};
}

void Shadow::mark(size_t offset, size_t bytes, Stamp write) {
  const size_t end = offset + bytes;
  while (offset < end) {
    if (offset % page_bytes == 0 && end - offset >= page_bytes) {
      Page& page = pages_[offset / page_bytes];
      join(page);
      page.generation = generation_;
      page.whole = {write, {}};
      offset += page_bytes;
      continue;
    }
    size_t step = 16;
    while (offset % step != 0 || step > end - offset) step /= 2;
    const Span records = span(offset, step);
    for (size_t i = 0; i < records.count; ++i) records.first[i] = {write, {}};
    offset += step;
  }
}

size_t Shadow::first_unwritten(size_t offset, size_t bytes) {
  const size_t end = offset + bytes;
  while (offset < end) {
    Page& page = pages_[offset / page_bytes];
    if (page.generation != generation_) return offset;
    const size_t shift = shift_of(page);
    const Record& record = page.records == nullptr ? page.whole : page.records[offset % page_bytes >> shift];
    if (record.write.none()) return offset;
    offset = ((offset >> shift) + 1) << shift;
  }
  return end;
}

}  // namespace weft::cuda::sim
