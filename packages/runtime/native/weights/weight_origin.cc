#include "weights/weight_origin.h"

#include "error.h"
#include "validate.h"
#include "weights/finite.h"

namespace weft {

size_t WeightOrigin::elements() const {
  return static_cast<size_t>(buffer->bytes / plan::element_bytes(buffer->dtype));
}

size_t WeightOrigin::bytes() const { return elements() * static_cast<size_t>(plan::element_bytes(dtype)); }

const char* WeightFiles::values(const WeightOrigin& origin) {
  std::unique_ptr<MappedFile>& file = files_[origin.path];
  if (!file) file = std::make_unique<MappedFile>(origin.path);
  const size_t bytes = origin.bytes();
  if (origin.offset > file->bytes() || bytes > file->bytes() - origin.offset)
    throw Error("[weights] " + origin.path + " ends before " + origin.buffer->name + " does: it has " +
                std::to_string(file->bytes()) + " bytes, " + std::to_string(origin.offset) + " + " +
                std::to_string(bytes) + " are needed; is the file truncated?");
  return file->data() + origin.offset;
}

void NotFinite::add(const WeightOrigin& origin, const char* values, plan::PlanDtype dtype, size_t index) {
  list_ += "\n  " + origin.buffer->name + ": " + name_of_not_finite(values, dtype, index) + " at flat index " +
           std::to_string(index);
}

void NotFinite::check() const {
  if (!list_.empty())
    throw Error("[weights] values must be finite; repair the checkpoint, or load with checkWeights: false:" + list_);
}

}  // namespace weft
