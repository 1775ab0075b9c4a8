#include "core/formats/pickle.h"

#include <algorithm>
#include <bit>
#include <unordered_map>

#include "core/io/bytes.h"

namespace lgms::io {
namespace {

using Kind = PickleValue::Kind;

constexpr uint64_t kMaxBytes = uint64_t{1} << 24;  // a value takes about 100 bytes, and each byte may make one
constexpr size_t kMostArguments = 16;              // of a call, which keeps a copy of them

// What may be called, by what comes of it. Nothing is: the arguments of a tensor are kept, those of a dict become its
// items, and an object, which no weights are made of, is only known by its name.
struct Module {
  std::string_view name, members;
};
constexpr Module kTensors[] = {
    {"torch._tensor", "_rebuild_from_type_v2"},
    {"torch._utils", "_rebuild_parameter _rebuild_parameter_with_state _rebuild_tensor_v2"},
};
constexpr Module kDicts[] = {{"collections", "Counter OrderedDict defaultdict"}};
constexpr Module kObjects[] = {
    {"_codecs", "encode"},
    {"builtins",
     "bool bytearray bytes complex dict float frozenset int list long range set slice str tuple unicode xrange"},
    {"collections", "deque"},
    {"numpy", "dtype ndarray"},
    {"numpy._core.multiarray", "_reconstruct scalar"},
    {"numpy._core.numeric", "_frombuffer"},
    {"torch",
     "Size Tensor bfloat16 bool complex128 complex32 complex64 device float16 float32 float4_e2m1fn_x2 float64 "
     "float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz float8_e8m0fnu int1 int16 int2 int3 int32 int4 int5 "
     "int6 int64 int7 int8 per_channel_affine per_channel_affine_float_qparams per_channel_symmetric per_tensor_affine "
     "per_tensor_symmetric qint32 qint8 quint2x4 quint4x2 quint8 uint1 uint16 uint2 uint3 uint32 uint4 uint5 uint6 "
     "uint64 uint7 uint8"},
    {"torch._utils", "_rebuild_meta_tensor_no_storage _rebuild_qtensor _rebuild_sparse_tensor _rebuild_tensor_v3"},
    {"torch.nn.parameter", "Parameter"},
    {"torch.serialization", "_get_layout"},
};

bool holds(std::span<const Module> modules, std::string_view full) {
  const auto is_member = [full](const Module& module) {
    if (!full.starts_with(module.name) || full.substr(module.name.size(), 1) != ".") return false;
    const std::string_view member = full.substr(module.name.size() + 1);
    for (std::string_view rest = module.members; !rest.empty();) {
      const size_t end = std::min(rest.find(' '), rest.size());
      if (rest.substr(0, end) == member) return true;
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return false;
  };
  return std::any_of(modules.begin(), modules.end(), is_member);
}

bool is_storage_type(std::string_view name) { return name.starts_with("torch.") && name.ends_with("Storage"); }

// As Python 3 and NumPy 2 call it.
std::string current_name(const std::string& module, const std::string& name) {
  constexpr std::string_view numpy = "numpy.core.";
  if (module == "__builtin__") return "builtins." + name;
  if (module.starts_with(numpy)) return "numpy._core." + module.substr(numpy.size()) + "." + name;
  return module + "." + name;
}

class Machine {
 public:
  Machine(std::span<const uint8_t> bytes, const std::string& name, ErrorKind kind) : file_(bytes, name, kind) {}

  Pickle run() {
    while (step(file_.number<uint8_t>("pickle"))) {}
    pickle_.root = pop();
    return std::move(pickle_);
  }

 private:
  bool step(uint8_t opcode);
  void step_container(uint8_t opcode);
  void step_number(uint8_t opcode);

  PickleValue& push(Kind kind) {
    stack_.push_back(&pickle_.values.emplace_back());
    stack_.back()->kind = kind;
    return *stack_.back();
  }
  void push_integer(int64_t value) { push(Kind::integer).integer = value; }
  void push_integer(std::span<const uint8_t> bytes);
  void push_string(uint64_t length) { push(Kind::string).text = string(length); }
  void push_object(const char* name) { push(Kind::object).text = name; }
  void push_bytes(uint64_t length) {
    file_.take(length, "pickle bytes");
    push_object("bytes");
  }

  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  PickleValue* pop() {
    PickleValue* value = top();
    stack_.pop_back();
    return value;
  }
  PickleValue* top() const {
    file_.expect(stack_.size() > floor(), "pickle: its stack is empty at offset ", file_.position(), damaged);
    return stack_.back();
  }
  PickleValue* top(Kind kind) const {
    file_.expect(top()->kind == kind, "pickle: expected ", name_of(kind), " at offset ", file_.position(), ", got ",
                 name_of(top()->kind), damaged);
    return stack_.back();
  }
  std::vector<PickleValue*> pop_count(size_t count) {
    file_.expect(stack_.size() >= floor() + count, "pickle: its stack is empty at offset ", file_.position(), damaged);
    const std::vector<PickleValue*> items(stack_.end() - static_cast<ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    return items;
  }
  std::vector<PickleValue*> pop_mark() {
    file_.expect(!marks_.empty(), "pickle: expected a mark at offset ", file_.position(), damaged);
    const auto items = pop_count(stack_.size() - marks_.back());
    marks_.pop_back();
    return items;
  }
  void extend(Kind kind, const std::vector<PickleValue*>& items) {
    if (top()->kind == Kind::object) return;  // of a deque, a set, ...
    PickleValue* into = top(kind);
    file_.expect(kind == Kind::list || items.size() % 2 == 0, "pickle: a key without a value", damaged);
    into->items.insert(into->items.end(), items.begin(), items.end());
  }

  std::string string(uint64_t length) {
    const auto bytes = file_.take(length, "pickle string");
    return {bytes.begin(), bytes.end()};
  }
  std::string line() {
    std::string text;
    for (char c; (c = file_.number<char>("pickle line")) != '\n';) text += c;
    return text;
  }
  void global(const std::string& module, const std::string& name) {
    const std::string full = current_name(module, name);
    const bool allowed = holds(kTensors, full) || holds(kDicts, full) || holds(kObjects, full) || is_storage_type(full);
    file_.expect(allowed, "expected tensors and containers only, but the file wants to call ", full,
                 "; nothing was executed. Re-save the weights alone: torch.save(model.state_dict(), ...)");
    push(Kind::global).text = full;
  }
  void call();
  std::vector<PickleValue*> dict_items(std::string_view name, const std::vector<PickleValue*>& arguments);
  void remember(uint64_t index) { memo_[index] = top(); }
  void recall(uint64_t index) {
    const auto found = memo_.find(index);
    file_.expect(found != memo_.end(), "pickle: nothing was remembered as ", index, damaged);
    stack_.push_back(found->second);
  }

  static constexpr const char* damaged = "; the file is damaged";
  Reader file_;
  Pickle pickle_;
  std::vector<PickleValue*> stack_;
  std::vector<size_t> marks_;  // heights of the stack
  std::unordered_map<uint64_t, PickleValue*> memo_;
  uint64_t copied_ = 0;  // items of dicts made of others: many may be made of one
};

// REDUCE, NEWOBJ: function, arguments -> value.
void Machine::call() {
  const PickleValue* arguments = top(Kind::tuple);
  stack_.pop_back();
  const PickleValue* function = top(Kind::global);
  stack_.pop_back();
  const std::string& name = function->text;
  file_.expect(!is_storage_type(name), "expected tensors and containers only, but the file wants to call ", name,
               "; nothing was executed");
  file_.expect(arguments->items.size() <= kMostArguments, "pickle: expected at most ", kMostArguments, " arguments of ",
               name, ", got ", arguments->items.size(), damaged);
  if (holds(kDicts, name)) {
    auto items = dict_items(name, arguments->items);
    push(Kind::dict).items = std::move(items);
  } else {
    PickleValue& value = push(holds(kTensors, name) ? Kind::call : Kind::object);
    value.text = name;
    if (value.kind == Kind::call) value.items = arguments->items;
  }
}

// The items of OrderedDict(...), Counter(...) and defaultdict(factory, ...), made of a dict or of a list of pairs.
std::vector<PickleValue*> Machine::dict_items(std::string_view name, const std::vector<PickleValue*>& arguments) {
  const size_t at = name == "collections.defaultdict" ? 1 : 0;
  file_.expect(arguments.size() <= at + 1, "pickle: expected one dict or list as the argument of ", name, damaged);
  if (arguments.size() <= at) return {};
  const PickleValue& from = *arguments[at];
  file_.expect(from.kind == Kind::dict || from.kind == Kind::list || from.kind == Kind::tuple,
               "pickle: expected a dict or a list as the argument of ", name, ", got ", name_of(from.kind), damaged);
  copied_ += from.items.size();
  file_.expect(copied_ <= kMaxBytes, "pickle: it copies its dicts too often", damaged);
  if (from.kind == Kind::dict) return from.items;
  std::vector<PickleValue*> items;
  for (const PickleValue* pair : from.items) {
    file_.expect((pair->kind == Kind::list || pair->kind == Kind::tuple) && pair->items.size() == 2,
                 "pickle: expected pairs as the items of ", name, ", got ", name_of(pair->kind), damaged);
    items.insert(items.end(), pair->items.begin(), pair->items.end());
  }
  return items;
}

// LONG1, LONG4: two's complement of any length. No weight needs more than 64 bits, states of random numbers do.
void Machine::push_integer(std::span<const uint8_t> bytes) {
  if (bytes.size() > 8) return push_object("int");
  uint64_t value = 0;
  for (size_t i = 0; i < bytes.size(); ++i) value |= uint64_t{bytes[i]} << 8 * i;
  if (!bytes.empty() && bytes.size() < 8 && bytes.back() >= 0x80) value |= ~uint64_t{0} << 8 * bytes.size();
  push_integer(static_cast<int64_t>(value));
}

void Machine::step_number(uint8_t opcode) {
  switch (opcode) {
    case 'K': return push_integer(file_.number<uint8_t>("pickle integer"));
    case 'M': return push_integer(file_.number<uint16_t>("pickle integer"));
    case 'J': return push_integer(file_.number<int32_t>("pickle integer"));
    case 'G': {
      const uint64_t high = file_.big_endian(4, "pickle number");
      push(Kind::real).real = std::bit_cast<double>(high << 32 | file_.big_endian(4, "pickle number"));
      return;
    }
    case 0x8a: return push_integer(file_.take(file_.number<uint8_t>("pickle integer"), "pickle integer"));
    default: return push_integer(file_.take(file_.number<uint32_t>("pickle integer"), "pickle integer"));
  }
}

void Machine::step_container(uint8_t opcode) {
  switch (opcode) {
    case ')': push(Kind::tuple); break;
    case ']': push(Kind::list); break;
    case '}': push(Kind::dict); break;
    case 't': {
      auto items = pop_mark();
      push(Kind::tuple).items = std::move(items);
      break;
    }
    case 0x85:
    case 0x86:
    case 0x87: {
      auto items = pop_count(opcode - 0x84u);
      push(Kind::tuple).items = std::move(items);
      break;
    }
    case 'a': extend(Kind::list, pop_count(1)); break;
    case 'e': extend(Kind::list, pop_mark()); break;
    case 's': extend(Kind::dict, pop_count(2)); break;
    case 'u': extend(Kind::dict, pop_mark()); break;
    case 0x8f: push_object("set"); break;
    case 0x90:
      pop_mark();
      top(Kind::object);
      break;
    case 0x91:
      pop_mark();
      push_object("frozenset");
      break;
  }
}

bool Machine::step(uint8_t opcode) {
  switch (opcode) {
    case '.': return false;
    case 0x80: {
      const auto protocol = file_.number<uint8_t>("pickle protocol");
      file_.expect(protocol >= 2 && protocol <= 5, "pickle protocol: expected 2 to 5, got ", int{protocol});
      break;
    }
    case 0x95: file_.number<uint64_t>("pickle frame"); break;
    case 'N': push(Kind::none); break;
    case 0x88:
    case 0x89: push(Kind::boolean).integer = opcode == 0x88; break;
    case 'K':
    case 'M':
    case 'J':
    case 'G':
    case 0x8a:
    case 0x8b: step_number(opcode); break;
    case 'C': push_bytes(file_.number<uint8_t>("pickle bytes")); break;
    case 'B': push_bytes(file_.number<uint32_t>("pickle bytes")); break;
    case 0x8e:
    case 0x96: push_bytes(file_.number<uint64_t>("pickle bytes")); break;
    case 'X': push_string(file_.number<uint32_t>("pickle string")); break;
    case 0x8c: push_string(file_.number<uint8_t>("pickle string")); break;
    case 0x8d: push_string(file_.number<uint64_t>("pickle string")); break;
    case '(': marks_.push_back(stack_.size()); break;
    case '0': pop(); break;
    case '1': pop_mark(); break;
    case '2': stack_.push_back(top()); break;
    case ')':
    case ']':
    case '}':
    case 't':
    case 0x85:
    case 0x86:
    case 0x87:
    case 'a':
    case 'e':
    case 's':
    case 'u':
    case 0x8f:
    case 0x90:
    case 0x91: step_container(opcode); break;
    case 'q': remember(file_.number<uint8_t>("pickle memo")); break;
    case 'r': remember(file_.number<uint32_t>("pickle memo")); break;
    case 0x94: remember(memo_.size()); break;
    case 'h': recall(file_.number<uint8_t>("pickle memo")); break;
    case 'j': recall(file_.number<uint32_t>("pickle memo")); break;
    case 'c': {
      const std::string module = line();
      global(module, line());
      break;
    }
    case 0x93: {
      const std::string name = top(Kind::string)->text;
      stack_.pop_back();
      const std::string module = top(Kind::string)->text;
      stack_.pop_back();
      global(module, name);
      break;
    }
    case 'R':
    case 0x81: call(); break;
    case 'Q': {
      PickleValue* id = top(Kind::tuple);
      stack_.pop_back();
      file_.expect(id->items.size() <= kMostArguments, "pickle: expected a storage at offset ", file_.position(),
                   damaged);
      push(Kind::storage).items = id->items;
      break;
    }
    case 'b':  // attributes of an OrderedDict (a state dict's version numbers) or an object: not needed
      pop();
      if (top()->kind != Kind::object) top(Kind::dict);
      break;
    default:
      file_.expect(false, "pickle: expected tensors and containers only, got operation ", int{opcode}, " at offset ",
                   file_.position() - 1,
                   "; nothing was executed. Re-save the weights alone: "
                   "torch.save(model.state_dict(), ...)");
  }
  return true;
}

}  // namespace

const PickleValue* PickleValue::find(std::string_view key) const {
  for (size_t i = items.size(); kind == Kind::dict && i >= 2; i -= 2)
    if (items[i - 2]->kind == Kind::string && items[i - 2]->text == key) return items[i - 1];
  return nullptr;
}

const char* name_of(PickleValue::Kind kind) {
  constexpr const char* names[] = {"None",   "a bool", "an integer", "a number",  "a string", "a tuple",
                                   "a list", "a dict", "a type",     "a storage", "a tensor", "an object"};
  return names[static_cast<size_t>(kind)];
}

Pickle read_pickle(std::span<const uint8_t> bytes, const std::string& name, ErrorKind kind) {
  check(bytes.size() <= kMaxBytes, kind, '[', name, "] pickle: expected at most ", kMaxBytes, " bytes, got ",
        bytes.size(), "; re-save the weights alone: torch.save(model.state_dict(), ...)");
  return Machine(bytes, name, kind).run();
}

}  // namespace lgms::io
