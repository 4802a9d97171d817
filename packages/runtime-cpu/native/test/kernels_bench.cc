// How near the kernels come to the machine: bytes, GB/s, GFLOP/s and the share of the bandwidth or multiply-add rate
// measured in this very run (best of several, since other work shares the machine).
//   kernels_bench [table] [threads] [gemv|gemm|decode|prefill|threads|nvfp4]
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "kernels.h"
#include "machine/multiply_adds.h"
#include "machine/read_walks.h"
#include "thread_pool.h"

namespace weft::cpu::bench {
namespace {

const KernelTable* kernels;
ThreadPool* pool;
double peak_bandwidth = 0, peak_rate = 0;  // bytes/s and FLOP/s
constexpr size_t pool_bytes = size_t{384} << 20;  // beyond any last-level cache

struct Free {
  void operator()(void* p) const { std::free(p); }
};
template <class T>
using Array = std::unique_ptr<T[], Free>;
template <class T>
Array<T> allocate(size_t n) {
  auto* p = static_cast<T*>(std::aligned_alloc(4096, (n * sizeof(T) + 4095) / 4096 * 4096));
  if (p == nullptr) {
    std::puts("out of memory");
    std::exit(1);
  }
  return Array<T>(p);
}
void fill_random(float* p, size_t n) {
  for (size_t i = 0; i < n; ++i) p[i] = static_cast<float>((i * 2654435761u >> 8) % 2001) * 1e-3f - 1.0f;
}
void fill_random(uint16_t* p, size_t n) {
  for (size_t i = 0; i < n; ++i) p[i] = static_cast<uint16_t>(0x3c00 + (i * 2654435761u >> 20) % 256 + (i % 2) * 0x8000);
}

// With one thread its processor time, so that other work on the machine counts less.
double now() {
  if (pool->size() == 1) {
    timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
  }
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
// Seconds of the fastest of several calls, about half a second in all.
template <class Function>
double best_of(Function&& function) {
  double best = 1e30;
  const double start = now();
  for (int i = 0; i < 200 && (i < 3 || now() - start < 0.5); ++i) {
    const double begin = now();
    function();
    best = std::min(best, now() - begin);
  }
  return best;
}

void report(const char* what, double seconds, double bytes, double operations) {
  std::printf("%-46s %9.1f us", what, seconds * 1e6);
  if (bytes > 0) std::printf("  %8.2f MB  %6.1f GB/s (%3.0f%%)", bytes / 1e6, bytes / seconds / 1e9, 100 * bytes / seconds / peak_bandwidth);
  if (operations > 0) std::printf("  %7.1f GFLOP/s (%3.0f%%)", operations / seconds / 1e9, 100 * operations / seconds / peak_rate);
  std::printf("\n");
  std::fflush(stdout);
}

void measure_machine(const char* memory) {
  const size_t threads = static_cast<size_t>(pool->size()), part = pool_bytes / threads / slice_bytes * slice_bytes;
  volatile uint64_t keep = 0;
  for (size_t walk = 0; walk < walk_count; ++walk) {
    const double seconds = best_of([&] {
      pool->run([&](int t) noexcept { keep = keep + best_walks()[walk].read(memory + static_cast<size_t>(t) * part, part); });
    });
    peak_bandwidth = std::max(peak_bandwidth, static_cast<double>(part * threads) / seconds);
  }
  double operations = 0;
  const double seconds = best_of([&] {
    pool->run([&](int t) noexcept {
      const double done = multiply_adds(kernels->vector_lanes, 400000);
      if (t == 0) operations = done * static_cast<double>(threads);
    });
  });
  peak_rate = std::max(peak_rate, operations / seconds);
  std::printf("%s, %zu threads: read %.1f GB/s, f32 multiply-add %.1f GFLOP/s\n", kernels->name, threads, peak_bandwidth / 1e9, peak_rate / 1e9);
}

void bench_threads() {
  const double seconds = best_of([] { for (int i = 0; i < 1000; ++i) pool->run([](int) noexcept {}); });
  std::printf("%-46s %9.2f us\n", "one empty region", seconds * 1e3);
  const double barrier = best_of([] { pool->run([](int) noexcept { for (int i = 0; i < 1000; ++i) pool->barrier(); }); });
  std::printf("%-46s %9.2f us\n", "one barrier in team mode", barrier * 1e3);
}

// Streams through a pool of weights as a decode step does: one matrix after the other, a barrier between.
void bench_gemv(const void* weights, DType type, size_t rows, size_t columns, size_t depth) {
  const size_t matrix = columns * depth * element_bytes(type), count = std::max<size_t>(1, pool_bytes / matrix);
  auto x = allocate<float>(rows * depth);
  auto y = allocate<float>(rows * columns);
  fill_random(x.get(), rows * depth);
  constexpr size_t grain = 64;
  std::vector<WorkCounter> work(count);
  const double seconds = best_of([&] {
    for (auto& w : work) w.reset();
    pool->run([&](int) noexcept {
      for (size_t i = 0; i < count; ++i) {
        size_t begin, end;
        while (work[i].take(columns, grain, begin, end)) {
          const char* w = static_cast<const char*>(weights) + i * matrix + begin * depth * element_bytes(type);
          kernels->gemv({rows, end - begin, depth, x.get(), DType::f32, depth, w, type, depth, y.get() + begin, columns});
        }
        pool->barrier();
      }
    });
  });
  char name[100];
  std::snprintf(name, sizeof name, "gemv %zu x %zu x %zu %s", rows, columns, depth, type == DType::f32 ? "f32" : type == DType::bf16 ? "bf16" : "f16");
  report(name, seconds / static_cast<double>(count), static_cast<double>(matrix), 2.0 * static_cast<double>(rows * columns * depth));
}

void bench_gemm(const void* weights, DType a_type, DType w_type, size_t rows, size_t columns, size_t depth, bool packed) {
  auto a32 = allocate<float>(rows * depth);
  auto a16 = allocate<uint16_t>(rows * depth);
  auto c = allocate<float>(rows * columns);
  fill_random(a32.get(), rows * depth);
  fill_random(a16.get(), rows * depth);
  const size_t panel = 128, panels = (columns + panel - 1) / panel, threads = static_cast<size_t>(pool->size());
  const void* a = a_type == DType::f32 ? static_cast<const void*>(a32.get()) : a16.get();
  const size_t scratch_bytes = (kernels->gemm_scratch_bytes(rows, panel, depth, a_type, w_type, packed) + 4095) / 4096 * 4096;
  auto scratch = allocate<char>(scratch_bytes * threads);
  auto packed_a = allocate<char>(kernels->pack_a_bytes(rows, depth, a_type, w_type));
  const size_t pack_items = kernels->pack_a_items(rows, depth, a_type, w_type);
  WorkCounter pack_work, work;
  const double seconds = best_of([&] {
    pack_work.reset(), work.reset();
    pool->run([&](int t) noexcept {
      size_t begin, end;
      GemmArguments g{rows, 0, depth, a, a_type, depth, 1, nullptr, nullptr, w_type, depth, 1, nullptr, columns, false,
                      scratch.get() + static_cast<size_t>(t) * scratch_bytes};
      if (packed) {
        while (pack_work.take(pack_items, 4, begin, end)) kernels->pack_a(g, packed_a.get(), begin, end);
        pool->barrier();
        g.packed_a = packed_a.get();
      }
      while (work.take(panels, 1, begin, end)) {
        const size_t n = begin * panel;
        g.columns = std::min(panel, columns - n);
        g.w = static_cast<const char*>(weights) + n * depth * element_bytes(w_type);
        g.c = c.get() + n;
        kernels->gemm_panel(g);
      }
    });
  });
  char name[100];
  std::snprintf(name, sizeof name, "gemm %zu x %zu x %zu %s x %s%s", rows, columns, depth, a_type == DType::f32 ? "f32" : "bf16",
                w_type == DType::f32 ? "f32" : "bf16", packed ? " packed" : "");
  report(name, seconds, 0, 2.0 * static_cast<double>(rows * columns * depth));
}

// Encodes and decodes one megabyte of f32 after the other, and stores rows of tiles; the bytes are those of the floats.
void bench_nvfp4_formats(const float* values, size_t count) {
  constexpr size_t part = size_t{1} << 18, depth = 1024, rows = part / depth;
  const size_t parts = std::min<size_t>(count / part, 64);
  auto codes = allocate<uint8_t>(parts * part / 2);
  auto scales = allocate<uint8_t>(parts * part / nvfp4_block);
  auto tiles = allocate<uint8_t>(parts * nvfp4_tiled_bytes(rows, depth));
  auto out = allocate<float>(part);
  WorkCounter work;
  const auto measure = [&](const char* name, double bytes, auto&& step) {
    const double seconds = best_of([&] {
      work.reset();
      pool->run([&](int) noexcept {
        size_t begin, end;
        while (work.take(parts, 1, begin, end)) step(begin);
      });
    });
    report(name, seconds, bytes * static_cast<double>(parts), 0);
  };
  const double f32_bytes = 4.0 * part, bytes = 9.0 / 16 * part;
  for (int kind = 0; kind < 3; ++kind) {
    const Nvfp4Encoding encoding{7.5f, kind == 1, false, kind == 2, 0, {1, 2, 3}};
    constexpr const char* names[] = {"nvfp4 encode (bytes of f32)", "nvfp4 encode four over six", "nvfp4 encode stochastic"};
    measure(names[kind], f32_bytes, [&](size_t i) noexcept {
      kernels->nvfp4_encode(codes.get() + i * part / 2, scales.get() + i * part / nvfp4_block, values + i * part, part, encoding);
    });
  }
  measure("nvfp4 decode (bytes of f32)", f32_bytes, [&](size_t i) noexcept {
    kernels->nvfp4_decode(out.get(), codes.get() + i * part / 2, scales.get() + i * part / nvfp4_block, part);
  });
  measure("nvfp4 to tiles (bytes of nvfp4)", bytes, [&](size_t i) noexcept {
    kernels->nvfp4_to_tiles(tiles.get() + i * nvfp4_tiled_bytes(rows, depth), codes.get() + i * part / 2,
                            scales.get() + i * part / nvfp4_block, rows, depth, 0, rows / nvfp4_group_rows);
  });
  measure("nvfp4 from tiles (bytes of nvfp4)", bytes, [&](size_t i) noexcept {
    kernels->nvfp4_from_tiles(codes.get() + i * part / 2, scales.get() + i * part / nvfp4_block,
                              tiles.get() + i * nvfp4_tiled_bytes(rows, depth), rows, depth, 0, rows / nvfp4_group_rows);
  });
  measure("nvfp4 load rows (bytes of f32)", f32_bytes, [&](size_t i) noexcept {
    for (size_t row = 0; row < rows; ++row)
      kernels->nvfp4_load_row(out.get() + row * depth, tiles.get() + i * nvfp4_tiled_bytes(rows, depth), row, depth, 0, depth);
  });
}

// One matrix in tiles after the other, as bench_gemv does. Any bytes are codes; scales are made ordinary.
void bench_nvfp4_multiply(uint8_t* tiles, DType x_type, size_t rows, size_t columns, size_t depth) {
  const size_t matrix = nvfp4_tiled_bytes(columns, depth), count = rows > 8 ? 1 : std::max<size_t>(1, pool_bytes / matrix);
  const size_t group_bytes = matrix / (columns / nvfp4_group_rows);
  for (size_t i = 0; i < count * (columns / nvfp4_group_rows); ++i)
    std::memset(tiles + i * group_bytes + 8 * depth, 0x38, depth);
  auto x32 = allocate<float>(rows * depth);
  auto x16 = allocate<uint16_t>(rows * depth);
  auto y = allocate<float>(rows * columns);
  fill_random(x32.get(), rows * depth);
  fill_random(x16.get(), rows * depth);
  const void* x = x_type == DType::f32 ? static_cast<const void*>(x32.get()) : x16.get();
  const size_t threads = static_cast<size_t>(pool->size()), panel = rows > 8 ? 128 : 64;
  const bool packs = rows > kernels->nvfp4_most_streamed_rows(x_type);
  const size_t scratch_bytes = (kernels->nvfp4_scratch_bytes(rows, panel, depth, x_type, packs) + 4095) / 4096 * 4096;
  auto scratch = allocate<char>(scratch_bytes * threads + 1);
  auto packed = allocate<char>(kernels->nvfp4_pack_bytes(rows, depth, x_type));
  const size_t pack_items = kernels->nvfp4_pack_items(rows, depth, x_type);
  std::vector<WorkCounter> work(count);
  WorkCounter pack_work;
  const double seconds = best_of([&] {
    for (auto& w : work) w.reset();
    pack_work.reset();
    pool->run([&](int t) noexcept {
      Nvfp4Arguments g{rows, 0, depth, 0, x, x_type, depth, nullptr, nullptr, nullptr, columns,
                       scratch.get() + static_cast<size_t>(t) * scratch_bytes};
      size_t begin, end;
      if (packs) {
        while (pack_work.take(pack_items, 4, begin, end)) kernels->nvfp4_pack(g, packed.get(), begin, end);
        pool->barrier();
        g.packed_x = packed.get();
      }
      for (size_t i = 0; i < count; ++i) {
        while (work[i].take(columns, panel, begin, end)) {
          g.tiles = tiles + i * matrix, g.first_column = begin, g.columns = end - begin, g.y = y.get() + begin;
          kernels->nvfp4_multiply(g);
        }
        pool->barrier();
      }
    });
  });
  char name[100];
  std::snprintf(name, sizeof name, "nvfp4 %zu x %zu x %zu %s", rows, columns, depth, x_type == DType::f32 ? "f32" : "bf16");
  report(name, seconds / static_cast<double>(count), static_cast<double>(matrix), 2.0 * static_cast<double>(rows * columns * depth));
}

AttentionArguments attention_shape(size_t queries, size_t past, DType type, size_t capacity) {
  const size_t heads = 16, kv_heads = 8, head_dim = 128;
  return {queries, heads, kv_heads, head_dim, past + queries, past, true, 0.088388f, nullptr, heads * head_dim, nullptr, nullptr, type,
          capacity * head_dim, head_dim, capacity * head_dim, head_dim, nullptr, heads * head_dim};
}

void bench_decode(const char* memory, size_t past, DType type) {
  AttentionArguments a = attention_shape(1, past, type, past + 1);
  const size_t cache = a.kv_heads * a.k_head_stride * element_bytes(type), layers = std::max<size_t>(1, pool_bytes / (2 * cache));
  auto q = allocate<float>(a.q_stride);
  auto out = allocate<float>(a.out_stride);
  fill_random(q.get(), a.q_stride);
  a.q = q.get(), a.out = out.get();
  auto partials = allocate<char>(kernels->attention_decode_partials_bytes(a));
  const size_t scratch_bytes = kernels->attention_decode_scratch_bytes(a);
  auto scratch = allocate<char>(scratch_bytes * static_cast<size_t>(pool->size()));
  const size_t items = kernels->attention_decode_items(a), merges = kernels->attention_merge_items(a);
  std::vector<WorkCounter> work(layers), merge_work(layers);
  const double seconds = best_of([&] {
    for (auto& w : work) w.reset();
    for (auto& w : merge_work) w.reset();
    pool->run([&](int t) noexcept {
      for (size_t layer = 0; layer < layers; ++layer) {
        AttentionArguments b = a;
        b.k = memory + layer * 2 * cache, b.v = memory + layer * 2 * cache + cache;
        size_t begin, end;
        while (work[layer].take(items, 1, begin, end))
          kernels->attention_decode(b, partials.get(), scratch.get() + static_cast<size_t>(t) * scratch_bytes, begin, end);
        pool->barrier();
        while (merge_work[layer].take(merges, 4, begin, end)) kernels->attention_merge(b, partials.get(), begin, end);
        pool->barrier();
      }
    });
  });
  char name[100];
  std::snprintf(name, sizeof name, "attention decode, %zu keys %s", past + 1, type == DType::f32 ? "f32" : "bf16");
  report(name, seconds / static_cast<double>(layers), 2.0 * static_cast<double>(cache), 4.0 * static_cast<double>((past + 1) * a.heads * a.head_dim));
}

void bench_prefill(const char* memory, size_t queries, size_t past, DType type) {
  AttentionArguments a = attention_shape(queries, past, type, past + queries);
  auto q = allocate<float>(queries * a.q_stride);
  auto out = allocate<float>(queries * a.out_stride);
  fill_random(q.get(), queries * a.q_stride);
  a.q = q.get(), a.out = out.get(), a.k = memory, a.v = memory + a.kv_heads * a.k_head_stride * element_bytes(type);
  const size_t scratch_bytes = (kernels->attention_prefill_scratch_bytes(a) + 4095) / 4096 * 4096;
  auto scratch = allocate<char>(scratch_bytes * static_cast<size_t>(pool->size()));
  const size_t items = kernels->attention_prefill_items(a);
  const double seconds = best_of([&] {
    pool->parallel_for(items, 1, [&](size_t begin, size_t end, int t) noexcept {
      kernels->attention_prefill(a, scratch.get() + static_cast<size_t>(t) * scratch_bytes, begin, end);
    });
  });
  // Counts the visible half only, as causal attention needs it.
  const double pairs = static_cast<double>(queries) * (static_cast<double>(past) + static_cast<double>(queries + 1) / 2);
  char name[100];
  std::snprintf(name, sizeof name, "attention prefill, %zu queries past %zu %s", queries, past, type == DType::f32 ? "f32" : "bf16");
  report(name, seconds, 0, 4.0 * pairs * static_cast<double>(a.heads * a.head_dim));
}

}  // namespace
}  // namespace weft::cpu::bench

int main(int argc, char** argv) {
  using namespace weft::cpu;
  using namespace weft::cpu::bench;
  kernels = argc > 1 && std::strcmp(argv[1], "best") != 0 ? find_kernels(argv[1]) : &best_kernels();
  if (kernels == nullptr) {
    std::printf("unknown or unsupported table \"%s\"; there are:", argv[1]);
    for (const char* const* name = available_kernels(); *name != nullptr; ++name) std::printf(" %s", *name);
    std::printf("\n");
    return 2;
  }
  ThreadPool threads(argc > 2 ? std::atoi(argv[2]) : 2);
  pool = &threads;
  const auto wanted = [&](const char* part) { return argc <= 3 || std::strcmp(argv[3], part) == 0; };

  auto halves = allocate<uint16_t>(pool_bytes / 2);
  fill_random(halves.get(), pool_bytes / 2);
  const char* memory = reinterpret_cast<const char*>(halves.get());
  measure_machine(memory);
  if (wanted("threads")) bench_threads();
  if (wanted("gemv")) {
    for (size_t rows : {1, 2, 4, 8}) {
      bench_gemv(memory, DType::bf16, rows, 3072, 1024);
      bench_gemv(memory, DType::bf16, rows, 1024, 3072);
    }
    bench_gemv(memory, DType::bf16, 1, 151936, 1024);
    bench_gemv(memory, DType::f16, 1, 3072, 1024);
  }
  if (wanted("decode"))
    for (size_t past : {1023, 8191}) bench_decode(memory, past, DType::bf16);
  if (wanted("gemm"))
    for (size_t rows : {8, 16, 64, 512})
      for (bool packed : {false, true}) {
        bench_gemm(memory, DType::f32, DType::bf16, rows, 3072, 1024, packed);
        bench_gemm(memory, DType::f32, DType::bf16, rows, 1024, 3072, packed);
        bench_gemm(memory, DType::bf16, DType::bf16, rows, 3072, 1024, packed);
        bench_gemm(memory, DType::bf16, DType::bf16, rows, 1024, 3072, packed);
      }
  if (wanted("prefill")) {
    bench_prefill(memory, 512, 0, DType::bf16);
    bench_prefill(memory, 512, 4096, DType::bf16);
  }
  // The same bytes as f32 would be denormals and worse: rewrite them.
  float* floats = reinterpret_cast<float*>(halves.get());
  fill_random(floats, pool_bytes / 4);
  if (wanted("gemv")) bench_gemv(memory, DType::f32, 1, 3072, 1024);
  if (wanted("decode")) bench_decode(memory, 1023, DType::f32);
  if (wanted("gemm")) bench_gemm(memory, DType::f32, DType::f32, 512, 3072, 1024, true);
  if (wanted("prefill")) bench_prefill(memory, 512, 0, DType::f32);
  if (wanted("nvfp4")) {
    bench_nvfp4_formats(floats, pool_bytes / 4);
    auto* tiles = reinterpret_cast<uint8_t*>(halves.get());
    for (DType x_type : {DType::f32, DType::bf16})
      for (size_t rows : {1, 2, 4, 8, 16, 64, 512}) {
        bench_nvfp4_multiply(tiles, x_type, rows, 1024, 1024);
        bench_nvfp4_multiply(tiles, x_type, rows, 3072, 1024);
        bench_nvfp4_multiply(tiles, x_type, rows, 1024, 3072);
      }
    fill_random(floats, pool_bytes / 4);
  }
  measure_machine(memory);
  return 0;
}
