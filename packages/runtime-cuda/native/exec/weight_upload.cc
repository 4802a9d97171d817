#include "exec/weight_upload.h"

#include <algorithm>
#include <cstring>

#include "exec/staging_ring.h"
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
    copies_[i] = std::make_unique_for_overwrite<char[]>(std::max<size_t>(1, origins_[i].bytes()));
    std::memcpy(copies_[i].get(), origins_[i].data, origins_[i].bytes());
    origins_[i].data = copies_[i].get();
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
      const DevicePointer to = weights.at(layout.weight_offsets[origin.buffer_index] + begin * to_width);
      gpu.check(gpu.driver().copy_to_device(to, staging, count * to_width, gpu.stream()), "cuMemcpyHtoDAsync", where);
      ring.sent(where);
      done += count * to_width;
      if (progress && (done - reported >= report_bytes || done == total)) progress(reported = done, total);
    }
  }
  ring.finish([] { return std::string("uploading weights"); });
  copies_.clear();
  not_finite.check();
}

}  // namespace weft::cuda
