// Everything that a kernel needs of the machine, one wrapper for each special instruction. Kernels and the other
// prelude files use nothing else of CUDA, so that the simulator can run the very same text: its twin of this file is
// packages/runtime-cuda/sim/device.cuh, with the same names and meanings.
//
// Generated text includes the prelude files that it needs, this one first; prelude files include none but types.cuh. The
// simulator's compiler finds its own device.cuh first, for NVRTC the files are pasted into one text.
//
// Memory is reached through views only: `Global<T>` for a buffer, `Shared<T>` for a part of the block's shared memory.
// Indices count elements of T. A vector access needs an index that is a multiple of its length.
#pragma once

#include "types.cuh"

#define DEVICE static __device__ __forceinline__

// Threads of a block are one-dimensional, and a multiple of 32.
DEVICE i32 thread_index() { return static_cast<i32>(threadIdx.x); }
DEVICE i32 thread_count() { return static_cast<i32>(blockDim.x); }
DEVICE i32 lane_index() { return thread_index() & 31; }
DEVICE i32 warp_index() { return thread_index() >> 5; }
DEVICE i64 grid_index() { return blockIdx.x; }
DEVICE i64 grid_count() { return gridDim.x; }

// Barriers. All threads of the block, or all lanes of the warp, must come.
DEVICE void sync_block() { __syncthreads(); }
DEVICE void sync_warp() { __syncwarp(); }

// Shuffles over all 32 lanes of a warp.
template <typename T>
DEVICE T shuffle_xor(T value, i32 mask) {
  return __shfl_xor_sync(0xffffffffu, value, mask);
}
template <typename T>
DEVICE T shuffle(T value, i32 lane) {
  return __shfl_sync(0xffffffffu, value, lane);
}

// ---- memory views

template <typename T>
struct Global {
  T* data;
};

template <typename T>
DEVICE Global<T> global(const Slot& slot) {
  return {static_cast<T*>(slot.data)};
}

// The same buffer, counted from element `first` on.
template <typename T>
DEVICE Global<T> part_of(Global<T> view, i64 first) {
  return {view.data + first};
}

// The same bytes as elements of another type.
template <typename To, typename T>
DEVICE Global<To> view_as(Global<T> view) {
  return {reinterpret_cast<To*>(view.data)};
}

template <typename T>
DEVICE T load(Global<T> view, i64 index) {
  return view.data[index];
}
template <typename T>
DEVICE void store(Global<T> view, i64 index, T value) {
  view.data[index] = value;
}
// 16 and 8 bytes from element `index` on.
template <typename T>
DEVICE Bytes16 load16(Global<T> view, i64 index) {
  return *reinterpret_cast<const Bytes16*>(view.data + index);
}
template <typename T>
DEVICE Bytes8 load8(Global<T> view, i64 index) {
  return *reinterpret_cast<const Bytes8*>(view.data + index);
}
template <typename T>
DEVICE void store16(Global<T> view, i64 index, Bytes16 value) {
  *reinterpret_cast<Bytes16*>(view.data + index) = value;
}
template <typename T>
DEVICE void store8(Global<T> view, i64 index, Bytes8 value) {
  *reinterpret_cast<Bytes8*>(view.data + index) = value;
}
// 16 bytes that are read once and by nobody else: weights. They leave no trace in the L1 cache.
template <typename T>
DEVICE Bytes16 load16_once(Global<T> view, i64 index) {
  Bytes16 value;
  asm("ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%0, %1, %2, %3}, [%4];"
      : "=r"(value.word[0]), "=r"(value.word[1]), "=r"(value.word[2]), "=r"(value.word[3])
      : "l"(view.data + index));
  return value;
}

// Brings the 128 bytes around an element to the L2 cache; waits for nothing.
template <typename T>
DEVICE void prefetch(Global<T> view, i64 index) {
  asm volatile("prefetch.global.L2 [%0];" ::"l"(view.data + index));
}

// Adds to a counter; gives what it held before.
DEVICE u32 atomic_add(Global<u32> view, i64 index, u32 value) { return atomicAdd(view.data + index, value); }
// What this thread wrote is seen by the device before what it writes next.
DEVICE void fence_device() { __threadfence(); }
// A value that another block of this launch wrote: not from the L1 cache.
template <typename T>
DEVICE T load_fresh(Global<T> view, i64 index) {
  return __ldcg(view.data + index);
}

// ---- shared memory: one arena per block, whose size the launch gives

template <typename T>
struct Shared {
  T* data;
};

extern __shared__ Bytes16 shared_arena[];

// `count` elements of T from byte `offset` of the arena on; the offset is a multiple of 16.
template <typename T>
DEVICE Shared<T> shared_at(i32 offset, [[maybe_unused]] i32 count) {
  return {reinterpret_cast<T*>(reinterpret_cast<u8*>(shared_arena) + offset)};
}
template <typename T>
DEVICE T load(Shared<T> view, i32 index) {
  return view.data[index];
}
template <typename T>
DEVICE void store(Shared<T> view, i32 index, T value) {
  view.data[index] = value;
}
template <typename T>
DEVICE Bytes16 load16(Shared<T> view, i32 index) {
  return *reinterpret_cast<const Bytes16*>(view.data + index);
}
template <typename T>
DEVICE Bytes8 load8(Shared<T> view, i32 index) {
  return *reinterpret_cast<const Bytes8*>(view.data + index);
}
template <typename T>
DEVICE void store8(Shared<T> view, i32 index, Bytes8 value) {
  *reinterpret_cast<Bytes8*>(view.data + index) = value;
}
template <typename T>
DEVICE void store16(Shared<T> view, i32 index, Bytes16 value) {
  *reinterpret_cast<Bytes16*>(view.data + index) = value;
}

// Asynchronous copies of 16 bytes from global to shared memory. Without `valid`, zeros are written and nothing is read.
// What is copied may be read after `wait_copies` and a barrier.
template <typename T>
DEVICE void copy16_async(Shared<T> to, i32 to_index, Global<T> from, i64 from_index, bool valid) {
  const u32 address = static_cast<u32>(__cvta_generic_to_shared(to.data + to_index));
  const i32 bytes = valid ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from.data + from_index), "r"(bytes)
               : "memory");
}
DEVICE void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits until at most `pending` of this thread's groups are still under way.
template <i32 pending>
DEVICE void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}

// ---- tensor cores

// ldmatrix: four 8x8 matrices of 16-bit elements. Lane i gives the place of row i % 8 of matrix i / 8 (8 consecutive
// elements); register j of a lane then holds elements 2 * (lane % 4) and the next of row lane / 4 of matrix j.
template <typename T>
DEVICE void load_matrix4(u32 (&r)[4], Shared<T> view, i32 index) {
  const u32 address = static_cast<u32>(__cvta_generic_to_shared(view.data + index));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}
// The same with each matrix transposed.
template <typename T>
DEVICE void load_matrix4_transposed(u32 (&r)[4], Shared<T> view, i32 index) {
  const u32 address = static_cast<u32>(__cvta_generic_to_shared(view.data + index));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

// mma.sync.m16n8k16, bf16 x bf16 -> f32: d += a x b. With g = lane / 4 and t = lane % 4, pairs of elements low half first:
//   a[0]: row g, columns 2t and 2t+1; a[1]: row g+8; a[2]: row g, columns 2t+8 and 2t+9; a[3]: row g+8, the same
//   b[0]: rows 2t and 2t+1, column g; b[1]: rows 2t+8 and 2t+9
//   d[0], d[1]: row g, columns 2t and 2t+1; d[2], d[3]: row g+8
DEVICE void mma_16816(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// ---- conversions; between floats to nearest, ties to even

DEVICE u32 bits_of(float value) { return __float_as_uint(value); }
DEVICE float float_of(u32 bits) { return __uint_as_float(bits); }

DEVICE f16 narrow_f16(float value) {
  f16 result;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(result.bits) : "f"(value));
  return result;
}
DEVICE float widen_f16(f16 value) {
  float result;
  asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(value.bits));
  return result;
}

// Toward zero; what lies beyond the range becomes its nearest end, NaN becomes 0.
DEVICE i32 to_i32(float value) {
  i32 result;
  asm("cvt.rzi.s32.f32 %0, %1;" : "=r"(result) : "f"(value));
  return result;
}

// Two products of bf16, one in each half, rounded to nearest; subnormal numbers are numbers.
DEVICE u32 mul_bf16x2(u32 a, u32 b) {
  u32 result;
  // Nothing is changed by adding -0.
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(result) : "r"(a), "r"(b), "r"(0x80008000u));
  return result;
}

// Byte i of the result is chosen by bits 4i and up of the selector: one of the eight bytes of a and b (those of a are the
// first four), or with bit 4i + 3 eight times its highest bit.
DEVICE u32 permute_bytes(u32 a, u32 b, u32 selector) {
  u32 result;
  asm("prmt.b32 %0, %1, %2, %3;" : "=r"(result) : "r"(a), "r"(b), "r"(selector));
  return result;
}

// A product that is rounded before anything is added to it.
DEVICE float rounded_product(float a, float b) { return __fmul_rn(a, b); }

// Within two units in the last place, without the slow path that exact rounding needs.
DEVICE float fast_rsqrt(float x) { return rsqrtf(x); }
// a / b for b below 2^126; beyond that it may be 0.
DEVICE float fast_quotient(float a, float b) { return __fdividef(a, b); }

// ---- programmatic dependent launch, on sm_90 and later; elsewhere a kernel starts when the one before it has ended

// A kernel must not read what earlier kernels wrote, nor write anything, before this; weights and symbols are not theirs.
DEVICE void wait_for_inputs() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
// The next kernel may start its blocks; it still waits for this one's end before it reads what it wrote.
DEVICE void let_next_start() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// A kernel from its body, `name_body(args, block)`, and `name_blocks(args)`, the number of virtual blocks. Whatever the
// grid, every virtual block is executed once; bodies may end in any state of shared memory. `resident` blocks must fit a
// multiprocessor at once: that limits the registers of a thread (left to itself, ptxas trades spills for more blocks).
#define WEFT_KERNEL(name, threads, resident, slots)                                        \
  extern "C" __global__ void __launch_bounds__(threads, resident)                          \
      name(const __grid_constant__ Args<slots> args) {                                     \
    const i64 blocks = name##_blocks(args);                                                \
    /* Who waits for this kernel relies on it for the kernels in front as well. */         \
    if (grid_index() >= blocks) wait_for_inputs();                                         \
    for (i64 block = grid_index(); block < blocks; block += grid_count()) {                \
      if (block != grid_index()) sync_block();                                             \
      name##_body(args, block);                                                            \
    }                                                                                      \
  }
