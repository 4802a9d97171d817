// Where the values of a plan's weights come from: a file that is mapped, or the caller's memory.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "plan_generated.h"
#include "weights/mapped_file.h"

namespace weft {

struct WeightOrigin {
  const plan::PlanBuffer* buffer = nullptr;
  size_t buffer_index = 0;
  plan::PlanDtype dtype{};
  // In the caller's memory, or nullptr for a file.
  const char* data = nullptr;
  std::string path;
  size_t offset = 0;
  // Of nvfp4, whose values are codes: where the scales of its blocks are.
  const char* scales_data = nullptr;
  std::string scales_path;
  size_t scales_offset = 0;

  bool is_blocks() const { return dtype == plan::PlanDtype::nvfp4; }
  size_t elements() const;
  // As they lie at the origin.
  size_t bytes() const;
  size_t scales_bytes() const { return elements() / 16; }
  // Of nvfp4: elements of a row.
  size_t row_length() const { return static_cast<size_t>(buffer->shape.back()); }
};

// Files of weights, each mapped once.
class WeightFiles {
 public:
  // The first byte of an origin's values. Throws Error when the file cannot be mapped or is too short.
  const char* values(const WeightOrigin& origin);
  const char* scales(const WeightOrigin& origin);
  // What has been copied need not stay in memory beside its copy.
  void release(const WeightOrigin& origin) noexcept;

 private:
  const char* part(const WeightOrigin& origin, const std::string& path, size_t offset, size_t bytes);
  std::map<std::string, std::unique_ptr<MappedFile>> files_;
};

// What a search for values that are not finite has found, tensor by tensor.
class NotFinite {
 public:
  // `index`: flat, in `values` of that dtype.
  void add(const WeightOrigin& origin, const char* values, plan::PlanDtype dtype, size_t index);
  // A block scale that is NaN.
  void add_scale(const WeightOrigin& origin, size_t index);
  // Throws Error with the list, unless nothing was found.
  void check() const;

 private:
  std::string list_;
};

}  // namespace weft
