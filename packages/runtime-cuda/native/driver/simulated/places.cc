#include "places.h"

namespace weft::cuda::sim {

uint32_t Places::slow(const weft_sim::Place* place) {
  const auto known = by_address_.find(place);
  if (known != by_address_.end()) return known->second;
  std::string text = place->file;
  text.erase(0, text.find_last_of('/') + 1);
  text += ':' + std::to_string(place->line);
  const auto [entry, isNew] = by_text_.try_emplace(text, static_cast<uint32_t>(texts_.size() + 1));
  if (isNew && entry->second <= most) texts_.push_back(text);
  const uint32_t number = entry->second <= most ? entry->second : none;
  by_address_.emplace(place, number);
  return number;
}

std::string Places::text(uint32_t number) const {
  return number == none || number > texts_.size() ? "an unknown place" : texts_[number - 1];
}

void Places::forget() {
  by_address_.clear();
  for (Cached& cached : recent_) cached = {};
}

}  // namespace weft::cuda::sim
