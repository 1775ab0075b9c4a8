#include "core/formats/pth.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include "core/formats/pickle.h"
#include "core/formats/zip.h"
#include "core/io/bytes.h"
#include "core/io/tensor_bytes.h"

namespace lgms::io {
namespace {

using Kind = PickleValue::Kind;

constexpr const char* remedy = "; re-save the weights alone: torch.save(model.state_dict(), ...)";

void expect_zip(std::span<const uint8_t> bytes, const Reader& file) {
  const auto has = [bytes](size_t offset, std::string_view magic) {
    return bytes.size() >= offset + magic.size() && std::equal(magic.begin(), magic.end(), bytes.begin() + offset,
                                                               [](char a, uint8_t b) { return uint8_t(a) == b; });
  };
  file.expect(!has(257, "ustar") && !has(0, "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"),
              "expected a zip archive, got the container of PyTorch before 1.6; re-save it with a current version: "
              "torch.save(torch.load(FILE, weights_only=True), NEW)");
  file.expect(has(0, "PK\x03\x04"), "expected a PyTorch checkpoint (a zip archive), got something else");
}

// The integers of a tuple, at most one per dimension.
std::optional<std::vector<int64_t>> integers_of(const PickleValue* value) {
  if (value->kind != Kind::tuple || value->items.size() > Shape::kMaxRank) return {};
  std::vector<int64_t> result;
  for (const PickleValue* item : value->items) {
    if (item->kind != Kind::integer || item->integer < 0) return {};
    result.push_back(item->integer);
  }
  return result;
}

class Checkpoint {
 public:
  Checkpoint(std::span<const uint8_t> bytes, const std::string& name)
      : file_(bytes, name, ErrorKind::model), budget_(8 * bytes.size()) {
    expect_zip(bytes, file_);
    entries_ = read_zip(bytes, name, ErrorKind::model);
    constexpr std::string_view pickle = "/data.pkl";
    const auto found =
        std::find_if(entries_.begin(), entries_.end(), [&](const auto& e) { return e.first.ends_with(pickle); });
    file_.expect(found != entries_.end(), "expected a PyTorch checkpoint, got a zip archive without data.pkl");
    folder_ = found->first.substr(0, found->first.size() - pickle.size());
    const auto order = entries_.find(folder_ + "/byteorder");
    file_.expect(order == entries_.end() || std::string(order->second.begin(), order->second.end()) == "little",
                 "byteorder: expected little-endian elements; re-save on a little-endian machine");
    pickle_ = read_pickle(found->second, name, ErrorKind::model);
  }

  std::vector<NamedTensor> tensors();

 private:
  const PickleValue* weights_in(const PickleValue* dict, int depth);
  struct Elements {
    DType dtype;
    std::span<const uint8_t> bytes;
  };
  Elements elements_of(const std::string& name, const PickleValue* storage) const;
  Tensor tensor_of(const std::string& name, const PickleValue* value);

  Reader file_;
  uint64_t budget_;  // bytes of tensors that may still be made: many names may share one storage
  ZipEntries entries_;
  std::string folder_;
  Pickle pickle_;
  std::map<const PickleValue*, const PickleValue*> found_;  // what weights_in returned
};

// storage: ("storage", torch.FloatStorage, key of the zip entry, device, number of elements).
Checkpoint::Elements Checkpoint::elements_of(const std::string& name, const PickleValue* storage) const {
  const auto& id = storage->items;
  file_.expect(storage->kind == Kind::storage && id.size() == 5 && id[0]->text == "storage" &&
                   id[1]->kind == Kind::global && id[2]->kind == Kind::string && id[4]->kind == Kind::integer,
               "tensor \"", name, "\": expected a storage; the file is damaged");
  const std::string& type = id[1]->text;
  const std::optional<DType> dtype = type == "torch.FloatStorage"    ? std::optional(DType::f32)
                                     : type == "torch.DoubleStorage" ? std::optional(DType::f64)
                                     : type == "torch.LongStorage"   ? std::optional(DType::i64)
                                     : type == "torch.ByteStorage"   ? std::optional(DType::u8)
                                                                     : std::nullopt;
  file_.expect(dtype.has_value(), "tensor \"", name, "\": expected float32, float64, int64 or uint8, got ", type,
               "; convert it first, e.g. with .float()");
  const auto entry = entries_.find(folder_ + "/data/" + id[2]->text);
  file_.expect(entry != entries_.end(), "tensor \"", name, "\": expected its elements in the entry data/", id[2]->text,
               ", which is missing; the file is damaged");
  const auto bytes = entry->second;
  file_.expect(id[4]->integer >= 0 && bytes.size() % static_cast<uint64_t>(size_of(*dtype)) == 0 &&
                   bytes.size() / static_cast<uint64_t>(size_of(*dtype)) == static_cast<uint64_t>(id[4]->integer),
               "tensor \"", name, "\": expected ", id[4]->integer, " elements of type ", *dtype, ", got ", bytes.size(),
               " bytes; the file is damaged");
  return {*dtype, bytes};
}

// The arguments of torch._utils._rebuild_tensor_v2: storage, offset, size, stride, ...; nullptr where value is no
// tensor. A parameter is _rebuild_parameter(tensor, ...), a tensor with attributes _rebuild_from_type_v2(function,
// type, arguments, attributes).
const std::vector<PickleValue*>* arguments_of(const PickleValue* value) {
  constexpr std::string_view make = "torch._utils._rebuild_tensor_v2";
  if (value->kind == Kind::call && value->text.starts_with("torch._utils._rebuild_parameter") && !value->items.empty())
    value = value->items[0];
  if (value->kind != Kind::call) return nullptr;
  const std::vector<PickleValue*>* arguments = value->text == make ? &value->items : nullptr;
  if (value->text == "torch._tensor._rebuild_from_type_v2" && value->items.size() == 4 &&
      value->items[0]->text == make && value->items[2]->kind == Kind::tuple)
    arguments = &value->items[2]->items;
  return arguments != nullptr && arguments->size() >= 4 ? arguments : nullptr;
}

Tensor Checkpoint::tensor_of(const std::string& name, const PickleValue* value) {
  const std::vector<PickleValue*>* arguments = arguments_of(value);
  file_.expect(arguments != nullptr, "entry \"", name, "\": expected a tensor, got ",
               value->kind == Kind::object ? value->text : name_of(value->kind),
               "; only a state dict, alone or under a name as {\"state_dict\": ...}, is read", remedy);
  const auto& [storage, offset, sizes, steps] =
      std::tie((*arguments)[0], (*arguments)[1], (*arguments)[2], (*arguments)[3]);
  const auto [dtype, bytes] = elements_of(name, storage);
  const auto extents = integers_of(sizes), strides = integers_of(steps);
  const bool sound =
      offset->kind == Kind::integer && offset->integer >= 0 && extents && strides && extents->size() == strides->size();
  file_.expect(sound, "tensor \"", name, "\": expected an offset and at most ", Shape::kMaxRank,
               " sizes and strides, all non-negative integers");

  // The last element must lie within the storage, and the tensor may not repeat elements of it (stride 0).
  const auto element = static_cast<uint64_t>(size_of(dtype)), count = bytes.size() / element;
  uint64_t last = static_cast<uint64_t>(offset->integer), numel = 1;
  bool fits = true;
  for (size_t i = 0; i < extents->size(); ++i) {
    const auto extent = static_cast<uint64_t>((*extents)[i]), stride = static_cast<uint64_t>((*strides)[i]);
    uint64_t step = 0;
    fits = fits && !__builtin_mul_overflow(numel, extent, &numel) && extent <= uint64_t{1} << 48 &&
           !__builtin_mul_overflow(extent == 0 ? 0 : extent - 1, stride, &step) &&
           !__builtin_add_overflow(last, step, &last);
  }
  file_.expect(fits && numel <= count && (numel == 0 || last < count), "tensor \"", name,
               "\": expected it to lie within the ", count, " elements of its storage; the file is damaged",
               " or the tensor was expanded: make it .contiguous()");
  file_.expect(numel * element <= budget_, "tensor \"", name,
               "\": the file repeats its tensors too often; it is damaged");
  budget_ -= numel * element;

  const Tensor tensor = Tensor::empty(Device::cpu, Shape(*extents), dtype);
  uint8_t* into = bytes_of(tensor).data();
  std::vector<int64_t> index(extents->size());
  uint64_t source = static_cast<uint64_t>(offset->integer);
  for (uint64_t i = 0; i < numel; ++i, into += element) {
    std::copy_n(bytes.data() + source * element, element, into);
    for (size_t axis = index.size(); axis-- > 0;) {
      source += static_cast<uint64_t>((*strides)[axis]);
      if (++index[axis] < (*extents)[axis]) break;
      source -= static_cast<uint64_t>((*strides)[axis] * (*extents)[axis]);
      index[axis] = 0;
    }
  }
  return tensor;
}

// The state dict in a dict: itself where it holds tensors, or what stands under one of the names that scripts give it,
// in any nesting. nullptr where there is none.
const PickleValue* Checkpoint::weights_in(const PickleValue* dict, int depth) {
  constexpr const char* names[] = {"state_dict", "model_state_dict", "model_state", "net_state_dict",
                                   "model_dict", "network_weights",  "checkpoint",  "model",
                                   "net",        "network",          "weights",     "params",
                                   "module"};
  constexpr int deepest = 16;
  if (dict->kind != Kind::dict || depth > deepest) return nullptr;
  const auto [known, fresh] =
      found_.try_emplace(dict, nullptr);  // nullptr too while it is looked into: it may hold itself
  if (!fresh) return known->second;
  const char* first = nullptr;
  const PickleValue* weights = nullptr;
  for (const char* name : names) {
    const PickleValue* value = dict->find(name);
    const PickleValue* inside = value ? weights_in(value, depth + 1) : nullptr;
    if (inside == nullptr || inside == weights) continue;
    file_.expect(weights == nullptr, "expected one state dict, got two, under \"", first ? first : "", "\" and \"",
                 name, '"', remedy);
    weights = inside;
    first = name;
  }
  for (size_t i = 1; i < dict->items.size() && weights == nullptr; i += 2)
    if (arguments_of(dict->items[i])) weights = dict;
  return known->second = weights;
}

std::vector<NamedTensor> Checkpoint::tensors() {
  const PickleValue* dict = weights_in(pickle_.root, 0);
  if (dict == nullptr) dict = pickle_.root;  // tensor_of says what stands there instead
  file_.expect(dict->kind == Kind::dict && !dict->items.empty(),
               "expected a state dict, or {\"state_dict\": ...}, got ",
               dict->kind == Kind::dict ? "an empty one" : name_of(dict->kind), remedy);
  std::vector<NamedTensor> result;
  std::set<std::string> names;
  for (size_t i = 0; i < dict->items.size(); i += 2) {
    const PickleValue& key = *dict->items[i];
    file_.expect(key.kind == Kind::string, "state dict: expected names, got ", name_of(key.kind), " as a key", remedy);
    file_.expect(names.insert(key.text).second, "state dict: the name \"", key.text, "\" stands twice");
    result.push_back({key.text, tensor_of(key.text, dict->items[i + 1])});
  }
  return result;
}

}  // namespace

std::vector<NamedTensor> read_pth(const std::filesystem::path& path) {
  return read_pth(read_file(path, ErrorKind::model), path.string());
}

std::vector<NamedTensor> read_pth(std::span<const uint8_t> bytes, const std::string& name) {
  return Checkpoint(bytes, name).tensors();
}

}  // namespace lgms::io
