#include "weights.h"

#include <algorithm>
#include <string>

#include "formats/nvfp4.h"
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

const uint8_t* bytes_at(const char* place) { return reinterpret_cast<const uint8_t*>(place); }
uint8_t* bytes_at(char* place) { return reinterpret_cast<uint8_t*>(place); }

// The first block, row by row, whose scale in tiles is NaN.
size_t first_broken_scale(const plan::PlanBuffer& buffer, const char* tiles) {
  const size_t depth = static_cast<size_t>(buffer.shape.back());
  const size_t rows = static_cast<size_t>(plan::elements_of(buffer)) / depth, blocks = depth / nvfp4_block;
  for (size_t row = 0; row < rows; ++row) {
    const uint8_t* scales = bytes_at(tiles) + row / nvfp4_group_rows * 9 * depth + 8 * depth + row % nvfp4_group_rows;
    for (size_t block = 0; block < blocks; ++block)
      if ((scales[block * nvfp4_group_rows] & 0x7f) == 0x7f) return row * blocks + block;
  }
  return no_index;
}

}  // namespace

bool is_mapped(const WeightOrigin& origin) {
  return !origin.data && !origin.is_blocks() && origin.dtype == origin.buffer->dtype && origin.offset % width_of(origin.dtype) == 0;
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
    if (origin.data && origin.is_blocks())
      nvfp4_to_tiles(bytes_at(place), bytes_at(origin.data), bytes_at(origin.scales_data),
                     origin.elements() / origin.row_length(), origin.row_length());
    else if (origin.data)
      convert_elements(converters_of(kernels), place, origin.buffer->dtype, origin.data, origin.dtype, origin.elements());
  }
}

// Groups of rows to tiles, shared out over the threads.
void Weights::load_blocks(const WeightOrigin& origin, const char* codes, ThreadPool& pool, const std::atomic<bool>& stop) {
  const size_t depth = origin.row_length(), rows = origin.elements() / depth;
  const uint8_t* scales = bytes_at(files_.scales(origin));
  uint8_t* tiles = bytes_at(const_cast<char*>(places_[origin.buffer_index]));
  const size_t groups = (rows + nvfp4_group_rows - 1) / nvfp4_group_rows;
  pool.parallel_for(groups, 16, [&](size_t begin, size_t end, int) noexcept {
    if (stop.load(std::memory_order_relaxed)) return;
    const size_t row = begin * nvfp4_group_rows;
    nvfp4_to_tiles(tiles + begin * 9 * depth, bytes_at(codes) + row * depth / 2, scales + row * depth / nvfp4_block,
                   std::min(rows, end * nvfp4_group_rows) - row, depth);
  });
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
    if (origin.is_blocks()) {
      load_blocks(origin, sources[i], pool, stop);
      files_.release(origin);
    } else if (is_mapped(origin)) {
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
  // The values in a file are read once more below, so what was converted can only leave memory at the end.
  const auto release = [&] {
    for (const WeightOrigin& origin : origins_)
      if (!origin.data && !origin.is_blocks() && !is_mapped(origin)) files_.release(origin);
  };
  if (!check_finite) return release();
  NotFinite found;
  std::vector<std::atomic<size_t>> first(origins_.size());
  for (size_t i = 0; i < origins_.size(); ++i) {
    const WeightOrigin& origin = origins_[i];
    first[i] = no_index;
    elements[i] = origin.is_blocks() ? 0 : origin.elements();
    if (!origin.is_blocks()) continue;
    const size_t broken = first_broken_scale(*origin.buffer, places_[origin.buffer_index]);
    if (broken != no_index) found.add_scale(origin, broken);
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
  for (size_t i = 0; i < origins_.size(); ++i)
    if (first[i].load() != no_index) found.add(origins_[i], sources[i], dtype_of(i), first[i].load());
  release();
  found.check();
}

}  // namespace weft::cpu
