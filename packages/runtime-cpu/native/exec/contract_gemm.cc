// The team packs the rows' operand once, where it is not too large; then each tile packs its columns once for all of its
// rows. With packing at two to four floats and multiplying at up to 32 products a cycle, columns cost up to 16 / r of the
// multiplication beside it, 1.6 % for 1024 rows. The block of columns at hand stays in the second cache; packed rows and
// products pass through it, a line for some hundred multiplications.
// What is not packed before (several items of a batch, sums in several terms, operands that are too large) is packed by
// each tile for itself, in wider tiles, because that costs another 16 / c.
#include "exec/contract_gemm.h"

#include <algorithm>

#include "row/convert_dtype.h"
#include "validate.h"

namespace weft::cpu {
namespace {

constexpr int64_t most_tile_rows = 1024, least_tile_rows = 64;
constexpr int64_t most_tile_columns = 256, most_packed_tile_columns = 128, least_tile_columns = 64;
constexpr size_t most_shared_bytes = size_t{16} << 20;
constexpr int64_t tiles_per_thread = 4;
// Blocks of rows that lie side by side are packed together: 8 of them read stretches of about 400 bytes.
constexpr int64_t packed_at_once = 8;
bool is_blocks(plan::PlanDtype dtype) { return dtype == plan::PlanDtype::nvfp4; }

// Below these, whole vectors of columns and blocks of rows would mostly be padding.
constexpr int64_t least_rows = 4, least_columns = 8;

}  // namespace

struct ContractGemm::Run {
  const ContractShape& shape;
  const char* a;
  const char* b;
  char* out;
  // The operand whose axis is contiguous in the result gives the columns.
  bool is_turned;
  ContractAxis rows, columns;
  int64_t tile_rows, tile_columns;
  // The rows' operand of all tiles, packed; or nullptr.
  const char* packed;
  // Of a matrix in tiles: the element that the product begins at.
  int64_t first = 0;
};

struct ContractGemm::Tile {
  ContractAxis batch;
  int64_t row, rows, column, columns;
};

ContractGemm::ContractGemm(const plan::ContractKernel& kernel, const plan::SymbolBounds& bounds, const KernelTable& kernels)
    : kernel_(kernel) {
  const auto dtype = [&](const plan::Access& access) { return kernel.slots[static_cast<size_t>(access.slot)].dtype; };
  a_ = dtype(kernel.a);
  b_ = dtype(kernel.b);
  out_ = dtype(kernel.out);
  // More than any block along depth.
  constexpr size_t depth = 1 << 16;
  ScratchLayout layout;
  size_t panel = 0;
  for (const auto& [rows, columns] : {std::pair(a_, b_), std::pair(b_, a_)})
    panel = std::max(panel, kernels.gemm_scratch_bytes(most_tile_rows, most_tile_columns, depth, kernel_dtype(rows),
                                                       kernel_dtype(columns), false));
  layout.add(panel);
  products_ = layout.add(static_cast<size_t>(most_tile_rows * most_tile_columns) * sizeof(float));
  scratch_ = layout.bytes();
  const ContractShape largest(kernel, bounds);
  if (!fits(largest)) return;
  const Run run = prepare(largest);
  const size_t tiles = static_cast<size_t>((run.rows.extent + run.tile_rows - 1) / run.tile_rows);
  const size_t bytes = packed_tile_bytes(run, kernels) * tiles;
  if (bytes <= most_shared_bytes) shared_ = bytes;
}

// Which operand gives the rows, and the largest tiles.
ContractGemm::Run ContractGemm::prepare(const ContractShape& shape) const {
  // Where the result is contiguous along neither axis, the longer one gives the columns.
  const bool along_rows = shape.rows.out == 1, along_columns = shape.columns.out == 1;
  // A matrix in tiles gives the columns: its panels are unpacked where they are multiplied.
  const bool is_turned = is_blocks(a_)   ? true
                         : is_blocks(b_) ? false
                         : along_columns ? along_rows && shape.columns.extent < least_columns
                                       : along_rows || shape.columns.extent < shape.rows.extent;
  return {shape, nullptr, nullptr, nullptr, is_turned, is_turned ? shape.columns : shape.rows,
          is_turned ? shape.rows : shape.columns, most_tile_rows, most_tile_columns, nullptr};
}

size_t ContractGemm::packed_tile_bytes(const Run& run, const KernelTable& kernels) const {
  const auto [rows, columns] = run.is_turned ? std::pair(b_, a_) : std::pair(a_, b_);
  const size_t bytes =
      kernels.pack_a_bytes(static_cast<size_t>(std::min(run.tile_rows, run.rows.extent)),
                           static_cast<size_t>(run.shape.depth.extent), kernel_dtype(rows), kernel_dtype(columns));
  return (bytes + 63) / 64 * 64;
}

bool ContractGemm::fits(const ContractShape& shape) const {
  const auto multiplies = [](plan::PlanDtype dtype) {
    return dtype == plan::PlanDtype::f32 || dtype == plan::PlanDtype::bf16;
  };
  if (is_blocks(a_) || is_blocks(b_)) {
    const bool is_a = is_blocks(a_);
    if (!multiplies(is_a ? b_ : a_) || !fits_tiles(shape, is_a)) return false;
  } else if (!multiplies(a_) || !multiplies(b_)) {
    return false;
  }
  if (shape.depth.extent == 0 || shape.terms.extent() == 0) return false;
  // The kernel library counts strides without a sign.
  for (const plan::Access* access : {&kernel_.a, &kernel_.b})
    for (const int64_t stride : access->strides)
      if (stride < 0) return false;
  // Products of further terms are added where the first ones already are.
  const bool is_direct = out_ == plan::PlanDtype::f32 && (shape.rows.out == 1 || shape.columns.out == 1);
  if (!is_direct && shape.terms.extent() > 1) return false;
  const auto [less, more] = std::minmax(shape.rows.extent, shape.columns.extent);
  return less >= least_rows && more >= least_columns;
}

// Whether whole rows of the matrix lie along one axis of the product, and its rows along the other.
bool ContractGemm::fits_tiles(const ContractShape& shape, bool is_a) const {
  const plan::Access& access = is_a ? kernel_.a : kernel_.b;
  const int64_t length = kernel_.slots[static_cast<size_t>(access.slot)].row_length;
  const auto stride = [&](const ContractAxis& axis) { return is_a ? axis.a : axis.b; };
  const ContractAxis& columns = is_a ? shape.rows : shape.columns;
  const auto along = [&](const ContractAxis& axis) { return stride(axis) == 1 && axis.extent == length; };
  const auto across = [&](const ContractAxis& axis) { return stride(axis) == length; };
  if (!(along(columns) && across(shape.depth)) && !(across(columns) && along(shape.depth))) return false;
  bool whole = access.offset.constant % length == 0;
  for (const plan::AffineTerm& term : access.offset.terms) whole = whole && term.factor % length == 0;
  for (const ContractAxes* axes : {&shape.batch, &shape.terms})
    for (size_t i = 0; i < axes->count; ++i) whole = whole && stride(axes->at[i]) % length == 0;
  return whole;
}

void ContractGemm::execute(const ContractShape& shape, const StepBinding& step, Worker& worker) const noexcept {
  const auto memory = [&](const plan::Access& access, plan::PlanDtype dtype) {
    char* data = step.slots[static_cast<size_t>(access.slot)].data;
    return is_blocks(dtype) ? data : data + plan::evaluate(access.offset, worker.symbols) * plan::element_bytes(dtype);
  };
  Run run = prepare(shape);
  if (is_blocks(a_) || is_blocks(b_))
    run.first = plan::evaluate((is_blocks(a_) ? kernel_.a : kernel_.b).offset, worker.symbols);
  run.a = memory(kernel_.a, a_);
  run.b = memory(kernel_.b, b_);
  run.out = memory(kernel_.out, out_);
  const int64_t batch = shape.batch.extent();
  const auto count = [](int64_t extent, int64_t tile) { return (extent + tile - 1) / tile; };
  const auto tiles = [&] { return count(run.rows.extent, run.tile_rows) * count(run.columns.extent, run.tile_columns); };
  // For one tile of columns alone, nothing would be packed twice.
  const bool packs = shared_ > 0 && batch == 1 && shape.terms.extent() == 1 && run.columns.extent > most_tile_columns;
  if (packs) run.tile_columns = most_packed_tile_columns;
  const int64_t wanted = worker.threads == 1 ? 1 : worker.threads * tiles_per_thread;
  while (batch * tiles() < wanted && run.tile_rows > least_tile_rows) run.tile_rows /= 2;
  while (batch * tiles() < wanted && run.tile_columns > least_tile_columns) run.tile_columns /= 2;
  const int64_t by_rows = count(run.rows.extent, run.tile_rows), all = tiles();
  if (packs && packed_tile_bytes(run, worker.kernels) * static_cast<size_t>(by_rows) <= shared_) {
    run.packed = worker.shared;
    pack_rows(run, worker);
    if (worker.barrier()) return;
  }
  int64_t begin, end;
  while (worker.take(batch * all, 1, begin, end)) {
    const int64_t item = begin % all;
    Tile tile{shape.batch.offsets(begin / all), item % by_rows * run.tile_rows, 0, item / by_rows * run.tile_columns, 0};
    tile.rows = std::min(run.tile_rows, run.rows.extent - tile.row);
    tile.columns = std::min(run.tile_columns, run.columns.extent - tile.column);
    multiply(run, tile, worker);
  }
}

void ContractGemm::pack_rows(const Run& run, Worker& worker) const noexcept {
  const size_t tile_bytes = packed_tile_bytes(run, worker.kernels);
  GemmArguments g{};
  g.depth = static_cast<size_t>(run.shape.depth.extent);
  g.a_type = kernel_dtype(run.is_turned ? b_ : a_);
  g.w_type = kernel_dtype(run.is_turned ? a_ : b_);
  g.a_row_stride = static_cast<size_t>(run.is_turned ? run.rows.b : run.rows.a);
  g.a_depth_stride = static_cast<size_t>(run.is_turned ? run.shape.depth.b : run.shape.depth.a);
  const auto rows_of_tile = [&](int64_t tile) { return std::min(run.tile_rows, run.rows.extent - tile * run.tile_rows); };
  const auto items_of = [&](int64_t rows) {
    return static_cast<int64_t>(worker.kernels.pack_a_items(static_cast<size_t>(rows), g.depth, g.a_type, g.w_type));
  };
  const int64_t tiles = (run.rows.extent + run.tile_rows - 1) / run.tile_rows;
  const int64_t full = items_of(run.tile_rows), last = items_of(rows_of_tile(tiles - 1));
  const int64_t element = plan::element_bytes(run.is_turned ? b_ : a_);
  int64_t begin, end;
  while (worker.take((tiles - 1) * full + last, packed_at_once, begin, end))
    while (begin < end) {
      const int64_t tile = std::min(begin / full, tiles - 1);
      const int64_t stop = tile == tiles - 1 ? end : std::min(end, (tile + 1) * full);
      g.rows = static_cast<size_t>(rows_of_tile(tile));
      g.a = (run.is_turned ? run.b : run.a) + tile * run.tile_rows * static_cast<int64_t>(g.a_row_stride) * element;
      worker.kernels.pack_a(g, worker.shared + static_cast<size_t>(tile) * tile_bytes, static_cast<size_t>(begin - tile * full),
                            static_cast<size_t>(stop - tile * full));
      begin = stop;
    }
}

void ContractGemm::multiply(const Run& run, const Tile& tile, Worker& worker) const noexcept {
  const auto address = [](auto* memory, int64_t element, plan::PlanDtype dtype) {
    return memory + element * plan::element_bytes(dtype);
  };
  const ContractAxis& depth = run.shape.depth;
  const bool turned = run.is_turned;
  char* out = address(run.out, tile.batch.out + tile.row * run.rows.out + tile.column * run.columns.out, out_);
  const bool is_direct = out_ == plan::PlanDtype::f32 && (run.columns.out == 1 || tile.columns == 1);
  float* products = reinterpret_cast<float*>(worker.scratch + products_);
  GemmArguments g{};
  g.rows = static_cast<size_t>(tile.rows);
  g.columns = static_cast<size_t>(tile.columns);
  g.depth = static_cast<size_t>(depth.extent);
  g.a_type = kernel_dtype(turned ? b_ : a_);
  g.w_type = kernel_dtype(turned ? a_ : b_);
  g.a_row_stride = static_cast<size_t>(turned ? run.rows.b : run.rows.a);
  g.a_depth_stride = static_cast<size_t>(turned ? depth.b : depth.a);
  g.w_column_stride = static_cast<size_t>(turned ? run.columns.a : run.columns.b);
  g.w_depth_stride = static_cast<size_t>(turned ? depth.a : depth.b);
  g.scratch = worker.scratch;
  if (run.packed != nullptr)
    g.packed_a = run.packed + static_cast<size_t>(tile.row / run.tile_rows) * packed_tile_bytes(run, worker.kernels);
  const int64_t terms = run.shape.terms.extent();
  for (int64_t term = 0; term < terms; ++term) {
    const ContractAxis at = run.shape.terms.offsets(term);
    const int64_t a_first = tile.batch.a + at.a + (turned ? tile.column * run.columns.a : tile.row * run.rows.a);
    const int64_t b_first = tile.batch.b + at.b + (turned ? tile.row * run.rows.b : tile.column * run.columns.b);
    const char* a = is_blocks(a_) ? run.a : address(run.a, a_first, a_);
    const char* b = is_blocks(b_) ? run.b : address(run.b, b_first, b_);
    g.a = turned ? b : a;
    g.w = turned ? a : b;
    Nvfp4Operand tiles{};
    if (is_blocks(turned ? a_ : b_)) {
      const plan::Access& access = turned ? kernel_.a : kernel_.b;
      const int64_t length = kernel_.slots[static_cast<size_t>(access.slot)].row_length;
      const int64_t element = run.first + (turned ? a_first : b_first);
      const bool depth_is_rows = (turned ? depth.a : depth.b) == length && length != 1;
      tiles = {static_cast<const uint8_t*>(g.w), static_cast<size_t>(length), static_cast<size_t>(element / length),
               static_cast<size_t>(element % length), depth_is_rows};
      g.w_tiles = &tiles;
    }
    // Further terms are added to the first one's products.
    const bool to_result = is_direct && term == 0;
    g.c = to_result ? reinterpret_cast<float*>(out) : products;
    g.c_stride = to_result ? static_cast<size_t>(run.rows.out) : g.columns;
    worker.kernels.gemm_panel(g);
    if (to_result || !is_direct) continue;
    for (size_t row = 0; row < g.rows; ++row) {
      float* sums = reinterpret_cast<float*>(out) + static_cast<int64_t>(row) * run.rows.out;
      worker.kernels.binary[static_cast<size_t>(BinaryOp::add)](sums, sums, products + row * g.columns, g.columns);
    }
  }
  if (is_direct) return;
  for (size_t row = 0; row < g.rows; ++row)
    write_strided(worker.kernels, address(out, static_cast<int64_t>(row) * run.rows.out, out_), out_, run.columns.out,
                  products + row * g.columns, g.columns);
}

}  // namespace weft::cpu
