// What the generated plan reader stands on: values of plain JavaScript objects, checked, with the place in messages.
#pragma once

#include <napi.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "error.h"

namespace weft::plan {

// A path like `plan.kernels[3].groups[0].columns`, kept as links on the stack: text is made only for an error.
class Place {
 public:
  explicit Place(const char* name) : name_(name) {}
  Place(const Place& parent, const char* name) : parent_(&parent), name_(name) {}
  Place(const Place& parent, uint32_t index) : parent_(&parent), index_(index) {}
  std::string text() const;

 private:
  const Place* parent_ = nullptr;
  const char* name_ = nullptr;
  uint32_t index_ = 0;
};

// `<place>: must be <requirement>, got <value>`.
[[noreturn]] void refuse(const Napi::Value& value, const Place& at, const std::string& requirement);

Napi::Object read_object(const Napi::Value& value, const Place& at);
// The position of a string in `words`.
size_t read_word(const Napi::Value& value, const Place& at, const char* const* words, size_t count);
// As read_word, of an object's field `kind`.
size_t read_kind(const Napi::Value& value, const Place& at, const char* const* words, size_t count);

void read(const Napi::Value& value, const Place& at, int64_t& out);
void read(const Napi::Value& value, const Place& at, double& out);
void read(const Napi::Value& value, const Place& at, bool& out);
void read(const Napi::Value& value, const Place& at, std::string& out);

template <class T>
void read(const Napi::Value& value, const Place& at, std::vector<T>& out) {
  if (!value.IsArray()) refuse(value, at, "an array");
  const Napi::Array array = value.As<Napi::Array>();
  // Not reserved by the array's length: a sparse array may claim four thousand million elements.
  for (uint32_t i = 0; i < array.Length(); ++i) {
    const Napi::HandleScope scope(value.Env());
    T element{};
    read(array.Get(i), Place(at, i), element);
    out.push_back(std::move(element));
  }
}

template <class T>
void read_field(const Napi::Object& object, const Place& at, const char* name, T& out) {
  read(object.Get(name), Place(at, name), out);
}

inline Napi::Value write(Napi::Env env, int64_t value) { return Napi::Number::New(env, static_cast<double>(value)); }
inline Napi::Value write(Napi::Env env, double value) { return Napi::Number::New(env, value); }
inline Napi::Value write(Napi::Env env, bool value) { return Napi::Boolean::New(env, value); }
inline Napi::Value write(Napi::Env env, const std::string& value) { return Napi::String::New(env, value); }

template <class T>
Napi::Value write(Napi::Env env, const std::vector<T>& values) {
  Napi::Array array = Napi::Array::New(env, values.size());
  for (size_t i = 0; i < values.size(); ++i) array.Set(static_cast<uint32_t>(i), write(env, values[i]));
  return array;
}

}  // namespace weft::plan
