// Shuffles: every lane lays down its value, waits for the other 31, and takes the one that it asks for.
#pragma once

template <typename T>
DEVICE T weft_sim_exchange(const char* what, T value, i32 lane, Here here) {
  static_assert(sizeof(T) <= weft_sim::exchange_bytes);
  const unsigned char* values =
      weft_sim_table->exchange(weft_sim_thread(), what, &value, sizeof(T), place_of(here));
  // As the hardware, modulo the width of a warp.
  __builtin_memcpy(&value, values + static_cast<u32>(lane & 31) * weft_sim::exchange_bytes, sizeof(T));
  return value;
}

template <typename T>
DEVICE T shuffle_xor(T value, i32 mask, Here here = Here::current()) {
  return weft_sim_exchange("shuffle_xor", value, lane_index() ^ mask, here);
}
template <typename T>
DEVICE T shuffle(T value, i32 lane, Here here = Here::current()) {
  return weft_sim_exchange("shuffle", value, lane, here);
}
