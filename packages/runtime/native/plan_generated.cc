// Generated from packages/compiler/src/plan/types.ts by scripts/generate/plan-header.ts (npm run generate). Do not edit.
#include "plan_generated.h"

#include "plan_reader.h"

namespace weft::plan {

static void read(const Napi::Value& value, const Place& at, PlanSymbol& out);
static void read(const Napi::Value& value, const Place& at, PlanBuffer& out);
static void read(const Napi::Value& value, const Place& at, AffineTerm& out);
static void read(const Napi::Value& value, const Place& at, Affine& out);
static void read(const Napi::Value& value, const Place& at, Loop& out);
static void read(const Napi::Value& value, const Place& at, Access& out);
static void read(const Napi::Value& value, const Place& at, LoadInstruction& out);
static void read(const Napi::Value& value, const Place& at, GatherInstruction& out);
static void read(const Napi::Value& value, const Place& at, ConstantInstruction& out);
static void read(const Napi::Value& value, const Place& at, IndexInstruction& out);
static void read(const Napi::Value& value, const Place& at, AccumulatorInstruction& out);
static void read(const Napi::Value& value, const Place& at, UnaryInstruction& out);
static void read(const Napi::Value& value, const Place& at, BinaryInstruction& out);
static void read(const Napi::Value& value, const Place& at, SelectInstruction& out);
static void read(const Napi::Value& value, const Place& at, RoundInstruction& out);
static void read(const Napi::Value& value, const Place& at, StochasticRoundInstruction& out);
static void read(const Napi::Value& value, const Place& at, QuantizeNvfp4Instruction& out);
static void read(const Napi::Value& value, const Place& at, ReduceInstruction& out);
static void read(const Napi::Value& value, const Place& at, SliceInstruction& out);
static void read(const Napi::Value& value, const Place& at, ConcatInstruction& out);
static void read(const Napi::Value& value, const Place& at, StoreInstruction& out);
static void read(const Napi::Value& value, const Place& at, RowProgram& out);
static void read(const Napi::Value& value, const Place& at, Slot& out);
static void read(const Napi::Value& value, const Place& at, RowsKernel& out);
static void read(const Napi::Value& value, const Place& at, MatmulGroup& out);
static void read(const Napi::Value& value, const Place& at, MatmulKernel& out);
static void read(const Napi::Value& value, const Place& at, HeadsAccess& out);
static void read(const Napi::Value& value, const Place& at, AttentionKernel& out);
static void read(const Napi::Value& value, const Place& at, AttentionForwardKernel& out);
static void read(const Napi::Value& value, const Place& at, AttentionBackwardKernel& out);
static void read(const Napi::Value& value, const Place& at, TopKKernel& out);
static void read(const Napi::Value& value, const Place& at, LinearCrossEntropyKernel& out);
static void read(const Napi::Value& value, const Place& at, ScatterAddKernel& out);
static void read(const Napi::Value& value, const Place& at, ContractKernel& out);
static void read(const Napi::Value& value, const Place& at, PlanStep& out);
static void read(const Napi::Value& value, const Place& at, PlanPort& out);
static void read(const Napi::Value& value, const Place& at, PlanProgram& out);
static void read(const Napi::Value& value, const Place& at, PlanMemory& out);
static void read(const Napi::Value& value, const Place& at, Plan& out);

static void read(const Napi::Value& value, const Place& at, PlanSymbol& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "name", out.name);
  read_field(object, at, "max", out.max);
  read_field(object, at, "sum", out.sum);
}
static Napi::Value write(Napi::Env env, const PlanSymbol& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("name", write(env, value.name));
  object.Set("max", write(env, value.max));
  object.Set("sum", write(env, value.sum));
  return object;
}

static constexpr const char* names_of_BufferClass[] = {"weights", "state", "activations", "input", "output"};
const char* name_of(BufferClass value) { return names_of_BufferClass[static_cast<size_t>(value)]; }
static void read(const Napi::Value& value, const Place& at, BufferClass& out) {
  out = static_cast<BufferClass>(read_word(value, at, names_of_BufferClass, 5));
}
static Napi::Value write(Napi::Env env, BufferClass value) { return Napi::String::New(env, name_of(value)); }

static constexpr const char* names_of_PlanDtype[] = {"f32", "bf16", "f16", "f8e4m3", "nvfp4", "i32", "i8"};
const char* name_of(PlanDtype value) { return names_of_PlanDtype[static_cast<size_t>(value)]; }
static void read(const Napi::Value& value, const Place& at, PlanDtype& out) {
  out = static_cast<PlanDtype>(read_word(value, at, names_of_PlanDtype, 7));
}
static Napi::Value write(Napi::Env env, PlanDtype value) { return Napi::String::New(env, name_of(value)); }

static void read(const Napi::Value& value, const Place& at, PlanBuffer& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "name", out.name);
  read_field(object, at, "class", out.class_);
  read_field(object, at, "dtype", out.dtype);
  read_field(object, at, "shape", out.shape);
  read_field(object, at, "bytes", out.bytes);
  read_field(object, at, "offset", out.offset);
  read_field(object, at, "positions", out.positions);
}
static Napi::Value write(Napi::Env env, const PlanBuffer& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("name", write(env, value.name));
  object.Set("class", write(env, value.class_));
  object.Set("dtype", write(env, value.dtype));
  object.Set("shape", write(env, value.shape));
  object.Set("bytes", write(env, value.bytes));
  object.Set("offset", write(env, value.offset));
  object.Set("positions", write(env, value.positions));
  return object;
}

static void read(const Napi::Value& value, const Place& at, AffineTerm& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "symbol", out.symbol);
  read_field(object, at, "factor", out.factor);
}
static Napi::Value write(Napi::Env env, const AffineTerm& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("symbol", write(env, value.symbol));
  object.Set("factor", write(env, value.factor));
  return object;
}

static void read(const Napi::Value& value, const Place& at, Affine& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "constant", out.constant);
  read_field(object, at, "terms", out.terms);
}
static Napi::Value write(Napi::Env env, const Affine& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("constant", write(env, value.constant));
  object.Set("terms", write(env, value.terms));
  return object;
}

static void read(const Napi::Value& value, const Place& at, Loop& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "axis", out.axis);
  read_field(object, at, "extent", out.extent);
}
static Napi::Value write(Napi::Env env, const Loop& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("axis", write(env, value.axis));
  object.Set("extent", write(env, value.extent));
  return object;
}

static void read(const Napi::Value& value, const Place& at, Access& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "slot", out.slot);
  read_field(object, at, "offset", out.offset);
  read_field(object, at, "strides", out.strides);
  read_field(object, at, "rowStride", out.row_stride);
}
static Napi::Value write(Napi::Env env, const Access& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("slot", write(env, value.slot));
  object.Set("offset", write(env, value.offset));
  object.Set("strides", write(env, value.strides));
  object.Set("rowStride", write(env, value.row_stride));
  return object;
}

static void read(const Napi::Value& value, const Place& at, LoadInstruction& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "access", out.access);
  read_field(object, at, "length", out.length);
}
static Napi::Value write(Napi::Env env, const LoadInstruction& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", "load");
  object.Set("access", write(env, value.access));
  object.Set("length", write(env, value.length));
  return object;
}

static void read(const Napi::Value& value, const Place& at, GatherInstruction& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "access", out.access);
  read_field(object, at, "index", out.index);
  read_field(object, at, "indexStride", out.index_stride);
  read_field(object, at, "bound", out.bound);
  read_field(object, at, "length", out.length);
}
static Napi::Value write(Napi::Env env, const GatherInstruction& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", "gather");
  object.Set("access", write(env, value.access));
  object.Set("index", write(env, value.index));
  object.Set("indexStride", write(env, value.index_stride));
  object.Set("bound", write(env, value.bound));
  object.Set("length", write(env, value.length));
  return object;
}

static constexpr const char* names_of_ConstantInstructionSpecial[] = {"", "inf", "-inf", "nan"};
const char* name_of(ConstantInstructionSpecial value) { return names_of_ConstantInstructionSpecial[static_cast<size_t>(value)]; }
static void read(const Napi::Value& value, const Place& at, ConstantInstructionSpecial& out) {
  out = static_cast<ConstantInstructionSpecial>(read_word(value, at, names_of_ConstantInstructionSpecial, 4));
}
static Napi::Value write(Napi::Env env, ConstantInstructionSpecial value) { return Napi::String::New(env, name_of(value)); }

static void read(const Napi::Value& value, const Place& at, ConstantInstruction& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "value", out.value);
  read_field(object, at, "special", out.special);
}
static Napi::Value write(Napi::Env env, const ConstantInstruction& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", "constant");
  object.Set("value", write(env, value.value));
  object.Set("special", write(env, value.special));
  return object;
}

static void read(const Napi::Value& value, const Place& at, IndexInstruction& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "loop", out.loop);
  read_field(object, at, "offset", out.offset);
  read_field(object, at, "length", out.length);
}
static Napi::Value write(Napi::Env env, const IndexInstruction& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", "index");
  object.Set("loop", write(env, value.loop));
  object.Set("offset", write(env, value.offset));
  object.Set("length", write(env, value.length));
  return object;
}

static void read(const Napi::Value& value, const Place& at, AccumulatorInstruction& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "weight", out.weight);
  read_field(object, at, "length", out.length);
}
static Napi::Value write(Napi::Env env, const AccumulatorInstruction& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", "accumulator");
  object.Set("weight", write(env, value.weight));
  object.Set("length", write(env, value.length));
  return object;
}

static constexpr const char* names_of_UnaryName[] = {"neg", "abs", "exp", "log", "sqrt", "rsqrt", "reciprocal", "sin", "cos", "tanh", "sigmoid", "floor"};
const char* name_of(UnaryName value) { return names_of_UnaryName[static_cast<size_t>(value)]; }
static void read(const Napi::Value& value, const Place& at, UnaryName& out) {
  out = static_cast<UnaryName>(read_word(value, at, names_of_UnaryName, 12));
}
static Napi::Value write(Napi::Env env, UnaryName value) { return Napi::String::New(env, name_of(value)); }

static void read(const Napi::Value& value, const Place& at, UnaryInstruction& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "function", out.function);
  read_field(object, at, "operand", out.operand);
}
static Napi::Value write(Napi::Env env, const UnaryInstruction& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", "unary");
  object.Set("function", write(env, value.function));
  object.Set("operand", write(env, value.operand));
  return object;
}

static constexpr const char* names_of_BinaryName[] = {"add", "sub", "mul", "div", "max", "min", "pow", "less", "lessEqual", "equal"};
const char* name_of(BinaryName value) { return names_of_BinaryName[static_cast<size_t>(value)]; }
static void read(const Napi::Value& value, const Place& at, BinaryName& out) {
  out = static_cast<BinaryName>(read_word(value, at, names_of_BinaryName, 10));
}
static Napi::Value write(Napi::Env env, BinaryName value) { return Napi::String::New(env, name_of(value)); }

static void read(const Napi::Value& value, const Place& at, BinaryInstruction& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "function", out.function);
  read_field(object, at, "left", out.left);
  read_field(object, at, "right", out.right);
}
static Napi::Value write(Napi::Env env, const BinaryInstruction& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", "binary");
  object.Set("function", write(env, value.function));
  object.Set("left", write(env, value.left));
  object.Set("right", write(env, value.right));
  return object;
}

static void read(const Napi::Value& value, const Place& at, SelectInstruction& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "condition", out.condition);
  read_field(object, at, "then", out.then);
  read_field(object, at, "otherwise", out.otherwise);
}
static Napi::Value write(Napi::Env env, const SelectInstruction& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", "select");
  object.Set("condition", write(env, value.condition));
  object.Set("then", write(env, value.then));
  object.Set("otherwise", write(env, value.otherwise));
  return object;
}

static void read(const Napi::Value& value, const Place& at, RoundInstruction& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "dtype", out.dtype);
  read_field(object, at, "operand", out.operand);
}
static Napi::Value write(Napi::Env env, const RoundInstruction& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", "round");
  object.Set("dtype", write(env, value.dtype));
  object.Set("operand", write(env, value.operand));
  return object;
}

static void read(const Napi::Value& value, const Place& at, StochasticRoundInstruction& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "operand", out.operand);
  read_field(object, at, "keyLow", out.key_low);
  read_field(object, at, "keyHigh", out.key_high);
  read_field(object, at, "stream", out.stream);
  read_field(object, at, "strides", out.strides);
  read_field(object, at, "rowStride", out.row_stride);
}
static Napi::Value write(Napi::Env env, const StochasticRoundInstruction& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", "stochasticRound");
  object.Set("operand", write(env, value.operand));
  object.Set("keyLow", write(env, value.key_low));
  object.Set("keyHigh", write(env, value.key_high));
  object.Set("stream", write(env, value.stream));
  object.Set("strides", write(env, value.strides));
  object.Set("rowStride", write(env, value.row_stride));
  return object;
}

static void read(const Napi::Value& value, const Place& at, QuantizeNvfp4Instruction& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "operand", out.operand);
  read_field(object, at, "encodeScale", out.encode_scale);
  read_field(object, at, "fourOverSix", out.four_over_six);
  read_field(object, at, "nonZero", out.non_zero);
  read_field(object, at, "random", out.random);
  read_field(object, at, "strides", out.strides);
  read_field(object, at, "rowStride", out.row_stride);
}
static Napi::Value write(Napi::Env env, const QuantizeNvfp4Instruction& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", "quantizeNvfp4");
  object.Set("operand", write(env, value.operand));
  object.Set("encodeScale", write(env, value.encode_scale));
  object.Set("fourOverSix", write(env, value.four_over_six));
  object.Set("nonZero", write(env, value.non_zero));
  object.Set("random", write(env, value.random));
  object.Set("strides", write(env, value.strides));
  object.Set("rowStride", write(env, value.row_stride));
  return object;
}

static constexpr const char* names_of_ReduceInstructionFunction[] = {"sum", "max"};
const char* name_of(ReduceInstructionFunction value) { return names_of_ReduceInstructionFunction[static_cast<size_t>(value)]; }
static void read(const Napi::Value& value, const Place& at, ReduceInstructionFunction& out) {
  out = static_cast<ReduceInstructionFunction>(read_word(value, at, names_of_ReduceInstructionFunction, 2));
}
static Napi::Value write(Napi::Env env, ReduceInstructionFunction value) { return Napi::String::New(env, name_of(value)); }

static void read(const Napi::Value& value, const Place& at, ReduceInstruction& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "function", out.function);
  read_field(object, at, "operand", out.operand);
}
static Napi::Value write(Napi::Env env, const ReduceInstruction& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", "reduce");
  object.Set("function", write(env, value.function));
  object.Set("operand", write(env, value.operand));
  return object;
}

static void read(const Napi::Value& value, const Place& at, SliceInstruction& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "operand", out.operand);
  read_field(object, at, "start", out.start);
  read_field(object, at, "length", out.length);
}
static Napi::Value write(Napi::Env env, const SliceInstruction& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", "slice");
  object.Set("operand", write(env, value.operand));
  object.Set("start", write(env, value.start));
  object.Set("length", write(env, value.length));
  return object;
}

static void read(const Napi::Value& value, const Place& at, ConcatInstruction& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "operands", out.operands);
}
static Napi::Value write(Napi::Env env, const ConcatInstruction& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", "concat");
  object.Set("operands", write(env, value.operands));
  return object;
}

static void read(const Napi::Value& value, const Place& at, StoreInstruction& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "access", out.access);
  read_field(object, at, "operand", out.operand);
  read_field(object, at, "length", out.length);
}
static Napi::Value write(Napi::Env env, const StoreInstruction& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", "store");
  object.Set("access", write(env, value.access));
  object.Set("operand", write(env, value.operand));
  object.Set("length", write(env, value.length));
  return object;
}

static constexpr const char* kinds_of_Instruction[] = {"load", "gather", "constant", "index", "accumulator", "unary", "binary", "select", "round", "stochasticRound", "quantizeNvfp4", "reduce", "slice", "concat", "store"};
static void read(const Napi::Value& value, const Place& at, Instruction& out) {
  switch (read_kind(value, at, kinds_of_Instruction, 15)) {
    case 0: read(value, at, out.emplace<0>()); break;  // LoadInstruction
    case 1: read(value, at, out.emplace<1>()); break;  // GatherInstruction
    case 2: read(value, at, out.emplace<2>()); break;  // ConstantInstruction
    case 3: read(value, at, out.emplace<3>()); break;  // IndexInstruction
    case 4: read(value, at, out.emplace<4>()); break;  // AccumulatorInstruction
    case 5: read(value, at, out.emplace<5>()); break;  // UnaryInstruction
    case 6: read(value, at, out.emplace<6>()); break;  // BinaryInstruction
    case 7: read(value, at, out.emplace<7>()); break;  // SelectInstruction
    case 8: read(value, at, out.emplace<8>()); break;  // RoundInstruction
    case 9: read(value, at, out.emplace<9>()); break;  // StochasticRoundInstruction
    case 10: read(value, at, out.emplace<10>()); break;  // QuantizeNvfp4Instruction
    case 11: read(value, at, out.emplace<11>()); break;  // ReduceInstruction
    case 12: read(value, at, out.emplace<12>()); break;  // SliceInstruction
    case 13: read(value, at, out.emplace<13>()); break;  // ConcatInstruction
    case 14: read(value, at, out.emplace<14>()); break;  // StoreInstruction
  }
}
static Napi::Value write(Napi::Env env, const Instruction& value) {
  return std::visit([&](const auto& member) { return write(env, member); }, value);
}

static void read(const Napi::Value& value, const Place& at, RowProgram& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "loops", out.loops);
  read_field(object, at, "row", out.row);
  read_field(object, at, "body", out.body);
}
static Napi::Value write(Napi::Env env, const RowProgram& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("loops", write(env, value.loops));
  object.Set("row", write(env, value.row));
  object.Set("body", write(env, value.body));
  return object;
}

static constexpr const char* names_of_SlotAccess[] = {"read", "write", "update"};
const char* name_of(SlotAccess value) { return names_of_SlotAccess[static_cast<size_t>(value)]; }
static void read(const Napi::Value& value, const Place& at, SlotAccess& out) {
  out = static_cast<SlotAccess>(read_word(value, at, names_of_SlotAccess, 3));
}
static Napi::Value write(Napi::Env env, SlotAccess value) { return Napi::String::New(env, name_of(value)); }

static void read(const Napi::Value& value, const Place& at, Slot& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "name", out.name);
  read_field(object, at, "dtype", out.dtype);
  read_field(object, at, "access", out.access);
  read_field(object, at, "rowLength", out.row_length);
}
static Napi::Value write(Napi::Env env, const Slot& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("name", write(env, value.name));
  object.Set("dtype", write(env, value.dtype));
  object.Set("access", write(env, value.access));
  object.Set("rowLength", write(env, value.row_length));
  return object;
}

static void read(const Napi::Value& value, const Place& at, RowsKernel& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "name", out.name);
  read_field(object, at, "slots", out.slots);
  read_field(object, at, "program", out.program);
}
static Napi::Value write(Napi::Env env, const RowsKernel& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", "rows");
  object.Set("name", write(env, value.name));
  object.Set("slots", write(env, value.slots));
  object.Set("program", write(env, value.program));
  return object;
}

static void read(const Napi::Value& value, const Place& at, MatmulGroup& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "weights", out.weights);
  read_field(object, at, "columns", out.columns);
  read_field(object, at, "epilogue", out.epilogue);
}
static Napi::Value write(Napi::Env env, const MatmulGroup& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("weights", write(env, value.weights));
  object.Set("columns", write(env, value.columns));
  object.Set("epilogue", write(env, value.epilogue));
  return object;
}

static void read(const Napi::Value& value, const Place& at, MatmulKernel& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "name", out.name);
  read_field(object, at, "slots", out.slots);
  read_field(object, at, "rows", out.rows);
  read_field(object, at, "contracted", out.contracted);
  read_field(object, at, "inputDtype", out.input_dtype);
  read_field(object, at, "orderedSums", out.ordered_sums);
  read_field(object, at, "prologue", out.prologue);
  read_field(object, at, "groups", out.groups);
}
static Napi::Value write(Napi::Env env, const MatmulKernel& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", "matmul");
  object.Set("name", write(env, value.name));
  object.Set("slots", write(env, value.slots));
  object.Set("rows", write(env, value.rows));
  object.Set("contracted", write(env, value.contracted));
  object.Set("inputDtype", write(env, value.input_dtype));
  object.Set("orderedSums", write(env, value.ordered_sums));
  object.Set("prologue", write(env, value.prologue));
  object.Set("groups", write(env, value.groups));
  return object;
}

static void read(const Napi::Value& value, const Place& at, HeadsAccess& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "slot", out.slot);
  read_field(object, at, "offset", out.offset);
  read_field(object, at, "positionStride", out.position_stride);
  read_field(object, at, "headStride", out.head_stride);
}
static Napi::Value write(Napi::Env env, const HeadsAccess& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("slot", write(env, value.slot));
  object.Set("offset", write(env, value.offset));
  object.Set("positionStride", write(env, value.position_stride));
  object.Set("headStride", write(env, value.head_stride));
  return object;
}

static void read(const Napi::Value& value, const Place& at, AttentionKernel& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "name", out.name);
  read_field(object, at, "slots", out.slots);
  read_field(object, at, "queries", out.queries);
  read_field(object, at, "keys", out.keys);
  read_field(object, at, "past", out.past);
  read_field(object, at, "heads", out.heads);
  read_field(object, at, "kvHeads", out.kv_heads);
  read_field(object, at, "headDim", out.head_dim);
  read_field(object, at, "scale", out.scale);
  read_field(object, at, "causal", out.causal);
  read_field(object, at, "query", out.query);
  read_field(object, at, "key", out.key);
  read_field(object, at, "value", out.value);
  read_field(object, at, "output", out.output);
}
static Napi::Value write(Napi::Env env, const AttentionKernel& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", "attention");
  object.Set("name", write(env, value.name));
  object.Set("slots", write(env, value.slots));
  object.Set("queries", write(env, value.queries));
  object.Set("keys", write(env, value.keys));
  object.Set("past", write(env, value.past));
  object.Set("heads", write(env, value.heads));
  object.Set("kvHeads", write(env, value.kv_heads));
  object.Set("headDim", write(env, value.head_dim));
  object.Set("scale", write(env, value.scale));
  object.Set("causal", write(env, value.causal));
  object.Set("query", write(env, value.query));
  object.Set("key", write(env, value.key));
  object.Set("value", write(env, value.value));
  object.Set("output", write(env, value.output));
  return object;
}

static void read(const Napi::Value& value, const Place& at, AttentionForwardKernel& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "name", out.name);
  read_field(object, at, "slots", out.slots);
  read_field(object, at, "queries", out.queries);
  read_field(object, at, "keys", out.keys);
  read_field(object, at, "past", out.past);
  read_field(object, at, "heads", out.heads);
  read_field(object, at, "kvHeads", out.kv_heads);
  read_field(object, at, "headDim", out.head_dim);
  read_field(object, at, "scale", out.scale);
  read_field(object, at, "causal", out.causal);
  read_field(object, at, "query", out.query);
  read_field(object, at, "key", out.key);
  read_field(object, at, "value", out.value);
  read_field(object, at, "starts", out.starts);
  read_field(object, at, "outputs", out.outputs);
  read_field(object, at, "logSumExps", out.log_sum_exps);
}
static Napi::Value write(Napi::Env env, const AttentionForwardKernel& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", "attentionForward");
  object.Set("name", write(env, value.name));
  object.Set("slots", write(env, value.slots));
  object.Set("queries", write(env, value.queries));
  object.Set("keys", write(env, value.keys));
  object.Set("past", write(env, value.past));
  object.Set("heads", write(env, value.heads));
  object.Set("kvHeads", write(env, value.kv_heads));
  object.Set("headDim", write(env, value.head_dim));
  object.Set("scale", write(env, value.scale));
  object.Set("causal", write(env, value.causal));
  object.Set("query", write(env, value.query));
  object.Set("key", write(env, value.key));
  object.Set("value", write(env, value.value));
  object.Set("starts", write(env, value.starts));
  object.Set("outputs", write(env, value.outputs));
  object.Set("logSumExps", write(env, value.log_sum_exps));
  return object;
}

static void read(const Napi::Value& value, const Place& at, AttentionBackwardKernel& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "name", out.name);
  read_field(object, at, "slots", out.slots);
  read_field(object, at, "queries", out.queries);
  read_field(object, at, "keys", out.keys);
  read_field(object, at, "past", out.past);
  read_field(object, at, "heads", out.heads);
  read_field(object, at, "kvHeads", out.kv_heads);
  read_field(object, at, "headDim", out.head_dim);
  read_field(object, at, "scale", out.scale);
  read_field(object, at, "causal", out.causal);
  read_field(object, at, "query", out.query);
  read_field(object, at, "key", out.key);
  read_field(object, at, "value", out.value);
  read_field(object, at, "starts", out.starts);
  read_field(object, at, "result", out.result);
  read_field(object, at, "cotangent", out.cotangent);
  read_field(object, at, "logSumExp", out.log_sum_exp);
  read_field(object, at, "queryGradient", out.query_gradient);
  read_field(object, at, "keyGradient", out.key_gradient);
  read_field(object, at, "valueGradient", out.value_gradient);
}
static Napi::Value write(Napi::Env env, const AttentionBackwardKernel& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", "attentionBackward");
  object.Set("name", write(env, value.name));
  object.Set("slots", write(env, value.slots));
  object.Set("queries", write(env, value.queries));
  object.Set("keys", write(env, value.keys));
  object.Set("past", write(env, value.past));
  object.Set("heads", write(env, value.heads));
  object.Set("kvHeads", write(env, value.kv_heads));
  object.Set("headDim", write(env, value.head_dim));
  object.Set("scale", write(env, value.scale));
  object.Set("causal", write(env, value.causal));
  object.Set("query", write(env, value.query));
  object.Set("key", write(env, value.key));
  object.Set("value", write(env, value.value));
  object.Set("starts", write(env, value.starts));
  object.Set("result", write(env, value.result));
  object.Set("cotangent", write(env, value.cotangent));
  object.Set("logSumExp", write(env, value.log_sum_exp));
  object.Set("queryGradient", write(env, value.query_gradient));
  object.Set("keyGradient", write(env, value.key_gradient));
  object.Set("valueGradient", write(env, value.value_gradient));
  return object;
}

static void read(const Napi::Value& value, const Place& at, TopKKernel& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "name", out.name);
  read_field(object, at, "slots", out.slots);
  read_field(object, at, "loops", out.loops);
  read_field(object, at, "length", out.length);
  read_field(object, at, "count", out.count);
  read_field(object, at, "input", out.input);
  read_field(object, at, "output", out.output);
}
static Napi::Value write(Napi::Env env, const TopKKernel& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", "topK");
  object.Set("name", write(env, value.name));
  object.Set("slots", write(env, value.slots));
  object.Set("loops", write(env, value.loops));
  object.Set("length", write(env, value.length));
  object.Set("count", write(env, value.count));
  object.Set("input", write(env, value.input));
  object.Set("output", write(env, value.output));
  return object;
}

static void read(const Napi::Value& value, const Place& at, LinearCrossEntropyKernel& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "name", out.name);
  read_field(object, at, "slots", out.slots);
  read_field(object, at, "positions", out.positions);
  read_field(object, at, "chunk", out.chunk);
  read_field(object, at, "contracted", out.contracted);
  read_field(object, at, "classes", out.classes);
  read_field(object, at, "input", out.input);
  read_field(object, at, "weight", out.weight);
  read_field(object, at, "targets", out.targets);
  read_field(object, at, "scores", out.scores);
  read_field(object, at, "losses", out.losses);
  read_field(object, at, "cotangents", out.cotangents);
  read_field(object, at, "slopeDtype", out.slope_dtype);
  read_field(object, at, "inputGradients", out.input_gradients);
  read_field(object, at, "weightGradients", out.weight_gradients);
}
static Napi::Value write(Napi::Env env, const LinearCrossEntropyKernel& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", "linearCrossEntropy");
  object.Set("name", write(env, value.name));
  object.Set("slots", write(env, value.slots));
  object.Set("positions", write(env, value.positions));
  object.Set("chunk", write(env, value.chunk));
  object.Set("contracted", write(env, value.contracted));
  object.Set("classes", write(env, value.classes));
  object.Set("input", write(env, value.input));
  object.Set("weight", write(env, value.weight));
  object.Set("targets", write(env, value.targets));
  object.Set("scores", write(env, value.scores));
  object.Set("losses", write(env, value.losses));
  object.Set("cotangents", write(env, value.cotangents));
  object.Set("slopeDtype", write(env, value.slope_dtype));
  object.Set("inputGradients", write(env, value.input_gradients));
  object.Set("weightGradients", write(env, value.weight_gradients));
  return object;
}

static void read(const Napi::Value& value, const Place& at, ScatterAddKernel& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "name", out.name);
  read_field(object, at, "slots", out.slots);
  read_field(object, at, "positions", out.positions);
  read_field(object, at, "loops", out.loops);
  read_field(object, at, "row", out.row);
  read_field(object, at, "bound", out.bound);
  read_field(object, at, "indices", out.indices);
  read_field(object, at, "updates", out.updates);
  read_field(object, at, "out", out.out);
  read_field(object, at, "addends", out.addends);
}
static Napi::Value write(Napi::Env env, const ScatterAddKernel& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", "scatterAdd");
  object.Set("name", write(env, value.name));
  object.Set("slots", write(env, value.slots));
  object.Set("positions", write(env, value.positions));
  object.Set("loops", write(env, value.loops));
  object.Set("row", write(env, value.row));
  object.Set("bound", write(env, value.bound));
  object.Set("indices", write(env, value.indices));
  object.Set("updates", write(env, value.updates));
  object.Set("out", write(env, value.out));
  object.Set("addends", write(env, value.addends));
  return object;
}

static void read(const Napi::Value& value, const Place& at, ContractKernel& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "name", out.name);
  read_field(object, at, "slots", out.slots);
  read_field(object, at, "loops", out.loops);
  read_field(object, at, "contracted", out.contracted);
  read_field(object, at, "a", out.a);
  read_field(object, at, "b", out.b);
  read_field(object, at, "out", out.out);
}
static Napi::Value write(Napi::Env env, const ContractKernel& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", "contract");
  object.Set("name", write(env, value.name));
  object.Set("slots", write(env, value.slots));
  object.Set("loops", write(env, value.loops));
  object.Set("contracted", write(env, value.contracted));
  object.Set("a", write(env, value.a));
  object.Set("b", write(env, value.b));
  object.Set("out", write(env, value.out));
  return object;
}

static constexpr const char* kinds_of_Kernel[] = {"rows", "matmul", "attention", "attentionForward", "attentionBackward", "topK", "linearCrossEntropy", "scatterAdd", "contract"};
static void read(const Napi::Value& value, const Place& at, Kernel& out) {
  switch (read_kind(value, at, kinds_of_Kernel, 9)) {
    case 0: read(value, at, out.emplace<0>()); break;  // RowsKernel
    case 1: read(value, at, out.emplace<1>()); break;  // MatmulKernel
    case 2: read(value, at, out.emplace<2>()); break;  // AttentionKernel
    case 3: read(value, at, out.emplace<3>()); break;  // AttentionForwardKernel
    case 4: read(value, at, out.emplace<4>()); break;  // AttentionBackwardKernel
    case 5: read(value, at, out.emplace<5>()); break;  // TopKKernel
    case 6: read(value, at, out.emplace<6>()); break;  // LinearCrossEntropyKernel
    case 7: read(value, at, out.emplace<7>()); break;  // ScatterAddKernel
    case 8: read(value, at, out.emplace<8>()); break;  // ContractKernel
  }
}
static Napi::Value write(Napi::Env env, const Kernel& value) {
  return std::visit([&](const auto& member) { return write(env, member); }, value);
}

static void read(const Napi::Value& value, const Place& at, PlanStep& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "kernel", out.kernel);
  read_field(object, at, "bindings", out.bindings);
  read_field(object, at, "origins", out.origins);
}
static Napi::Value write(Napi::Env env, const PlanStep& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("kernel", write(env, value.kernel));
  object.Set("bindings", write(env, value.bindings));
  object.Set("origins", write(env, value.origins));
  return object;
}

static void read(const Napi::Value& value, const Place& at, PlanPort& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "name", out.name);
  read_field(object, at, "buffer", out.buffer);
  read_field(object, at, "shape", out.shape);
}
static Napi::Value write(Napi::Env env, const PlanPort& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("name", write(env, value.name));
  object.Set("buffer", write(env, value.buffer));
  object.Set("shape", write(env, value.shape));
  return object;
}

static void read(const Napi::Value& value, const Place& at, PlanProgram& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "name", out.name);
  read_field(object, at, "inputs", out.inputs);
  read_field(object, at, "outputs", out.outputs);
  read_field(object, at, "steps", out.steps);
}
static Napi::Value write(Napi::Env env, const PlanProgram& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("name", write(env, value.name));
  object.Set("inputs", write(env, value.inputs));
  object.Set("outputs", write(env, value.outputs));
  object.Set("steps", write(env, value.steps));
  return object;
}

static void read(const Napi::Value& value, const Place& at, PlanMemory& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "weights", out.weights);
  read_field(object, at, "state", out.state);
  read_field(object, at, "activations", out.activations);
  read_field(object, at, "input", out.input);
  read_field(object, at, "output", out.output);
}
static Napi::Value write(Napi::Env env, const PlanMemory& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("weights", write(env, value.weights));
  object.Set("state", write(env, value.state));
  object.Set("activations", write(env, value.activations));
  object.Set("input", write(env, value.input));
  object.Set("output", write(env, value.output));
  return object;
}

static void read(const Napi::Value& value, const Place& at, Plan& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "version", out.version);
  read_field(object, at, "name", out.name);
  read_field(object, at, "target", out.target);
  read_field(object, at, "hash", out.hash);
  read_field(object, at, "symbols", out.symbols);
  read_field(object, at, "buffers", out.buffers);
  read_field(object, at, "kernels", out.kernels);
  read_field(object, at, "programs", out.programs);
  read_field(object, at, "memory", out.memory);
}
static Napi::Value write(Napi::Env env, const Plan& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("version", write(env, value.version));
  object.Set("name", write(env, value.name));
  object.Set("target", write(env, value.target));
  object.Set("hash", write(env, value.hash));
  object.Set("symbols", write(env, value.symbols));
  object.Set("buffers", write(env, value.buffers));
  object.Set("kernels", write(env, value.kernels));
  object.Set("programs", write(env, value.programs));
  object.Set("memory", write(env, value.memory));
  return object;
}

Plan read_plan(const Napi::Value& value) {
  Plan plan;
  read(value, Place("plan"), plan);
  return plan;
}

Napi::Value write_plan(Napi::Env env, const Plan& plan) { return write(env, plan); }

}  // namespace weft::plan
