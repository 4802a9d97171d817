#include "weights.h"

#include <algorithm>
#include <cstring>

#include "error.h"
#include "finite.h"
#include "row/convert_dtype.h"
#include "validate.h"

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

size_t WeightOrigin::elements() const {
  return static_cast<size_t>(buffer->bytes) / width_of(buffer->dtype);
}

bool WeightOrigin::is_mapped() const { return !data && dtype == buffer->dtype && offset % width_of(dtype) == 0; }

WeightSizes weight_sizes(const std::vector<WeightOrigin>& origins) {
  WeightSizes sizes;
  for (const WeightOrigin& origin : origins) {
    const size_t bytes = static_cast<size_t>(origin.buffer->bytes);
    if (origin.is_mapped()) sizes.mapped += bytes;
    else sizes.copied += aligned_size(bytes);
  }
  return sizes;
}

Weights::Weights(std::vector<WeightOrigin> origins, const KernelTable& kernels)
    : origins_(std::move(origins)), copies_(weight_sizes(origins_).copied, "weights") {
  size_t offset = 0;
  for (const WeightOrigin& origin : origins_) {
    if (places_.size() <= origin.buffer_index) places_.resize(origin.buffer_index + 1, nullptr);
    if (origin.is_mapped()) continue;
    char* place = copies_.data() + offset;
    places_[origin.buffer_index] = place;
    offset += aligned_size(static_cast<size_t>(origin.buffer->bytes));
    if (origin.data)
      convert_elements(kernels, place, origin.buffer->dtype, origin.data, origin.dtype, origin.elements());
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
    std::unique_ptr<MappedFile>& file = files_[origin.path];
    if (!file) file = std::make_unique<MappedFile>(origin.path);
    const size_t bytes = origin.elements() * width_of(origin.dtype);
    if (origin.offset > file->bytes() || bytes > file->bytes() - origin.offset)
      throw Error("[weights] " + origin.path + " ends before " + origin.buffer->name + " does: it has " +
                  std::to_string(file->bytes()) + " bytes, " + std::to_string(origin.offset) + " + " +
                  std::to_string(bytes) + " are needed; is the file truncated?");
    sources[i] = file->data() + origin.offset;
    if (origin.is_mapped()) {
      places_[origin.buffer_index] = sources[i];
      mapped_bytes_ += bytes;
    } else {
      elements[i] = origin.elements();
    }
  }
  for_pieces(pool, elements, stop, [&](size_t i, size_t begin, size_t end) noexcept {
    const WeightOrigin& origin = origins_[i];
    char* place = const_cast<char*>(places_[origin.buffer_index]);
    convert_elements(kernels, place + begin * width_of(origin.buffer->dtype), origin.buffer->dtype,
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
  std::string list;
  for (size_t i = 0; i < origins_.size(); ++i) {
    const size_t index = first[i].load();
    if (index == no_index) continue;
    list += "\n  " + origins_[i].buffer->name + ": " + name_of_not_finite(sources[i], dtype_of(i), index) + " at flat index " +
            std::to_string(index);
  }
  if (!list.empty())
    throw Error("[weights] values must be finite; repair the checkpoint, or load with checkWeights: false:" + list);
}

}  // namespace weft::cpu
