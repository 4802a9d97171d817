#include "weights/weight_origin.h"

#include "error.h"
#include "validate.h"
#include "weights/finite.h"

namespace weft {

size_t WeightOrigin::elements() const {
  return static_cast<size_t>(plan::elements_of(*buffer));
}

size_t WeightOrigin::bytes() const {
  return is_blocks() ? elements() / 2 : elements() * static_cast<size_t>(plan::element_bytes(dtype));
}

const char* WeightFiles::values(const WeightOrigin& origin) {
  return part(origin, origin.path, origin.offset, origin.bytes());
}

const char* WeightFiles::scales(const WeightOrigin& origin) {
  return part(origin, origin.scales_path, origin.scales_offset, origin.scales_bytes());
}

const char* WeightFiles::part(const WeightOrigin& origin, const std::string& path, size_t offset, size_t bytes) {
  std::unique_ptr<MappedFile>& file = files_[path];
  if (!file) file = std::make_unique<MappedFile>(path);
  if (offset > file->bytes() || bytes > file->bytes() - offset)
    throw Error("[weights] " + path + " ends before " + origin.buffer->name + " does: it has " +
                std::to_string(file->bytes()) + " bytes, " + std::to_string(offset) + " + " + std::to_string(bytes) +
                " are needed; is the file truncated?");
  return file->data() + offset;
}

void WeightFiles::release(const WeightOrigin& origin) noexcept {
  const auto release = [&](const std::string& path, size_t offset, size_t bytes) {
    const auto file = files_.find(path);
    if (file != files_.end()) file->second->release(file->second->data() + offset, bytes);
  };
  release(origin.path, origin.offset, origin.bytes());
  if (origin.is_blocks()) release(origin.scales_path, origin.scales_offset, origin.scales_bytes());
}

void NotFinite::add(const WeightOrigin& origin, const char* values, plan::PlanDtype dtype, size_t index) {
  list_ += "\n  " + origin.buffer->name + ": " + name_of_not_finite(values, dtype, index) + " at flat index " +
           std::to_string(index);
}

void NotFinite::add_scale(const WeightOrigin& origin, size_t index) {
  list_ += "\n  " + origin.buffer->name + ": the scale NaN of block " + std::to_string(index);
}

void NotFinite::check() const {
  if (!list_.empty())
    throw Error("[weights] values must be finite; repair the checkpoint, or load with checkWeights: false:" + list_);
}

}  // namespace weft
