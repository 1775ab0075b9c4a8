#pragma once
// A reader of Python pickles that executes nothing: it builds containers, numbers and strings, and records which of a
// few named functions of PyTorch would have been called with what; of a few types that are no part of weights (sets,
// devices, scalars of NumPy, ...) it only notes that one stands there. Anything else is refused.
// Source: CPython Lib/pickletools.py, protocols 2 to 5.
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"

namespace lgms::io {

struct PickleValue {
  // storage: a persistent id, `items` is its one tuple. call: of a function that makes a tensor; `text` names it,
  // `items` are its arguments. object: anything else that is harmless, bytes and integers beyond 64 bits too; `text`
  // names it.
  enum class Kind { none, boolean, integer, real, string, tuple, list, dict, global, storage, call, object };
  Kind kind = Kind::none;
  int64_t integer = 0;  // booleans too
  double real = 0;
  std::string text;                 // of strings; "module.name" of globals and calls
  std::vector<PickleValue*> items;  // a dict's keys and values in turn

  // The value under a key of a dict (the last one set), nullptr where there is none.
  const PickleValue* find(std::string_view key) const;
};

const char* name_of(PickleValue::Kind kind);  // "an integer", "a dict", ...

// Values may contain each other, even themselves: whoever walks them limits the depth.
struct Pickle {
  std::deque<PickleValue> values;
  const PickleValue* root = nullptr;
};

// Throws Error{kind}, naming the function, on any but PyTorch's for tensors and parameters and the containers, scalars
// and types that stand in the states of optimizers and schedulers (pickle.cpp lists them all); on anything malformed;
// and above 16 MB.
Pickle read_pickle(std::span<const uint8_t> bytes, const std::string& name, ErrorKind kind);

}  // namespace lgms::io
