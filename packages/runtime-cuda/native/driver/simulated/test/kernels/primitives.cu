// Every primitive by itself; the tests compare with its documented meaning.
#include "device.cuh"

#include "numbers.cuh"

// slots: out. Shuffles of u32, f32 and u64 by every mask, then by every lane.
DEVICE i64 shuffles_blocks(const Args<1>&) { return 1; }
DEVICE void shuffles_body(const Args<1>& args, i64) {
  const auto out = global<u32>(args.slot[0]);
  const i32 lane = lane_index();
  for (i32 i = 0; i < 32; ++i) {
    store(out, i * 32 + lane, shuffle_xor(static_cast<u32>(lane * 3), i));
    store(out, 1024 + i * 32 + lane, static_cast<u32>(shuffle(static_cast<float>(lane), i)));
    // Each lane may ask for another one.
    store(out, 2048 + i * 32 + lane, static_cast<u32>(shuffle(static_cast<u64>(lane) << 40, lane + i) >> 40));
  }
}
WEFT_KERNEL(shuffles, 32, 1, 1)

// slots: x, y, both 512 bytes. Everything moves from x to y, in pieces of every kind; 32 bytes per thread of 16.
template <typename T>
DEVICE void copy_elements(const Args<2>& args, i32 byte) {
  constexpr i32 size = sizeof(T);
  const auto x = global<T>(args.slot[0]);
  const auto y = global<T>(args.slot[1]);
  for (i32 i = byte / size; i < (byte + 32) / size; ++i) store(y, i, load(x, i));
}
template <typename T>
DEVICE void copy_vectors(const Args<2>& args, i32 byte, bool once) {
  constexpr i32 size = sizeof(T);
  const auto x = global<T>(args.slot[0]);
  const auto y = global<T>(args.slot[1]);
  store16(y, byte / size, once ? load16_once(x, byte / size) : load16(x, byte / size));
  store8(y, (byte + 16) / size, load8(x, (byte + 16) / size));
  store8(part_of(y, (byte + 24) / size), 0, load8(part_of(x, (byte + 24) / size), 0));
}
template <typename T>
DEVICE void copy_through_shared(const Args<2>& args, i32 byte) {
  constexpr i32 size = sizeof(T);
  const auto tile = shared_at<T>(16, 512 / size);
  if (byte < 512) {
    store16(tile, byte / size, load16(global<T>(args.slot[0]), byte / size));
    store8(tile, (byte + 16) / size, load8(global<T>(args.slot[0]), (byte + 16) / size));
    for (i32 i = 0; i < 8 / size; ++i)
      store(tile, (byte + 24) / size + i, load(global<T>(args.slot[0]), (byte + 24) / size + i));
  }
  sync_warp();
  if (byte >= 512) return;
  const i32 other = (byte + 32) % 512;
  store16(global<T>(args.slot[1]), (other + 16) / size, load16(tile, (other + 16) / size));
  store8(global<T>(args.slot[1]), other / size, load8(tile, other / size));
  for (i32 i = 8 / size; i < 16 / size; ++i) store(global<T>(args.slot[1]), other / size + i, load(tile, other / size + i));
}
// symbols: the type, then how.
DEVICE i64 moves_blocks(const Args<2>&) { return 1; }
DEVICE void moves_body(const Args<2>& args, i64) {
  const i32 type = load(global<i32>(args.symbols), 0), way = load(global<i32>(args.symbols), 1);
  const i32 byte = thread_index() * 32;
  const auto move = [&]<typename T>(T) {
    if (way == 0 && thread_index() < 16) copy_elements<T>(args, byte);
    if ((way == 1 || way == 2) && thread_index() < 16) copy_vectors<T>(args, byte, way == 2);
    if (way == 3) copy_through_shared<T>(args, byte);
  };
  if (type == 0) move(float{});
  if (type == 1) move(bf16{});
  if (type == 2) move(f16{});
  if (type == 3) move(i32{});
  if (type == 4) move(u32{});
  if (type == 5) move(u8{});
}
WEFT_KERNEL(moves, 32, 1, 2)

// slots: 32 rows of 8 elements, out: 4 registers per lane, plain and transposed.
DEVICE i64 matrices_blocks(const Args<2>&) { return 1; }
DEVICE void matrices_body(const Args<2>& args, i64) {
  const auto rows = global<bf16>(args.slot[0]);
  const auto out = global<u32>(args.slot[1]);
  // Rows lie apart, in any order.
  const auto tile = shared_at<bf16>(0, 32 * 24);
  const i32 lane = lane_index(), place = (lane * 5 % 32) * 24 + 8;
  store16(tile, place, load16(rows, lane * 8));
  sync_warp();
  u32 r[4];
  load_matrix4(r, tile, place);
  for (i32 i = 0; i < 4; ++i) store(out, lane * 4 + i, r[i]);
  load_matrix4_transposed(r, tile, place);
  for (i32 i = 0; i < 4; ++i) store(out, 128 + lane * 4 + i, r[i]);
}
WEFT_KERNEL(matrices, 32, 1, 2)

// slots: a (16 by 16), b (16 by 8), d (16 by 8): d += a x b, fragments as documented.
DEVICE i64 product_blocks(const Args<3>&) { return 1; }
DEVICE void product_body(const Args<3>& args, i64) {
  const auto a = global<bf16>(args.slot[0]);
  const auto b = global<bf16>(args.slot[1]);
  const auto d = global<float>(args.slot[2]);
  const i32 g = lane_index() / 4, t = lane_index() % 4;
  const auto pair = [](bf16 low, bf16 high) { return static_cast<u32>(low.bits) | static_cast<u32>(high.bits) << 16; };
  const auto of_a = [&](i32 row, i32 column) { return pair(load(a, row * 16 + column), load(a, row * 16 + column + 1)); };
  const auto of_b = [&](i32 row) { return pair(load(b, row * 8 + g), load(b, (row + 1) * 8 + g)); };
  const u32 fragment[4] = {of_a(g, 2 * t), of_a(g + 8, 2 * t), of_a(g, 2 * t + 8), of_a(g + 8, 2 * t + 8)};
  const u32 other[2] = {of_b(2 * t), of_b(2 * t + 8)};
  float sums[4];
  for (i32 i = 0; i < 4; ++i) sums[i] = load(d, (g + i / 2 * 8) * 8 + 2 * t + i % 2);
  mma_16816(sums, fragment, other);
  for (i32 i = 0; i < 4; ++i) store(d, (g + i / 2 * 8) * 8 + 2 * t + i % 2, sums[i]);
}
WEFT_KERNEL(product, 32, 1, 3)

// slots: x of 128 floats, y of 256. Three groups of copies per thread, the second all zeros, waited for in order.
DEVICE i64 copies_blocks(const Args<2>&) { return 1; }
DEVICE void copies_body(const Args<2>& args, i64) {
  const auto x = global<float>(args.slot[0]);
  const auto y = global<float>(args.slot[1]);
  const auto tile = shared_at<float>(0, 384);
  const i32 at = thread_index() * 4;
  copy16_async(tile, at, x, at, true);
  commit_copies();
  // Nothing is read: the index may be anything.
  copy16_async(tile, 128 + at, x, 1 << 20, false);
  commit_copies();
  copy16_async(tile, 256 + at, x, 124 - at, true);
  commit_copies();
  wait_copies<2>();
  store(y, thread_index(), load(tile, at));
  wait_copies<1>();
  store(y, 32 + thread_index(), load(tile, 128 + at + 3));
  wait_copies<0>();
  sync_block();
  store(y, 64 + thread_index(), load(tile, 256 + 127 - at));
}
WEFT_KERNEL(copies, 32, 1, 2)

// slots: counters, seen. Every thread of every block draws a number.
DEVICE i64 counters_blocks(const Args<2>&) { return 6; }
DEVICE void counters_body(const Args<2>& args, i64 block) {
  const u32 number = atomic_add(global<u32>(args.slot[0]), 1, 2);
  store(global<u32>(args.slot[1]), block * 64 + thread_index(), number);
}
WEFT_KERNEL(counters, 64, 1, 2)

// slots: bf16 bits widened, f16 bits widened, x, x narrowed to bf16, to f16, rounded to bf16, narrowed to i32. symbols:
// elements of x.
DEVICE i64 conversions_blocks(const Args<7>&) { return 64; }
DEVICE void conversions_body(const Args<7>& args, i64 block) {
  for (i64 i = block * 1024 + thread_index(); i < (block + 1) * 1024; i += thread_count()) {
    store(global<float>(args.slot[0]), i, widen(bf16{static_cast<u16>(i)}));
    store(global<float>(args.slot[1]), i, widen(f16{static_cast<u16>(i)}));
  }
  const i64 count = load(global<i32>(args.symbols), 0);
  for (i64 i = block * 64 + thread_index(); i < count; i += 64 * 64) {
    const float x = load(global<float>(args.slot[2]), i);
    store(global<bf16>(args.slot[3]), i, Narrow<bf16>::of(x));
    store(global<f16>(args.slot[4]), i, Narrow<f16>::of(x));
    store(global<float>(args.slot[5]), i, widen(Narrow<bf16>::of(x)));
    store(global<i32>(args.slot[6]), i, Narrow<i32>::of(x));
  }
}
WEFT_KERNEL(conversions, 64, 1, 7)
