// The CPU kernel library: one table of plain functions per instruction set, chosen at run time.
//
// Conventions, for every function here:
//  * Sizes and strides count elements, never bytes. Pointers need only the alignment of their element
//    (weights are mapped straight from a file), except scratch, which must be 64-byte aligned.
//  * All sums are accumulated in f32. An output element is computed by the same sequence of operations
//    whichever range, partition or thread computes it, so results never depend on the number of threads.
//    Two tables (two instruction sets) may differ in the last bits.
//  * Nothing allocates, locks, throws or keeps state. Arguments are not checked (plans are validated before
//    they run); each comment states what must hold.
//  * `out` may be exactly one of the inputs of a row function (in place); partial overlap is not allowed.
//    Matrix and attention functions allow no overlap between output, scratch and inputs.
//  * Denormals are honoured, except inside the bf16 dot instruction of `avx512bf16` and the tiles of `amx`, which flush
//    them.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace weft::cpu {

// Storage type of a matrix or cache. bf16 and f16 elements are uint16_t bit patterns, those of f8e4m3 codes of a byte;
// only weights are of the latter.
enum class DType : int { f32, bf16, f16, f8e4m3 };

// Bytes of one element: 4, 2, 2, 1.
size_t element_bytes(DType type);

// Elementwise functions of one operand. exp, log, tanh, sigmoid and silu are within about 2 ulp (silu below -87, where
// the result is almost denormal: within 1e-43); sqrt,
// reciprocal and rsqrt are made from correctly rounded divisions and roots; sin and cos are libm's.
// logical_not: 1 where x == 0, else 0 (a NaN gives 0).
enum class UnaryOp : int {
  neg, abs, exp, log, sqrt, rsqrt, reciprocal, sin, cos, tanh, sigmoid, silu, square, floor, logical_not,
};
inline constexpr size_t unary_op_count = 15;

// Elementwise functions of two operands. max and min return NaN if either operand is NaN. pow is libm's.
// Comparisons give 1 or 0; a comparison with NaN gives 0.
enum class BinaryOp : int { add, sub, mul, div, max, min, pow, less, less_equal, equal };
inline constexpr size_t binary_op_count = 10;

// Y[rows][columns] = X[rows][depth] * W[columns][depth]^T, for few rows: W is streamed once.
//
// A range of columns is computed by moving `w` and `y` to its first column and setting `columns`; the bits
// of an element do not depend on the range, nor on `rows`. Any rows >= 1 is correct; 1..8 is what it is for.
struct GemvArguments {
  size_t rows, columns, depth;
  const void* x;  // [rows][depth], f32 or bf16
  DType x_type;
  size_t x_stride;  // between rows of X
  const void* w;    // [columns][depth], of any type
  DType w_type;
  size_t w_stride;  // between rows of W
  float* y;         // [rows][columns]
  size_t y_stride;  // between rows of Y
};

// A part of a matrix in tiles of NVFP4 (see below) as the W of a product of any direction, each element its code times
// its scale. Element W(n, k) is that of row first_row + n and place first_place + k of the matrix; turned: of row
// first_row + k and place first_place + n.
struct Nvfp4Operand {
  const uint8_t* tiles;  // of the whole matrix
  size_t row_length;     // a multiple of 16
  size_t first_row, first_place;
  bool turned;
};

// C[rows][columns] = A[rows][depth] * W[columns][depth]^T, for one panel of columns.
//
// One call computes one panel (64 to 256 columns is good; a multiple of `gemm_column_tile` wastes nothing).
// Move `w` and `c` to the panel's first column. C is overwritten. depth 0 gives zeros.
// With A and W both bf16, `avx512bf16` multiplies pairs of bf16; `amx` multiplies tiles with A in bf16 and W in bf16 or
// f8e4m3, which bf16 holds exactly; every other case multiplies in f32.
// The sum of tiles: along depth in steps of 32 places, zeros behind the last one. A step adds up the products of its even
// places, each with one rounding, and so those of its odd ones, both from zero; then the two; then that to the sum. After
// 2048 places at most, in equal parts that depend on the depth alone, the sum is added to C and the next one begins.
// The strides let a training step contract over either axis: element A(m, k) is at
// a[m * a_row_stride + k * a_depth_stride] and W(n, k) at w[n * w_column_stride + k * w_depth_stride]. Fast when
// one of the two strides of each operand is 1.
struct GemmArguments {
  size_t rows, columns, depth;
  const void* a;  // f32 or bf16; not read when packed_a is given
  DType a_type;
  size_t a_row_stride, a_depth_stride;
  const void* packed_a;  // made by pack_a from the same rows, depth, a, a_type and w_type; or nullptr
  const void* w;         // of any type
  DType w_type;
  size_t w_column_stride, w_depth_stride;
  float* c;
  size_t c_stride;  // between rows of C
  bool accumulate;  // the product is added to C
  void* scratch;    // gemm_scratch_bytes(...) bytes, 64-byte aligned, one per thread
  const Nvfp4Operand* w_tiles = nullptr;  // W where it lies in tiles: `w` and its strides are not read, w_type is f32
};

// Grouped-query attention over a cache: out = softmax(scale * q . k) v, in f32.
//
// Query head h reads K/V head h / (heads / kv_heads); heads must be a multiple of kv_heads. The chunk's own keys
// are already in the cache. causal: query i sees keys j <= past + i (and past + queries <= keys must hold).
// Not causal: every query sees all `keys`. A query that sees no key gives zeros. `queries` may be 0.
struct AttentionArguments {
  size_t queries, heads, kv_heads, head_dim;
  size_t keys;  // keys in the cache, this chunk's included
  size_t past;  // keys cached before this chunk
  bool causal;
  float scale;
  const float* q;  // [queries][heads][head_dim]
  size_t q_stride;  // between queries
  const void* k;    // element (head, position, d) at head * k_head_stride + position * k_position_stride + d
  const void* v;
  DType kv_type;  // f32, bf16 or f16
  size_t k_head_stride, k_position_stride;
  size_t v_head_stride, v_position_stride;
  float* out;         // [queries][heads][head_dim]
  size_t out_stride;  // between queries
};

// Rows of heads: element (position, head, d) at data[position * position_stride + head * head_stride + d].
struct HeadsOperand {
  const void* data;
  DType type;
  size_t position_stride, head_stride;
};

// Attention of a training step. Query head h reads K/V head h / (heads / kv_heads). causal: query i sees the keys
// starts[i] <= j <= past + i, from 0 on where there are no starts. A query that sees no key gives zeros. Forward writes
// `out` and `log_sum_exp`, each unless it is null: log(sum(exp(scale * q . k))). Backward reads all operands and
// `log_sum_exp`, and writes the three gradients.
struct TrainingAttentionArguments {
  size_t queries, keys, past, heads, kv_heads, head_dim;
  bool causal;
  float scale;
  const int32_t* starts;  // or nullptr
  size_t starts_stride;
  HeadsOperand q, k, v;
  float* out;
  size_t out_position_stride, out_head_stride;
  float* log_sum_exp;
  size_t sum_position_stride, sum_head_stride;
  HeadsOperand result, cotangent;
  float* query_gradient;
  size_t query_gradient_position_stride, query_gradient_head_stride;
  float* key_gradient;
  size_t key_gradient_position_stride, key_gradient_head_stride;
  float* value_gradient;
  size_t value_gradient_position_stride, value_gradient_head_stride;
};

// Where counter-based random bits come from.
struct RandomStream {
  uint32_t key_low, key_high, stream;
};

// NVFP4: blocks of 16 elements along the last axis, four bits each (E2M1), that share a scale (E4M3). A matrix in tiles:
// rows in groups of 16, padded with zeros to a whole group. A group takes 9 * depth bytes: depth / 8 words of 64 bytes,
// the w-th of which holds for each row of the group, in order, one u32 with its codes of k = 8 w .. 8 w + 7, lowest nibble
// first; then depth / 16 times 16 bytes, the scales of the 16 rows for one block. Tiles need no alignment (64 bytes is
// good), depth is a multiple of 16. Canonical rows, as files have them: two codes a byte, and a scale for each block.
inline constexpr size_t nvfp4_block = 16;
inline constexpr size_t nvfp4_group_rows = 16;

// Bytes of [rows][depth] in tiles.
size_t nvfp4_tiled_bytes(size_t rows, size_t depth);

// How floats become NVFP4; packages/runtime/native/formats/nvfp4.h defines the bytes.
struct Nvfp4Encoding {
  float encode_scale;   // values are multiplied by it first; 2^-126 to the largest float
  bool four_over_six;   // 4 or 6 as the largest code of a block, whichever gives the smaller squared error
  bool non_zero;        // 0.5 in place of a code of zero, scales rounded up
  bool stochastic;      // codes are rounded up or down by the random bits of the places place, place + 1, ...
  uint64_t place;       // of the first value
  RandomStream from;
};

// Y[rows][columns] = X[rows][depth] * W[columns][depth]^T with W in tiles. For any number of rows an element is the same
// sum, over blocks in order: total = fma(b, scale, total), where b is the sum of the block,
//  * in f32: b = 0, then b = fma(x, e2m1, b) for each of its 16 elements in order (`portable` rounds products);
//  * or, on tables that multiply bytes (multiplies_bytes), in whole numbers: each x as the nearest multiple of 2^(e - 149),
//    where e is the exponent, as it is stored and at least 30, of the largest of the 16; b is exact and then rounded once.
//    A block of X with a value that is not finite has the sum NaN.
// A range of columns of W gives the bits of the whole, and whole groups waste nothing. The tensor's scale is not part of it.
// But with X in bf16 `amx` multiplies all rows by tiles when there are more than nvfp4_most_streamed_rows: each element is
// then the sum of tiles that gemm_panel gives, of x and code times scale, and rounded otherwise than that of few rows.
struct Nvfp4Arguments {
  size_t rows, columns, depth;
  size_t first_column;   // the row of W that is the first of the `columns`
  const void* x;         // [rows][depth], f32 or bf16; not read when packed_x is given
  DType x_type;
  size_t x_stride;       // between rows of X
  const void* packed_x;  // made by nvfp4_pack from the same rows, depth and x, where it has items; or nullptr
  const uint8_t* tiles;  // of the whole W
  float* y;              // [rows][columns]
  size_t y_stride;       // between rows of Y
  void* scratch;         // nvfp4_scratch_bytes(...) bytes, 64-byte aligned, one per thread
};

// How far ahead streamed products fetch W. Rows are short (2 KB for 1024 bf16): the hardware's prefetcher starts anew in
// each, so the code asks for the lines itself and goes on into the next group of rows at a row's end. What lies before is
// for the caller to ask for.
inline constexpr size_t prefetch_bytes = 2048;

// Keys per work item of attention_decode. A constant, so that the split never depends on the thread count.
inline constexpr size_t attention_chunk_keys = 256;

struct KernelTable {
  const char* name;       // "portable", "avx2", "avx512", "avx512vnni", "avx512bf16", "amx", "neon"
  size_t vector_lanes;    // f32 lanes of one vector
  size_t gemm_column_tile;  // columns of one register block of gemm_panel
  bool multiplies_bytes;    // NVFP4 times whole numbers

  // Row functions: n contiguous f32 elements, any n.
  void (*unary[unary_op_count])(float* out, const float* a, size_t n);
  void (*binary[binary_op_count])(float* out, const float* a, const float* b, size_t n);
  void (*binary_vector_scalar[binary_op_count])(float* out, const float* a, float b, size_t n);
  void (*binary_scalar_vector[binary_op_count])(float* out, float a, const float* b, size_t n);
  void (*select)(float* out, const float* mask, const float* a, const float* b, size_t n);  // mask != 0 ? a : b
  // a * b + c with one rounding (`portable`: two).
  void (*multiply_add)(float* out, const float* a, const float* b, const float* c, size_t n);
  void (*multiply_add_scalar)(float* out, const float* a, float b, const float* c, size_t n);
  void (*copy)(float* out, const float* a, size_t n);
  void (*fill)(float* out, float value, size_t n);

  // Reductions of n f32 elements, in an order fixed by n alone. Empty: 0, and -infinity for reduce_max.
  float (*reduce_sum)(const float* a, size_t n);
  float (*reduce_sum_of_squares)(const float* a, size_t n);
  float (*reduce_max)(const float* a, size_t n);  // NaN if any element is NaN
  float (*dot)(const float* a, const float* b, size_t n);

  // Conversions. To bf16 and f16: round to nearest even, NaN stays a quiet NaN, overflow gives infinity.
  void (*bf16_to_f32)(float* out, const uint16_t* in, size_t n);
  void (*f32_to_bf16)(uint16_t* out, const float* in, size_t n);
  void (*f16_to_f32)(float* out, const uint16_t* in, size_t n);
  void (*f32_to_f16)(uint16_t* out, const float* in, size_t n);
  // E4M3: all 256 codes, NaN for two of them. The other way the code nearest to each finite element over a scale, which is
  // positive; what is too large becomes 448.
  void (*e4m3_to_f32)(float* out, const uint8_t* in, size_t n);
  void (*f32_to_e4m3)(uint8_t* out, const float* in, size_t n, float scale);
  void (*round_to_bf16)(float* out, const float* in, size_t n);  // f32 storage, bf16 values

  // To bf16 values in f32 storage, up or down by 16 random bits for each element: those of the places `place`,
  // `place` + 1, ... of Philox under key and stream. NaN as above; what is finite stays finite.
  void (*stochastic_round)(float* out, const float* in, uint64_t place, RandomStream from, size_t n);

  void (*gemv)(const GemvArguments&);

  void (*gemm_panel)(const GemmArguments&);
  // Scratch of one gemm_panel call; grows with each size, so the maximum sizes give the maximum.
  size_t (*gemm_scratch_bytes)(size_t rows, size_t columns, size_t depth, DType a_type, DType w_type, bool a_is_packed);
  // A in the micro-kernel's order, made once and read by every panel of one matmul. Work is split over threads by
  // item: pack_a(items [begin, end)), items from pack_a_items. `packed` is 64-byte aligned, pack_a_bytes long.
  size_t (*pack_a_bytes)(size_t rows, size_t depth, DType a_type, DType w_type);
  size_t (*pack_a_items)(size_t rows, size_t depth, DType a_type, DType w_type);
  void (*pack_a)(const GemmArguments&, void* packed, size_t item_begin, size_t item_end);

  // True if gemv is expected to beat gemm_panel. Both are correct for every size.
  bool (*prefer_gemv)(size_t rows, size_t columns, size_t depth, DType x_type, DType w_type);

  // Canonical NVFP4 of n floats, whole blocks, of f32; n may be 0. A block with a value that is not finite gets the scale
  // NaN and codes of zero. Decoded: code times scale, exact.
  void (*nvfp4_encode)(uint8_t* codes, uint8_t* scales, const float* x, size_t n, const Nvfp4Encoding& encoding);
  void (*nvfp4_decode)(float* out, const uint8_t* codes, const uint8_t* scales, size_t n);
  // Elements [first, first + n) of one row of a matrix in tiles; to be stored they are whole blocks. Rows of one group
  // share no byte, so threads may store different rows at once.
  void (*nvfp4_load_row)(float* out, const uint8_t* tiles, size_t row, size_t depth, size_t first, size_t n);
  void (*nvfp4_store_row)(uint8_t* tiles, size_t row, size_t depth, size_t first, size_t n, const float* x,
                          const Nvfp4Encoding& encoding);
  // Groups of rows [group_begin, group_end) of a matrix of `rows` rows: canonical to tiles, and back. All pointers are
  // those of the whole matrix.
  void (*nvfp4_to_tiles)(uint8_t* tiles, const uint8_t* codes, const uint8_t* scales, size_t rows, size_t depth,
                         size_t group_begin, size_t group_end);
  void (*nvfp4_from_tiles)(uint8_t* codes, uint8_t* scales, const uint8_t* tiles, size_t rows, size_t depth,
                           size_t group_begin, size_t group_end);

  // The product. Up to nvfp4_most_streamed_rows(x_type) rows W is streamed from memory, more are multiplied by unpacked
  // panels of W. X may be packed once for all calls, in items as by pack_a; no items: it is read where it lies.
  size_t (*nvfp4_most_streamed_rows)(DType x_type);
  void (*nvfp4_multiply)(const Nvfp4Arguments&);
  size_t (*nvfp4_scratch_bytes)(size_t rows, size_t columns, size_t depth, DType x_type, bool x_is_packed);
  size_t (*nvfp4_pack_bytes)(size_t rows, size_t depth, DType x_type);
  size_t (*nvfp4_pack_items)(size_t rows, size_t depth, DType x_type);
  void (*nvfp4_pack)(const Nvfp4Arguments&, void* packed, size_t item_begin, size_t item_end);

  // Attention for few queries: the cache is split into items of one K/V head and attention_chunk_keys keys, whose
  // partial results land in `partials` (shared by all threads, 64-byte aligned); after a barrier, merge items
  // combine them in a fixed order. One chunk needs no merge: then merge_items is 0 and `out` is already complete.
  // `scratch` is per thread.
  size_t (*attention_decode_items)(const AttentionArguments&);
  size_t (*attention_decode_partials_bytes)(const AttentionArguments&);
  size_t (*attention_decode_scratch_bytes)(const AttentionArguments&);
  void (*attention_decode)(const AttentionArguments&, void* partials, void* scratch, size_t item_begin, size_t item_end);
  size_t (*attention_merge_items)(const AttentionArguments&);
  void (*attention_merge)(const AttentionArguments&, const void* partials, size_t item_begin, size_t item_end);

  // Attention for many queries: items are one K/V head (all its query heads) and one block of queries, each
  // independent. `scratch` is per thread. Blocks of keys that no query of the item sees are skipped.
  size_t (*attention_prefill_items)(const AttentionArguments&);
  size_t (*attention_prefill_scratch_bytes)(const AttentionArguments&);
  void (*attention_prefill)(const AttentionArguments&, void* scratch, size_t item_begin, size_t item_end);

  // Attention of a training step: items are independent, `scratch` is per thread and the same for both directions.
  size_t (*attention_training_scratch_bytes)(const TrainingAttentionArguments&);
  size_t (*attention_forward_items)(const TrainingAttentionArguments&);
  void (*attention_forward)(const TrainingAttentionArguments&, void* scratch, size_t item);
  size_t (*attention_backward_items)(const TrainingAttentionArguments&);
  void (*attention_backward)(const TrainingAttentionArguments&, void* scratch, size_t item);

  // True if the decode path is expected to be the faster one. Depends on queries, heads and kv_heads only.
  bool (*prefer_attention_decode)(const AttentionArguments&);
};

// The table of that name, or nullptr if it is not compiled in or cannot run here: this processor lacks its instructions,
// or the system does not permit them. Beside the names above there are, for tests, "avx512bf16-emulated" and
// "amx-emulated": with the dot instruction emulated, and the product of tiles as well.
const KernelTable* find_kernels(const char* name);

// The fastest table that this processor runs. `portable` always does.
const KernelTable& best_kernels();

// Names that find_kernels accepts on this processor, slowest first, those for tests last. Ends with nullptr.
const char* const* available_kernels();

}  // namespace weft::cpu
