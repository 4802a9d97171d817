// Types that the host, the device and the simulator share. No header of the toolkit is needed, for NVRTC.
#pragma once

using u8 = unsigned char;
using u16 = unsigned short;
using u32 = unsigned int;
using u64 = unsigned long long;
using i8 = signed char;
using i32 = int;
using i64 = long long;

// Storage formats; arithmetic is in f32.
struct bf16 {
  u16 bits;
};
struct f16 {
  u16 bits;
};
struct f8e4m3 {
  u8 bits;
};

struct alignas(16) Bytes16 {
  u32 word[4];
};
struct alignas(8) Bytes8 {
  u32 word[2];
};

// A buffer of the plan in device memory. The size is what the simulator checks accesses against.
struct Slot {
  void* data;
  u64 bytes;
};

// The one parameter of every kernel; the host fills it in (packages/runtime-cuda/native/exec/launch_args.h).
template <int slots>
struct Args {
  // i32 values of the plan's symbols, in the plan's order.
  Slot symbols;
  // Partial results of one launch; whoever needs it owns it whole.
  Slot scratch;
  // u32 counters, zero before and after every launch.
  Slot tickets;
  // What the run reports of a gather index that names no row: u32 count of them, step, f32 index, u32 bound.
  Slot fault;
  // The plan's step that this launch belongs to, for `fault`.
  i64 step;
  // Which part of its step's work a launch does, where it takes several launches of one function.
  i64 piece;
  // Blocks of the grid, for kernels that share their work out over all of them.
  i64 blocks;
  Slot slot[slots];
};
