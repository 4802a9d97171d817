// Generated from packages/compiler/src/plan/types.ts by scripts/generate/plan-header.ts (npm run generate). Do not edit.
#pragma once

#include <napi.h>

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace weft::plan {

inline constexpr int64_t plan_version = 4;

// A run-time integer. With `sum`, its value is the sum of these symbols (indices); else the caller of `run` gives it.
struct PlanSymbol {
  std::string name{};
  // The largest value that memory is planned for.
  int64_t max = 0;
  std::vector<int64_t> sum{};
};

// `weights` are bound by name at load, `state` lives from run to run, the other classes belong to one program.
enum class BufferClass { weights, state, activations, input, output };
const char* name_of(BufferClass value);

// `f8e4m3` holds weights only, `nvfp4` lies in tiles: docs/numerics.md.
enum class PlanDtype { f32, bf16, f16, f8e4m3, nvfp4, i32, i8 };
const char* name_of(PlanDtype value);

struct PlanBuffer {
  std::string name{};
  BufferClass class_{};
  PlanDtype dtype{};
  // Largest sizes, outermost first, C order.
  std::vector<int64_t> shape{};
  int64_t bytes = 0;
  // Byte offset in the arena of its class, a multiple of 256; 0 for weights, which are mapped one by one.
  int64_t offset = 0;
  // Of a state that grows with a context, such as a KV cache: the axis of `shape` along which positions lie. -1 for every
  // other buffer. Only such states are saved, put back and shifted: weights under training are states as well.
  int64_t positions = 0;
};

struct AffineTerm {
  // Index into `Plan.symbols`.
  int64_t symbol = 0;
  int64_t factor = 0;
};

// `constant + sum of factor x symbol`.
struct Affine {
  int64_t constant = 0;
  std::vector<AffineTerm> terms{};
};

// One axis of a loop nest.
struct Loop {
  std::string axis{};
  Affine extent{};
};

// Where one value per loop index lies in a slot: `offset + sum(strides[i] * index[i]) + rowStride * column`.
struct Access {
  int64_t slot = 0;
  Affine offset{};
  // One stride per loop, outermost first; 0 broadcasts.
  std::vector<int64_t> strides{};
  // Stride along the row; 0 broadcasts one value, 1 is contiguous.
  int64_t row_stride = 0;
};

struct LoadInstruction {
  Access access{};
  Affine length{};
};

// Loads the row that register `index` (a scalar) names: `access` plus `index * indexStride`, 0 <= index < bound.
struct GatherInstruction {
  Access access{};
  int64_t index = 0;
  int64_t index_stride = 0;
  int64_t bound = 0;
  Affine length{};
};

enum class ConstantInstructionSpecial { none, inf, minus_inf, nan };
const char* name_of(ConstantInstructionSpecial value);

struct ConstantInstruction {
  // A number, or one of the words for values that JSON cannot hold.
  double value = 0;
  // "" for a finite value, else "inf", "-inf" or "nan".
  ConstantInstructionSpecial special{};
};

// The index of a loop (`loop` >= 0: a scalar) or of the row's column (`loop` = -1: a vector), plus `offset`.
struct IndexInstruction {
  int64_t loop = 0;
  Affine offset{};
  Affine length{};
};

// In an epilogue: the finished products of the group's weight `weight` for this row of columns.
struct AccumulatorInstruction {
  int64_t weight = 0;
  Affine length{};
};

enum class UnaryName { neg, abs, exp, log, sqrt, rsqrt, reciprocal, sin, cos, tanh, sigmoid, floor };
const char* name_of(UnaryName value);

struct UnaryInstruction {
  UnaryName function{};
  int64_t operand = 0;
};

enum class BinaryName { add, sub, mul, div, max, min, pow, less, less_equal, equal };
const char* name_of(BinaryName value);

// Operands of equal length, or one of them a scalar.
struct BinaryInstruction {
  BinaryName function{};
  int64_t left = 0;
  int64_t right = 0;
};

struct SelectInstruction {
  int64_t condition = 0;
  int64_t then = 0;
  int64_t otherwise = 0;
};

// Rounds to the values of a narrower type, nearest even; registers stay f32. `i32` truncates toward zero, saturates, and makes NaN 0.
struct RoundInstruction {
  PlanDtype dtype{};
  int64_t operand = 0;
};

// Rounds to bf16 up or down by 16 random bits (op `stochasticRound`); key and stream are scalars. The bits belong to the
// element's place in its tensor: `sum(strides[i] * index[i]) + rowStride * column`.
struct StochasticRoundInstruction {
  int64_t operand = 0;
  int64_t key_low = 0;
  int64_t key_high = 0;
  int64_t stream = 0;
  // One stride per loop, outermost first.
  std::vector<int64_t> strides{};
  int64_t row_stride = 0;
};

// Blocks of 16 along the row in NVFP4 (op `quantizeNvfp4`); the register holds code times scale. Rows are whole blocks. A
// store into a slot of nvfp4 names such an instruction and writes its codes and scales.
struct QuantizeNvfp4Instruction {
  int64_t operand = 0;
  // A scalar.
  int64_t encode_scale = 0;
  bool four_over_six = false;
  bool non_zero = false;
  // None, or scalars for rounding by chance: keyLow, keyHigh and stream. The bits belong to the element's place.
  std::vector<int64_t> random{};
  // One stride per loop, outermost first.
  std::vector<int64_t> strides{};
  int64_t row_stride = 0;
};

enum class ReduceInstructionFunction { sum, max };
const char* name_of(ReduceInstructionFunction value);

// A row to a scalar. Sums accumulate in f32 over several partial sums in a fixed order.
struct ReduceInstruction {
  ReduceInstructionFunction function{};
  int64_t operand = 0;
};

// Columns [start, start + length) of a row.
struct SliceInstruction {
  int64_t operand = 0;
  int64_t start = 0;
  int64_t length = 0;
};

// Rows end to end.
struct ConcatInstruction {
  std::vector<int64_t> operands{};
};

// Writes a register; a scalar with `length` > 1 is repeated. Produces no register value of its own (length 0).
struct StoreInstruction {
  Access access{};
  int64_t operand = 0;
  Affine length{};
};

// One instruction of a row program, in single-assignment form: instruction i writes register i. A register holds
// `length` f32 values (1: a scalar, which broadcasts). Integers are exact up to 2^24.
using Instruction = std::variant<LoadInstruction, GatherInstruction, ConstantInstruction, IndexInstruction, AccumulatorInstruction, UnaryInstruction, BinaryInstruction, SelectInstruction, RoundInstruction, StochasticRoundInstruction, QuantizeNvfp4Instruction, ReduceInstruction, SliceInstruction, ConcatInstruction, StoreInstruction>;

// Loops over rows; each row runs the body once. Rows are independent and may run in any order or at once.
struct RowProgram {
  std::vector<Loop> loops{};
  // The innermost axis.
  Loop row{};
  std::vector<Instruction> body{};
};

enum class SlotAccess { read, write, update };
const char* name_of(SlotAccess value);

struct Slot {
  std::string name{};
  PlanDtype dtype{};
  SlotAccess access{};
  // Of nvfp4, whose layout depends on it: elements of a row, the last size of the buffer. Else 0.
  int64_t row_length = 0;
};

// Pointwise chains, row reductions (norms, softmax, amax), gathers, moves.
struct RowsKernel {
  std::string name{};
  std::vector<Slot> slots{};
  RowProgram program{};
};

// Columns that share one epilogue. All weights of a group have the same columns and are worked through together
// (gate and up); groups of one kernel share the input (q, k and v).
struct MatmulGroup {
  // Slots of row-major weights [columns][contracted].
  std::vector<int64_t> weights{};
  int64_t columns = 0;
  // Loops: the kernel's rows, then loops over columns. Its row times its column loops are the `columns`. When the
  // body neither reduces, slices nor concatenates, a row may be cut into chunks anywhere.
  RowProgram epilogue{};
};

// `accumulator[m][n] = sum over k of x[m][k] * weight[n][k]`, f32. The rows x come from the prologue's last
// instruction's register (its loops are the rows, its row axis is K), rounded and stored as `inputDtype`.
struct MatmulKernel {
  std::string name{};
  std::vector<Slot> slots{};
  // The row axes, flattened to M; the leading loops of prologue and epilogues.
  std::vector<Loop> rows{};
  int64_t contracted = 0;
  PlanDtype input_dtype{};
  // Products with weights in nvfp4 are the same sums whatever the number of rows: units that add up tiles otherwise are not
  // used. So of a training step, whose forward pass then agrees to the bit with decoding.
  bool ordered_sums = false;
  RowProgram prologue{};
  std::vector<MatmulGroup> groups{};
};

// Strides in elements of a [position][head][headDim] operand with headDim contiguous.
struct HeadsAccess {
  int64_t slot = 0;
  Affine offset{};
  int64_t position_stride = 0;
  int64_t head_stride = 0;
};

// Grouped-query attention with online softmax in f32: `softmax(scale * q k^T + mask) v`. Query i sees key j when not
// causal, or when j <= past + i. Query head h reads key head floor(h / (heads / kvHeads)).
struct AttentionKernel {
  std::string name{};
  std::vector<Slot> slots{};
  Affine queries{};
  Affine keys{};
  Affine past{};
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  double scale = 0;
  bool causal = false;
  HeadsAccess query{};
  HeadsAccess key{};
  HeadsAccess value{};
  HeadsAccess output{};
};

// Attention of a training step, forward: as AttentionKernel, and beside the result the number from which the backward
// direction computes the weights again. Query i sees the keys starts[i] <= j <= past + i where it is causal.
struct AttentionForwardKernel {
  std::string name{};
  std::vector<Slot> slots{};
  Affine queries{};
  Affine keys{};
  Affine past{};
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  double scale = 0;
  bool causal = false;
  HeadsAccess query{};
  HeadsAccess key{};
  HeadsAccess value{};
  // None or one, i32: strides of the position; causal only.
  std::vector<Access> starts{};
  // None or one, f32.
  std::vector<HeadsAccess> outputs{};
  // None or one, f32: log(sum(exp(scale * q k^T))), strides of position and head.
  std::vector<Access> log_sum_exps{};
};

// The cotangents of queries, keys and values of an AttentionForwardKernel, all f32.
struct AttentionBackwardKernel {
  std::string name{};
  std::vector<Slot> slots{};
  Affine queries{};
  Affine keys{};
  Affine past{};
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  double scale = 0;
  bool causal = false;
  HeadsAccess query{};
  HeadsAccess key{};
  HeadsAccess value{};
  // None or one, i32: strides of the position; causal only.
  std::vector<Access> starts{};
  // What the forward direction gave, and its cotangent.
  HeadsAccess result{};
  HeadsAccess cotangent{};
  // f32: strides of position and head.
  Access log_sum_exp{};
  HeadsAccess query_gradient{};
  HeadsAccess key_gradient{};
  HeadsAccess value_gradient{};
};

// The `count` largest elements of each row, largest first: value and index, both f32. Of equal elements (0 and -0 are
// equal) the one of the lower index comes first, NaN before all others.
struct TopKKernel {
  std::string name{};
  std::vector<Slot> slots{};
  std::vector<Loop> loops{};
  // Elements of a row of the input: `count` to 2^24.
  int64_t length = 0;
  // 1 to 32.
  int64_t count = 0;
  Access input{};
  // The row is `count` pairs, end to end: `rowStride` is 1.
  Access output{};
};

// The head of a language model with its loss, a chunk of positions after the other, so that the scores of one chunk are
// all that exists of them: `scores = x weight^T`, `loss = log(sum(exp(scores))) - the target's score`, and back from
// there with `slopes = (softmax(scores) - 1 at the target) * cotangent`. A target below 0 masks its position.
struct LinearCrossEntropyKernel {
  std::string name{};
  std::vector<Slot> slots{};
  Affine positions{};
  // Positions of a chunk, at most.
  int64_t chunk = 0;
  int64_t contracted = 0;
  int64_t classes = 0;
  // Strides of the position; `rowStride` 1.
  Access input{};
  // Slot of the row-major weight [classes][contracted].
  int64_t weight = 0;
  // i32, strides of the position.
  Access targets{};
  // Slot of f32 [chunk][classes], of no use to anybody else.
  int64_t scores = 0;
  // None or one, f32, strides of the position.
  std::vector<Access> losses{};
  // None or one, f32, strides of the position; without it nothing goes back.
  std::vector<Access> cotangents{};
  // What the slopes are rounded to before they are multiplied.
  PlanDtype slope_dtype{};
  // None or one, f32, like the input: slopes weight.
  std::vector<Access> input_gradients{};
  // None or one, f32: slopes^T input, strides of the class; `rowStride` 1.
  std::vector<Access> weight_gradients{};
};

// Rows added up where their indices say: `out[r] = addend[r] + the sum of updates[p] over all positions p whose index is
// r`, in f32 and in the order of the positions. A row that no index names is that of the addend, or zero.
struct ScatterAddKernel {
  std::string name{};
  std::vector<Slot> slots{};
  // The axes of the indices.
  std::vector<Loop> positions{};
  // The other axes of the updates, and of the result behind the one that the indices count along.
  std::vector<Loop> loops{};
  Loop row{};
  // Rows of the result: 0 <= index < bound.
  Affine bound{};
  // Strides: positions.
  Access indices{};
  // Strides: positions, then loops.
  Access updates{};
  // Strides: the axis of the result, then loops. Nothing lies between the elements: `rowStride` is 1.
  Access out{};
  // None or one, f32, with the strides of `out`. It may be the very memory of `out`.
  std::vector<Access> addends{};
};

// A general contraction by strides: the route of unfused plans. out[loops] = sum over contracted of a * b.
struct ContractKernel {
  std::string name{};
  std::vector<Slot> slots{};
  std::vector<Loop> loops{};
  std::vector<Loop> contracted{};
  // Strides of `a` and `b`: loops first, then contracted; `rowStride` is unused and 0.
  Access a{};
  Access b{};
  // Strides: loops only.
  Access out{};
};

using Kernel = std::variant<RowsKernel, MatmulKernel, AttentionKernel, AttentionForwardKernel, AttentionBackwardKernel, TopKKernel, LinearCrossEntropyKernel, ScatterAddKernel, ContractKernel>;

// One kernel on certain buffers.
struct PlanStep {
  // Index into `Plan.kernels`.
  int64_t kernel = 0;
  // One buffer (index into `Plan.buffers`) per slot of the kernel.
  std::vector<int64_t> bindings{};
  // Paths of the blocks that this step came from.
  std::vector<std::string> origins{};
};

struct PlanPort {
  std::string name{};
  int64_t buffer = 0;
  // Sizes at run time, outermost first.
  std::vector<Affine> shape{};
};

// One way to run: `prefill`, `decode`. Programs share weights, state, kernels and the activations arena.
struct PlanProgram {
  std::string name{};
  std::vector<PlanPort> inputs{};
  std::vector<PlanPort> outputs{};
  std::vector<PlanStep> steps{};
};

// Arena sizes in bytes. Weights count once; the activations arena is the largest that any program needs.
struct PlanMemory {
  int64_t weights = 0;
  int64_t state = 0;
  int64_t activations = 0;
  int64_t input = 0;
  int64_t output = 0;
};

struct Plan {
  int64_t version = 0;
  std::string name{};
  std::string target{};
  // SHA-256 over the rest, in hexadecimal.
  std::string hash{};
  std::vector<PlanSymbol> symbols{};
  std::vector<PlanBuffer> buffers{};
  std::vector<Kernel> kernels{};
  std::vector<PlanProgram> programs{};
  PlanMemory memory{};
};

// Reads a plain object. Throws weft::Error, with the place, on anything missing or of the wrong type. Says nothing
// about whether the numbers make sense: see validate.h.
Plan read_plan(const Napi::Value& value);

// The same plan as a plain object again.
Napi::Value write_plan(Napi::Env env, const Plan& plan);

}  // namespace weft::plan
