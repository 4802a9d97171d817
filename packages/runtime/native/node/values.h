// Values of JavaScript's side, checked. Each throws Error with `what` in the message.
#pragma once

#include <napi.h>

#include <memory>
#include <string>
#include <vector>

#include "loaded/memory_table.h"
#include "loaded/prepared_plan.h"
#include "weights/weight_origin.h"

namespace weft {

// Calls a function of the addon; whatever it throws becomes a JavaScript exception.
template <class Function>
Napi::Value guarded(const Napi::CallbackInfo& info, Function&& function) {
  try {
    return function(info);
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw Napi::Error::New(info.Env(), "[memory] the system is out of memory");
  } catch (const std::exception& error) {
    throw Napi::Error::New(info.Env(), error.what());
  } catch (...) {
    throw Napi::Error::New(info.Env(), "internal: [runtime] unknown failure");
  }
}

int64_t integer(const Napi::Value& value, const std::string& what);
std::string text(const Napi::Value& value, const std::string& what);
Napi::Object object(const Napi::Value& value, const std::string& what);

// A handle made by this addon. T must have a unique `type_tag`.
template <class T>
Napi::Value wrap(Napi::Env env, std::unique_ptr<T> value) {
  Napi::External<T> handle = Napi::External<T>::New(env, value.get(), [](Napi::Env, T* data) { delete data; });
  value.release();
  handle.TypeTag(&T::type_tag);
  return handle;
}
template <class T>
T& unwrap(const Napi::Value& value) {
  if (value.IsExternal() && value.As<Napi::External<T>>().CheckTypeTag(&T::type_tag))
    return *value.As<Napi::External<T>>().Data();
  throw Napi::TypeError::New(value.Env(), "internal: [runtime] not a handle of the expected kind");
}

// Origins as the caller lists them: { buffer, dtype, kind: "data", data } or { buffer, dtype, kind: "file", path,
// offset }; `buffer` is an index into the plan's buffers. Every weights buffer must be there once. Data is not kept
// alive: it must be used before JavaScript runs again.
std::vector<WeightOrigin> weight_origins(const Napi::Value& value, const PreparedPlan& prepared);

// What an ArrayBufferView shows; valid until JavaScript runs again.
struct Bytes {
  const char* data;
  size_t size;
};
Bytes bytes_of(const Napi::Value& value, const std::string& what);

Napi::Object memory_object(Napi::Env env, const MemoryTable& table);

}  // namespace weft
