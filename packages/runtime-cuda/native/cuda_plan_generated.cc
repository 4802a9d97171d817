// Generated from packages/compiler/src/cuda/types.ts by scripts/generate/plan-header.ts (npm run generate). Do not edit.
#include "cuda_plan_generated.h"

#include "plan_reader.h"

namespace weft::plan {

static void read(const Napi::Value& value, const Place& at, CudaModule& out);
static void read(const Napi::Value& value, const Place& at, CudaFunction& out);
static void read(const Napi::Value& value, const Place& at, AffineTerm& out);
static void read(const Napi::Value& value, const Place& at, Affine& out);
static void read(const Napi::Value& value, const Place& at, CudaExtent& out);
static void read(const Napi::Value& value, const Place& at, CudaLaunch& out);
static void read(const Napi::Value& value, const Place& at, CudaMatrix& out);
static void read(const Napi::Value& value, const Place& at, CudaBlockScales& out);
static void read(const Napi::Value& value, const Place& at, CudaProduct& out);
static void read(const Napi::Value& value, const Place& at, CudaLibraryStep& out);
static void read(const Napi::Value& value, const Place& at, CudaProgram& out);
static void read(const Napi::Value& value, const Place& at, CudaPlan& out);

static void read(const Napi::Value& value, const Place& at, CudaModule& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "name", out.name);
  read_field(object, at, "source", out.source);
}
static Napi::Value write(Napi::Env env, const CudaModule& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("name", write(env, value.name));
  object.Set("source", write(env, value.source));
  return object;
}

static void read(const Napi::Value& value, const Place& at, CudaFunction& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "name", out.name);
  read_field(object, at, "module", out.module);
  read_field(object, at, "threads", out.threads);
  read_field(object, at, "sharedBytes", out.shared_bytes);
  read_field(object, at, "slots", out.slots);
}
static Napi::Value write(Napi::Env env, const CudaFunction& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("name", write(env, value.name));
  object.Set("module", write(env, value.module));
  object.Set("threads", write(env, value.threads));
  object.Set("sharedBytes", write(env, value.shared_bytes));
  object.Set("slots", write(env, value.slots));
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

static void read(const Napi::Value& value, const Place& at, CudaExtent& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "extent", out.extent);
  read_field(object, at, "tile", out.tile);
}
static Napi::Value write(Napi::Env env, const CudaExtent& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("extent", write(env, value.extent));
  object.Set("tile", write(env, value.tile));
  return object;
}

static void read(const Napi::Value& value, const Place& at, CudaLaunch& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "function", out.function);
  read_field(object, at, "step", out.step);
  read_field(object, at, "piece", out.piece);
  read_field(object, at, "bindings", out.bindings);
  read_field(object, at, "blocks", out.blocks);
  read_field(object, at, "perMultiprocessor", out.per_multiprocessor);
}
static Napi::Value write(Napi::Env env, const CudaLaunch& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("function", write(env, value.function));
  object.Set("step", write(env, value.step));
  object.Set("piece", write(env, value.piece));
  object.Set("bindings", write(env, value.bindings));
  object.Set("blocks", write(env, value.blocks));
  object.Set("perMultiprocessor", write(env, value.per_multiprocessor));
  return object;
}

static constexpr const char* names_of_PlanDtype[] = {"f32", "bf16", "f16", "f8e4m3", "nvfp4", "i32", "i8"};
static void read(const Napi::Value& value, const Place& at, PlanDtype& out) {
  out = static_cast<PlanDtype>(read_word(value, at, names_of_PlanDtype, 7));
}
static Napi::Value write(Napi::Env env, PlanDtype value) { return Napi::String::New(env, name_of(value)); }

static void read(const Napi::Value& value, const Place& at, CudaMatrix& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "buffer", out.buffer);
  read_field(object, at, "dtype", out.dtype);
  read_field(object, at, "offset", out.offset);
  read_field(object, at, "stride", out.stride);
}
static Napi::Value write(Napi::Env env, const CudaMatrix& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("buffer", write(env, value.buffer));
  object.Set("dtype", write(env, value.dtype));
  object.Set("offset", write(env, value.offset));
  object.Set("stride", write(env, value.stride));
  return object;
}

static void read(const Napi::Value& value, const Place& at, CudaBlockScales& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "x", out.x);
  read_field(object, at, "weight", out.weight);
}
static Napi::Value write(Napi::Env env, const CudaBlockScales& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("x", write(env, value.x));
  object.Set("weight", write(env, value.weight));
  return object;
}

static void read(const Napi::Value& value, const Place& at, CudaProduct& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "columns", out.columns);
  read_field(object, at, "contracted", out.contracted);
  read_field(object, at, "x", out.x);
  read_field(object, at, "isXTransposed", out.is_x_transposed);
  read_field(object, at, "weight", out.weight);
  read_field(object, at, "isWeightTransposed", out.is_weight_transposed);
  read_field(object, at, "out", out.out);
  read_field(object, at, "addends", out.addends);
  read_field(object, at, "scales", out.scales);
}
static Napi::Value write(Napi::Env env, const CudaProduct& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("columns", write(env, value.columns));
  object.Set("contracted", write(env, value.contracted));
  object.Set("x", write(env, value.x));
  object.Set("isXTransposed", write(env, value.is_x_transposed));
  object.Set("weight", write(env, value.weight));
  object.Set("isWeightTransposed", write(env, value.is_weight_transposed));
  object.Set("out", write(env, value.out));
  object.Set("addends", write(env, value.addends));
  object.Set("scales", write(env, value.scales));
  return object;
}

static void read(const Napi::Value& value, const Place& at, CudaLibraryStep& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "step", out.step);
  read_field(object, at, "rows", out.rows);
  read_field(object, at, "leastRows", out.least_rows);
  read_field(object, at, "before", out.before);
  read_field(object, at, "products", out.products);
  read_field(object, at, "after", out.after);
}
static Napi::Value write(Napi::Env env, const CudaLibraryStep& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("step", write(env, value.step));
  object.Set("rows", write(env, value.rows));
  object.Set("leastRows", write(env, value.least_rows));
  object.Set("before", write(env, value.before));
  object.Set("products", write(env, value.products));
  object.Set("after", write(env, value.after));
  return object;
}

static void read(const Napi::Value& value, const Place& at, CudaProgram& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "name", out.name);
  read_field(object, at, "launches", out.launches);
  read_field(object, at, "librarySteps", out.library_steps);
}
static Napi::Value write(Napi::Env env, const CudaProgram& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("name", write(env, value.name));
  object.Set("launches", write(env, value.launches));
  object.Set("librarySteps", write(env, value.library_steps));
  return object;
}

static void read(const Napi::Value& value, const Place& at, CudaPlan& out) {
  const Napi::Object object = read_object(value, at);
  read_field(object, at, "version", out.version);
  read_field(object, at, "plan", out.plan);
  read_field(object, at, "modules", out.modules);
  read_field(object, at, "functions", out.functions);
  read_field(object, at, "programs", out.programs);
  read_field(object, at, "scratchBytes", out.scratch_bytes);
  read_field(object, at, "libraryScratchBytes", out.library_scratch_bytes);
  read_field(object, at, "tickets", out.tickets);
}
static Napi::Value write(Napi::Env env, const CudaPlan& value) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("version", write(env, value.version));
  object.Set("plan", write(env, value.plan));
  object.Set("modules", write(env, value.modules));
  object.Set("functions", write(env, value.functions));
  object.Set("programs", write(env, value.programs));
  object.Set("scratchBytes", write(env, value.scratch_bytes));
  object.Set("libraryScratchBytes", write(env, value.library_scratch_bytes));
  object.Set("tickets", write(env, value.tickets));
  return object;
}

CudaPlan read_cuda_plan(const Napi::Value& value) {
  CudaPlan plan;
  read(value, Place("cudaPlan"), plan);
  return plan;
}

Napi::Value write_cuda_plan(Napi::Env env, const CudaPlan& plan) { return write(env, plan); }

}  // namespace weft::plan
