#include "exec/weight_upload.h"

#include <algorithm>
#include <cstring>

#include "error.h"
#include "exec/staging_ring.h"
#include "formats/nvfp4.h"
#include "validate.h"
#include "weights/convert_elements.h"
#include "weights/finite.h"

namespace weft::cuda {
namespace {

// Progress is told after so many bytes.
constexpr size_t report_bytes = size_t{64} << 20;

}  // namespace

WeightUpload::WeightUpload(std::vector<WeightOrigin> origins, bool check_finite)
    : origins_(std::move(origins)), copies_(origins_.size()), check_finite_(check_finite) {
  for (size_t i = 0; i < origins_.size(); ++i) {
    if (!origins_[i].data) continue;
    const size_t bytes = origins_[i].bytes(), scales = origins_[i].is_blocks() ? origins_[i].scales_bytes() : 0;
    copies_[i] = std::make_unique_for_overwrite<char[]>(std::max<size_t>(1, bytes + scales));
    std::memcpy(copies_[i].get(), origins_[i].data, bytes);
    origins_[i].data = copies_[i].get();
    if (scales == 0) continue;
    std::memcpy(copies_[i].get() + bytes, origins_[i].scales_data, scales);
    origins_[i].scales_data = copies_[i].get() + bytes;
  }
}

void WeightUpload::execute(Gpu& gpu, const DeviceMemory& weights, const Layout& layout, const Progress& progress,
                           const std::atomic<bool>& stop) {
  StagingRing ring(gpu);
  WeightFiles files;
  NotFinite not_finite;
  size_t total = 0, done = 0, reported = 0;
  for (const WeightOrigin& origin : origins_) total += static_cast<size_t>(origin.buffer->bytes);
  for (const WeightOrigin& origin : origins_) {
    const char* values = origin.data ? origin.data : files.values(origin);
    const size_t from_width = static_cast<size_t>(plan::element_bytes(origin.dtype));
    const size_t to_width = static_cast<size_t>(plan::element_bytes(origin.buffer->dtype));
    const size_t elements = origin.elements(), piece = StagingRing::piece_bytes / to_width;
    const auto where = [&] { return "uploading weight " + origin.buffer->name; };
    const auto send = [&](char* staging, size_t at, size_t bytes) {
      const DevicePointer to = weights.at(layout.weight_offsets[origin.buffer_index] + at);
      gpu.check(gpu.driver().copy_to_device(to, staging, bytes, gpu.stream()), "cuMemcpyHtoDAsync", where);
      ring.sent(where);
      done += bytes;
      if (progress && (done - reported >= report_bytes || done == total)) progress(reported = done, total);
    };
    if (origin.is_blocks()) {
      const uint8_t* codes = reinterpret_cast<const uint8_t*>(values);
      const uint8_t* scales = reinterpret_cast<const uint8_t*>(origin.data ? origin.scales_data : files.scales(origin));
      const size_t depth = origin.row_length(), rows = elements / depth;
      const size_t most = StagingRing::piece_bytes / (9 * depth) * nvfp4_group_rows;
      if (most == 0) throw Error("[weights] " + origin.buffer->name + " has rows of " + std::to_string(depth) + " elements, which are too long");
      if (check_finite_)
        for (size_t block = 0; block < origin.scales_bytes(); ++block)
          if ((scales[block] & 0x7f) == 0x7f) {
            not_finite.add_scale(origin, block);
            break;
          }
      for (size_t row = 0; row < rows && !stop.load(); row += most) {
        const size_t count = std::min(most, rows - row);
        char* staging = ring.take(where);
        nvfp4_to_tiles(reinterpret_cast<uint8_t*>(staging), codes + row * depth / 2, scales + row * depth / nvfp4_block, count, depth);
        send(staging, row / nvfp4_group_rows * 9 * depth, nvfp4_tiled_bytes(count, depth));
      }
      continue;
    }
    bool is_finite = true;
    for (size_t begin = 0; begin < elements && !stop.load(); begin += piece) {
      const size_t count = std::min(piece, elements - begin);
      const char* from = values + begin * from_width;
      if (check_finite_ && is_finite) {
        const size_t found = first_not_finite(from, origin.dtype, count);
        is_finite = found == no_index;
        if (!is_finite) not_finite.add(origin, values, origin.dtype, begin + found);
      }
      char* staging = ring.take(where);
      convert_elements(portable_converters, staging, origin.buffer->dtype, from, origin.dtype, count);
      send(staging, begin * to_width, count * to_width);
    }
  }
  ring.finish([] { return std::string("uploading weights"); });
  copies_.clear();
  not_finite.check();
}

}  // namespace weft::cuda
