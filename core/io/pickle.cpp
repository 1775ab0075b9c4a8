#include "core/io/pickle.h"

#include <bit>
#include <unordered_map>

#include "core/io/bytes.h"

namespace lgms::io {
namespace {

using Kind = PickleValue::Kind;

constexpr uint64_t kMaxBytes = uint64_t{1} << 24;  // a value takes about 100 bytes, and each byte may make one

bool is_storage_type(std::string_view name) { return name.starts_with("torch.") && name.ends_with("Storage"); }

bool is_allowed(std::string_view name) {
  return name == "collections.OrderedDict" || name == "torch._utils._rebuild_tensor_v2" ||
         name == "torch._utils._rebuild_parameter" || is_storage_type(name);
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
  void push_string(uint64_t length) { push(Kind::string).text = string(length); }

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
    const std::string full = module + "." + name;
    file_.expect(is_allowed(full), "expected tensors and containers only, but the file wants to call ", full,
                 "; nothing was executed. Re-save the weights alone: torch.save(model.state_dict(), ...)");
    push(Kind::global).text = full;
  }
  void call();
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
};

// REDUCE: function, arguments -> value.
void Machine::call() {
  const PickleValue* arguments = top(Kind::tuple);
  stack_.pop_back();
  const PickleValue* function = top(Kind::global);
  stack_.pop_back();
  if (function->text == "collections.OrderedDict") {
    file_.expect(arguments->items.empty(), "pickle: expected OrderedDict(), got arguments", damaged);
    push(Kind::dict);
  } else {
    file_.expect(!is_storage_type(function->text), "expected tensors and containers only, but the file wants to call ",
                 function->text, "; nothing was executed");
    PickleValue& value = push(Kind::call);
    value.text = function->text;
    value.items = arguments->items;
  }
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
    default: {  // LONG1: two's complement of any length
      const auto length = file_.number<uint8_t>("pickle integer");
      file_.expect(length <= 8, "pickle integer: expected at most 8 bytes, got ", int{length});
      uint64_t value = 0;
      const auto bytes = file_.take(length, "pickle integer");
      for (size_t i = 0; i < bytes.size(); ++i) value |= uint64_t{bytes[i]} << 8 * i;
      if (length > 0 && length < 8 && bytes.back() >= 0x80) value |= ~uint64_t{0} << 8 * length;
      push_integer(static_cast<int64_t>(value));
    }
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
    case 0x8a: step_number(opcode); break;
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
    case 'u': step_container(opcode); break;
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
    case 'R': call(); break;
    case 'Q': {
      PickleValue* id = top(Kind::tuple);
      stack_.pop_back();
      push(Kind::storage).items = id->items;
      break;
    }
    case 'b':  // attributes of an OrderedDict (a state dict's version numbers): not needed
      pop();
      top(Kind::dict);
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
                                   "a list", "a dict", "a type",     "a storage", "a tensor"};
  return names[static_cast<size_t>(kind)];
}

Pickle read_pickle(std::span<const uint8_t> bytes, const std::string& name, ErrorKind kind) {
  check(bytes.size() <= kMaxBytes, kind, '[', name, "] pickle: expected at most ", kMaxBytes, " bytes, got ",
        bytes.size(), "; re-save the weights alone: torch.save(model.state_dict(), ...)");
  return Machine(bytes, name, kind).run();
}

}  // namespace lgms::io
