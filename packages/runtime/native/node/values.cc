#include "node/values.h"

#include <cmath>

#include "error.h"
#include "validate.h"

namespace weft {

int64_t integer(const Napi::Value& value, const std::string& what) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : NAN;
  if (!(std::abs(number) <= 9007199254740991.0) || number != std::trunc(number)) throw Error(what + " must be an integer");
  return static_cast<int64_t>(number);
}

std::string text(const Napi::Value& value, const std::string& what) {
  if (!value.IsString()) throw Error(what + " must be a string");
  return value.As<Napi::String>().Utf8Value();
}

Napi::Object object(const Napi::Value& value, const std::string& what) {
  if (!value.IsObject()) throw Error(what + " must be an object");
  return value.As<Napi::Object>();
}

namespace {

plan::PlanDtype dtype_named(const std::string& name, const std::string& what) {
  for (const plan::PlanDtype dtype :
       {plan::PlanDtype::f32, plan::PlanDtype::bf16, plan::PlanDtype::f16, plan::PlanDtype::f8e4m3, plan::PlanDtype::nvfp4,
        plan::PlanDtype::i32, plan::PlanDtype::i8})
    if (name == plan::name_of(dtype)) return dtype;
  throw Error(what + ": dtype must be f32, bf16, f16, f8e4m3, nvfp4, i32 or i8, not \"" + name + '"');
}

}  // namespace

Bytes bytes_of(const Napi::Value& value, const std::string& what) {
  if (value.IsDataView()) {
    const Napi::DataView view = value.As<Napi::DataView>();
    return {static_cast<const char*>(view.Data()), view.ByteLength()};
  }
  if (!value.IsTypedArray()) throw Error(what + " must be a typed array or a DataView");
  const Napi::TypedArray array = value.As<Napi::TypedArray>();
  return {static_cast<const char*>(array.ArrayBuffer().Data()) + array.ByteOffset(), array.ByteLength()};
}

std::vector<WeightOrigin> weight_origins(const Napi::Value& value, const PreparedPlan& prepared) {
  if (!value.IsArray()) throw Error("weights must be an array");
  const Napi::Array list = value.As<Napi::Array>();
  std::vector<WeightOrigin> origins;
  std::vector<bool> bound(prepared.plan.buffers.size(), false);
  for (uint32_t i = 0; i < list.Length(); ++i) {
    const Napi::Object entry = object(list.Get(i), "a weight");
    const int64_t index = integer(entry.Get("buffer"), "a weight's buffer");
    if (index < 0 || static_cast<size_t>(index) >= bound.size()) throw Error("a weight names no buffer");
    WeightOrigin origin;
    origin.buffer_index = static_cast<size_t>(index);
    origin.buffer = &prepared.plan.buffers[origin.buffer_index];
    const std::string what = "weight " + origin.buffer->name;
    if (origin.buffer->class_ != plan::BufferClass::weights) throw Error(what + " is not of class weights");
    if (bound[origin.buffer_index]) throw Error(what + " is bound twice");
    bound[origin.buffer_index] = true;
    origin.dtype = dtype_named(text(entry.Get("dtype"), what), what);
    if ((plan::is_kept_as_is(origin.dtype) || plan::is_kept_as_is(origin.buffer->dtype)) && origin.dtype != origin.buffer->dtype)
      throw Error(what + ": cannot convert " + plan::name_of(origin.dtype) + " to " + plan::name_of(origin.buffer->dtype));
    const size_t bytes = origin.bytes();
    if (text(entry.Get("kind"), what) == "data") {
      const auto [data, size] = bytes_of(entry.Get("data"), what + ": data");
      if (size != bytes)
        throw Error(what + ": data has " + std::to_string(size) + " bytes, " + std::to_string(bytes) + " are needed");
      origin.data = size ? data : "";
      if (origin.is_blocks()) {
        const auto [scales, scales_size] = bytes_of(entry.Get("scales"), what + ": scales");
        if (scales_size != origin.scales_bytes())
          throw Error(what + ": scales have " + std::to_string(scales_size) + " bytes, " +
                      std::to_string(origin.scales_bytes()) + " are needed");
        origin.scales_data = scales_size ? scales : "";
      }
    } else {
      origin.path = text(entry.Get("path"), what + ": path");
      const int64_t offset = integer(entry.Get("offset"), what + ": offset");
      if (offset < 0) throw Error(what + ": offset must not be negative");
      origin.offset = static_cast<size_t>(offset);
      if (origin.is_blocks()) {
        const Napi::Object scales = object(entry.Get("scales"), what + ": scales");
        origin.scales_path = text(scales.Get("path"), what + ": path of the scales");
        const int64_t begin = integer(scales.Get("offset"), what + ": offset of the scales");
        if (begin < 0) throw Error(what + ": offset of the scales must not be negative");
        origin.scales_offset = static_cast<size_t>(begin);
      }
    }
    origins.push_back(std::move(origin));
  }
  for (size_t i = 0; i < bound.size(); ++i)
    if (prepared.plan.buffers[i].class_ == plan::BufferClass::weights && !bound[i])
      throw Error("weight " + prepared.plan.buffers[i].name + " is missing");
  return origins;
}

Napi::Object memory_object(Napi::Env env, const MemoryTable& table) {
  Napi::Object result = Napi::Object::New(env);
  const auto set = [&](const char* name, size_t bytes) {
    result.Set(name, Napi::Number::New(env, static_cast<double>(bytes)));
  };
  set("weightsMapped", table.weights_mapped);
  set("weightsCopied", table.weights_copied);
  set("state", table.state);
  set("activations", table.activations);
  set("input", table.input);
  set("output", table.output);
  set("scratchShared", table.scratch_shared);
  set("scratchPerThread", table.scratch_per_thread);
  set("threads", table.threads);
  set("control", table.control);
  set("pinned", table.pinned);
  set("total", table.total());
  return result;
}

}  // namespace weft
