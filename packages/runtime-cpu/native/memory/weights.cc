#include "weights.h"

#include <algorithm>
#include <string>

#include "row/convert_dtype.h"
#include "validate.h"
#include "weights/finite.h"

namespace weft::cpu {
namespace {

// Elements that one thread takes at a time when converting or checking.
constexpr size_t piece_elements = size_t{1} << 20;

size_t width_of(plan::PlanDtype dtype) { return static_cast<size_t>(plan::element_bytes(dtype)); }

// Calls body(tensor, begin, end) over all pieces of the listed tensors, first come first served.
template <class Body>
void for_pieces(ThreadPool& pool, const std::vector<size_t>& elements, const std::atomic<bool>& stop, Body&& body) {
  std::vector<size_t> first(elements.size() + 1, 0);
  for (size_t i = 0; i < elements.size(); ++i)
    first[i + 1] = first[i] + (elements[i] + piece_elements - 1) / piece_elements;
  pool.parallel_for(first.back(), 1, [&](size_t begin, size_t end, int) noexcept {
    for (size_t piece = begin; piece < end && !stop.load(std::memory_order_relaxed); ++piece) {
      const size_t tensor = static_cast<size_t>(std::upper_bound(first.begin(), first.end(), piece) - first.begin()) - 1;
      const size_t from = (piece - first[tensor]) * piece_elements;
      body(tensor, from, std::min(elements[tensor], from + piece_elements));
    }
  });
}

}  // namespace

bool is_mapped(const WeightOrigin& origin) {
  return !origin.data && origin.dtype == origin.buffer->dtype && origin.offset % width_of(origin.dtype) == 0;
}

WeightSizes weight_sizes(const std::vector<WeightOrigin>& origins) {
  WeightSizes sizes;
  for (const WeightOrigin& origin : origins) {
    const size_t bytes = static_cast<size_t>(origin.buffer->bytes);
    if (is_mapped(origin)) sizes.mapped += bytes;
    else sizes.copied += aligned_size(bytes);
  }
  return sizes;
}

Weights::Weights(std::vector<WeightOrigin> origins, const KernelTable& kernels)
    : origins_(std::move(origins)), copies_(weight_sizes(origins_).copied, "weights") {
  size_t offset = 0;
  for (const WeightOrigin& origin : origins_) {
    if (places_.size() <= origin.buffer_index) places_.resize(origin.buffer_index + 1, nullptr);
    if (is_mapped(origin)) continue;
    char* place = copies_.data() + offset;
    places_[origin.buffer_index] = place;
    offset += aligned_size(static_cast<size_t>(origin.buffer->bytes));
    if (origin.data)
      convert_elements(converters_of(kernels), place, origin.buffer->dtype, origin.data, origin.dtype, origin.elements());
  }
}

const char* Weights::data(size_t buffer_index) const {
  return buffer_index < places_.size() ? places_[buffer_index] : nullptr;
}

void Weights::load(ThreadPool& pool, const KernelTable& kernels, bool check_finite, const std::atomic<bool>& stop) {
  std::vector<const char*> sources(origins_.size());
  std::vector<size_t> elements(origins_.size(), 0);
  for (size_t i = 0; i < origins_.size(); ++i) {
    const WeightOrigin& origin = origins_[i];
    if (origin.data) {
      sources[i] = places_[origin.buffer_index];
      continue;
    }
    sources[i] = files_.values(origin);
    if (is_mapped(origin)) {
      places_[origin.buffer_index] = sources[i];
      mapped_bytes_ += origin.bytes();
    } else {
      elements[i] = origin.elements();
    }
  }
  for_pieces(pool, elements, stop, [&](size_t i, size_t begin, size_t end) noexcept {
    const WeightOrigin& origin = origins_[i];
    char* place = const_cast<char*>(places_[origin.buffer_index]);
    convert_elements(converters_of(kernels), place + begin * width_of(origin.buffer->dtype), origin.buffer->dtype,
                     sources[i] + begin * width_of(origin.dtype), origin.dtype, end - begin);
  });
  if (!check_finite) return;
  std::vector<std::atomic<size_t>> first(origins_.size());
  for (size_t i = 0; i < origins_.size(); ++i) {
    first[i] = no_index;
    elements[i] = origins_[i].elements();
  }
  // What the caller gave in memory is already converted; for files the values are judged as they were written.
  const auto dtype_of = [&](size_t i) { return origins_[i].data ? origins_[i].buffer->dtype : origins_[i].dtype; };
  for_pieces(pool, elements, stop, [&](size_t i, size_t begin, size_t end) noexcept {
    const size_t found = first_not_finite(sources[i] + begin * width_of(dtype_of(i)), dtype_of(i), end - begin);
    if (found == no_index) return;
    size_t known = first[i].load();
    while (begin + found < known && !first[i].compare_exchange_weak(known, begin + found)) {
    }
  });
  NotFinite found;
  for (size_t i = 0; i < origins_.size(); ++i)
    if (first[i].load() != no_index) found.add(origins_[i], sources[i], dtype_of(i), first[i].load());
  found.check();
}

}  // namespace weft::cpu
