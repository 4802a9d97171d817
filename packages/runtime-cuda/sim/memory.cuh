// Views of memory that check every access: within the view, aligned to its size, and (in the simulator) initialised and
// ordered after the accesses of other threads.
#pragma once

// Of a buffer, `Global`, or of the block's shared memory, `Shared`.
template <typename T>
struct View {
  T* data;
  u64 bytes;
  weft_sim::Buffer* buffer;
};
template <typename T>
struct Global : View<T> {};
template <typename T>
struct Shared : View<T> {};

template <typename T>
DEVICE Global<T> global(const Slot& slot, Here here = Here::current()) {
  return {{static_cast<T*>(slot.data), slot.bytes,
           weft_sim_table->find_buffer(weft_sim_thread(), slot.data, slot.bytes, place_of(here))}};
}

// A part may start anywhere: only accesses are checked.
template <typename T>
DEVICE Global<T> part_of(Global<T> view, i64 first) {
  const u64 skipped = static_cast<u64>(first) * sizeof(T);
  // What lies before the part stays out of reach, though an index below 0 would find it on the device.
  return {{view.data + first, first < 0 || skipped > view.bytes ? 0 : view.bytes - skipped, view.buffer}};
}

template <typename To, typename T>
DEVICE Global<To> view_as(Global<T> view) {
  return {{reinterpret_cast<To*>(view.data), view.bytes, view.buffer}};
}

template <typename T>
DEVICE Shared<T> shared_at(i32 offset, i32 count, Here here = Here::current()) {
  weft_sim::Buffer* buffer = weft_sim_thread()->shared;
  const u64 bytes = static_cast<u64>(count < 0 ? 0 : count) * sizeof(T);
  if (offset < 0 || count < 0 || offset % 16 != 0 || static_cast<u64>(offset) + bytes > buffer->bytes)
    weft_sim_table->refuse_shared(weft_sim_thread(), offset, bytes, place_of(here));
  return {{reinterpret_cast<T*>(buffer->base + offset), bytes, buffer}};
}

// The byte offset in the buffer of `bytes` bytes from element `index` on, once they lie well.
template <typename T>
DEVICE u64 weft_sim_offset(const View<T>& view, i64 index, u32 bytes, weft_sim::Access access, Here here) {
  const u64 at = static_cast<u64>(index) * sizeof(T);
  const u64 address = reinterpret_cast<u64>(view.data) + at;
  if (index < 0 || at + bytes > view.bytes || address % bytes != 0) {
    const u64 view_offset =
        view.buffer == nullptr ? 0 : reinterpret_cast<u64>(view.data) - reinterpret_cast<u64>(view.buffer->base);
    const weft_sim::Attempt attempt = {view_offset, view.bytes, index, sizeof(T), bytes, access};
    weft_sim_table->refuse_access(weft_sim_thread(), view.buffer, &attempt, place_of(here));
  }
  return address - reinterpret_cast<u64>(view.buffer->base);
}

template <typename V, typename T>
DEVICE V weft_sim_load(const View<T>& view, i64 index, Here here) {
  const u64 offset = weft_sim_offset(view, index, sizeof(V), weft_sim::Access::read, here);
  weft_sim_table->read(weft_sim_thread(), view.buffer, offset, sizeof(V), place_of(here));
  V value;
  __builtin_memcpy(&value, view.buffer->base + offset, sizeof(V));
  return value;
}
template <typename V, typename T>
DEVICE void weft_sim_store(const View<T>& view, i64 index, const V& value, Here here) {
  const u64 offset = weft_sim_offset(view, index, sizeof(V), weft_sim::Access::write, here);
  weft_sim_table->write(weft_sim_thread(), view.buffer, offset, sizeof(V), place_of(here));
  __builtin_memcpy(view.buffer->base + offset, &value, sizeof(V));
}

template <typename T>
DEVICE T load(Global<T> view, i64 index, Here here = Here::current()) {
  return weft_sim_load<T>(view, index, here);
}
template <typename T>
DEVICE void store(Global<T> view, i64 index, T value, Here here = Here::current()) {
  weft_sim_store(view, index, value, here);
}
template <typename T>
DEVICE Bytes16 load16(Global<T> view, i64 index, Here here = Here::current()) {
  return weft_sim_load<Bytes16>(view, index, here);
}
template <typename T>
DEVICE Bytes8 load8(Global<T> view, i64 index, Here here = Here::current()) {
  return weft_sim_load<Bytes8>(view, index, here);
}
template <typename T>
DEVICE void store16(Global<T> view, i64 index, Bytes16 value, Here here = Here::current()) {
  weft_sim_store(view, index, value, here);
}
template <typename T>
DEVICE void store8(Global<T> view, i64 index, Bytes8 value, Here here = Here::current()) {
  weft_sim_store(view, index, value, here);
}
template <typename T>
DEVICE Bytes16 load16_once(Global<T> view, i64 index, Here here = Here::current()) {
  return weft_sim_load<Bytes16>(view, index, here);
}

template <typename T>
DEVICE void prefetch(Global<T> view, i64 index, Here here = Here::current()) {
  weft_sim_offset(view, index, sizeof(T), weft_sim::Access::read, here);
}

DEVICE u32 atomic_add(Global<u32> view, i64 index, u32 value, Here here = Here::current()) {
  const u64 offset = weft_sim_offset(view, index, sizeof(u32), weft_sim::Access::write, here);
  return weft_sim_table->atomic_add(weft_sim_thread(), view.buffer, offset, value, place_of(here));
}
DEVICE void fence_device(Here here = Here::current()) {
  weft_sim_table->fence_device(weft_sim_thread(), place_of(here));
}
template <typename T>
DEVICE T load_fresh(Global<T> view, i64 index, Here here = Here::current()) {
  const u64 offset = weft_sim_offset(view, index, sizeof(T), weft_sim::Access::read, here);
  weft_sim_table->read_fresh(weft_sim_thread(), view.buffer, offset, sizeof(T), place_of(here));
  T value;
  __builtin_memcpy(&value, view.buffer->base + offset, sizeof(T));
  return value;
}

template <typename T>
DEVICE T load(Shared<T> view, i32 index, Here here = Here::current()) {
  return weft_sim_load<T>(view, index, here);
}
template <typename T>
DEVICE void store(Shared<T> view, i32 index, T value, Here here = Here::current()) {
  weft_sim_store(view, index, value, here);
}
template <typename T>
DEVICE Bytes16 load16(Shared<T> view, i32 index, Here here = Here::current()) {
  return weft_sim_load<Bytes16>(view, index, here);
}
template <typename T>
DEVICE Bytes8 load8(Shared<T> view, i32 index, Here here = Here::current()) {
  return weft_sim_load<Bytes8>(view, index, here);
}
template <typename T>
DEVICE void store8(Shared<T> view, i32 index, Bytes8 value, Here here = Here::current()) {
  weft_sim_store(view, index, value, here);
}
template <typename T>
DEVICE void store16(Shared<T> view, i32 index, Bytes16 value, Here here = Here::current()) {
  weft_sim_store(view, index, value, here);
}

template <typename T>
DEVICE void copy16_async(Shared<T> to, i32 to_index, Global<T> from, i64 from_index, bool valid,
                         Here here = Here::current()) {
  const u64 to_offset = weft_sim_offset(to, to_index, 16, weft_sim::Access::write, here);
  const u64 from_offset = valid ? weft_sim_offset(from, from_index, 16, weft_sim::Access::read, here) : 0;
  weft_sim_table->copy16_async(weft_sim_thread(), to_offset, valid ? from.buffer : nullptr, from_offset,
                               place_of(here));
}
DEVICE void commit_copies(Here here = Here::current()) {
  weft_sim_table->commit_copies(weft_sim_thread(), place_of(here));
}
template <i32 pending>
DEVICE void wait_copies(Here here = Here::current()) {
  static_assert(pending >= 0);
  weft_sim_table->wait_copies(weft_sim_thread(), pending, place_of(here));
}
