// What the simulator remembers of every byte of a buffer: who wrote it last and who has read it since. Memory is kept
// in pages; a page starts as one record and is split into as small pieces as accesses need, so that vector accesses
// touch few records and single bytes are still exact.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace weft::cuda::sim {

// An access: when, by which thread of its block, where in the source. Times are numbers of synchronisation events,
// which never repeat in the life of a driver, and each belongs to one block of one launch.
class Stamp {
 public:
  static constexpr uint64_t time_bits = 35, thread_bits = 11;
  static constexpr uint32_t host = 0;

  Stamp() = default;
  Stamp(uint64_t time, uint32_t thread, uint32_t place, bool atomic = false, bool in_flight = false)
      : bits_(time << 29 | static_cast<uint64_t>(thread + 1) << 18 | static_cast<uint64_t>(place) << 2 |
              static_cast<uint64_t>(atomic) << 1 | static_cast<uint64_t>(in_flight)) {}
  // Written by the host: a copy or a fill.
  static Stamp by_host(uint64_t time) {
    Stamp stamp;
    stamp.bits_ = time << 29;
    return stamp;
  }

  bool none() const { return bits_ == 0; }
  uint64_t time() const { return bits_ >> 29; }
  bool is_host() const { return ((bits_ >> 18) & 0x7ff) == 0; }
  uint32_t thread() const { return static_cast<uint32_t>((bits_ >> 18) & 0x7ff) - 1; }
  uint32_t place() const { return static_cast<uint32_t>(bits_ >> 2) & 0xffff; }
  bool atomic() const { return (bits_ & 2) != 0; }
  // An asynchronous copy that its thread has not waited for.
  bool in_flight() const { return (bits_ & 1) != 0; }
  bool operator==(const Stamp&) const = default;

 private:
  uint64_t bits_ = 0;
};

struct Record {
  Stamp write;
  // Two suffice to find every conflict of a later write; see `note_read`.
  Stamp reads[2];
};

class Shadow {
 public:
  static constexpr size_t page_bytes = 256;

  explicit Shadow(size_t bytes);
  Shadow(const Shadow&) = delete;
  Shadow& operator=(const Shadow&) = delete;
  ~Shadow();

  struct Span {
    Record* first;
    size_t count;
    // Bytes of each.
    size_t step;
  };
  // The records of `bytes` bytes, 1, 2, 4, 8 or 16, at a multiple of that.
  Span span(size_t offset, size_t bytes) {
    Page& page = pages_[offset / page_bytes];
    if (page.generation != generation_) renew(page);
    const unsigned shift = shift_of(page);
    if ((size_t{1} << shift) > bytes) return split_span(page, offset, bytes);
    Record* records = page.records == nullptr ? &page.whole : page.records;
    return {records + (offset % page_bytes >> shift), bytes >> shift, size_t{1} << shift};
  }
  // Sets whole records, for copies and fills.
  void mark(size_t offset, size_t bytes, Stamp write);
  // Nothing of what was is true any more, at the cost of one step; pieces stay as small as they are.
  void forget() { ++generation_; }
  // The first byte of the range that nothing was written to; `offset + bytes` if there is none.
  size_t first_unwritten(size_t offset, size_t bytes);

 private:
  struct Page {
    // Null while `whole` holds for the page.
    Record* records;
    Record whole;
    uint32_t generation;
    // log2 of the bytes of one record, less that of the page, so that zeros are a valid page.
    int32_t finer;
  };
  static constexpr unsigned page_shift = 8;
  static_assert(size_t{1} << page_shift == page_bytes);

  static unsigned shift_of(const Page& page) { return page_shift - static_cast<unsigned>(page.finer); }
  void renew(Page& page);
  Span split_span(Page& page, size_t offset, size_t bytes);
  void split(Page& page, unsigned shift);
  void join(Page& page);

  size_t page_count_;
  uint32_t generation_ = 0;
  // Zeros from the system: pages that nobody touches take no memory.
  Page* pages_;
  std::vector<Record*> free_[page_shift + 1];
  std::vector<std::unique_ptr<Record[]>> chunks_;
};

}  // namespace weft::cuda::sim
