#include "plan_reader.h"

namespace weft::plan {
namespace {

constexpr double largest_safe_integer = 9007199254740991.0;

// A short text of any value. Objects are only named: printing one could run the caller's code.
std::string shown(const Napi::Value& value) {
  switch (value.Type()) {
    case napi_undefined: return "nothing";
    case napi_null: return "null";
    case napi_boolean: return value.As<Napi::Boolean>().Value() ? "true" : "false";
    case napi_number: return value.ToString().Utf8Value();
    case napi_string: {
      std::string text = value.As<Napi::String>().Utf8Value();
      if (text.size() > 60) text = text.substr(0, 60) + "...";
      return '"' + text + '"';
    }
    case napi_object: return value.IsArray() ? "an array" : "an object";
    default: return "a value of another type";
  }
}

}  // namespace

std::string Place::text() const {
  const std::string before = parent_ ? parent_->text() : "";
  if (!name_) return before + '[' + std::to_string(index_) + ']';
  return before.empty() ? name_ : before + '.' + name_;
}

void refuse(const Napi::Value& value, const Place& at, const std::string& requirement) {
  throw Error(at.text() + ": must be " + requirement + ", got " + shown(value));
}

Napi::Object read_object(const Napi::Value& value, const Place& at) {
  if (!value.IsObject() || value.IsArray()) refuse(value, at, "an object");
  return value.As<Napi::Object>();
}

size_t read_word(const Napi::Value& value, const Place& at, const char* const* words, size_t count) {
  if (value.IsString()) {
    const std::string text = value.As<Napi::String>().Utf8Value();
    for (size_t i = 0; i < count; ++i)
      if (text == words[i]) return i;
  }
  std::string requirement = count == 1 ? "" : "one of ";
  for (size_t i = 0; i < count; ++i) requirement += (i ? ", \"" : "\"") + std::string(words[i]) + '"';
  refuse(value, at, requirement);
}

size_t read_kind(const Napi::Value& value, const Place& at, const char* const* words, size_t count) {
  return read_word(read_object(value, at).Get("kind"), Place(at, "kind"), words, count);
}

void read(const Napi::Value& value, const Place& at, int64_t& out) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : NAN;
  if (!(std::abs(number) <= largest_safe_integer) || number != std::trunc(number)) refuse(value, at, "an integer");
  out = static_cast<int64_t>(number);
}

void read(const Napi::Value& value, const Place& at, double& out) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : NAN;
  if (!std::isfinite(number)) refuse(value, at, "a finite number");
  out = number;
}

void read(const Napi::Value& value, const Place& at, bool& out) {
  if (!value.IsBoolean()) refuse(value, at, "true or false");
  out = value.As<Napi::Boolean>().Value();
}

void read(const Napi::Value& value, const Place& at, std::string& out) {
  if (!value.IsString()) refuse(value, at, "a string");
  out = value.As<Napi::String>().Utf8Value();
}

}  // namespace weft::plan
