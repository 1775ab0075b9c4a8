#pragma once
// A reader of Python pickles that executes nothing: it builds containers, numbers and strings, and records which of a
// few named functions of PyTorch would have been called with what. Anything else is refused.
// Source: CPython Lib/pickletools.py, protocols 2 to 5.
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"

namespace lgms::io {

struct PickleValue {
  // storage: a persistent id, `items` is its one tuple. call: `text` names the function, `items` are its arguments.
  enum class Kind { none, boolean, integer, real, string, tuple, list, dict, global, storage, call };
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

// Throws Error{kind}, naming the function, on any but collections.OrderedDict(), torch._utils._rebuild_tensor_v2,
// torch._utils._rebuild_parameter and the names torch.*Storage; on anything malformed; and above 16 MB.
Pickle read_pickle(std::span<const uint8_t> bytes, const std::string& name, ErrorKind kind);

}  // namespace lgms::io
