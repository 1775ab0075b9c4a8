#include "core/io/pth.h"

#include <algorithm>
#include <optional>
#include <set>

#include "core/io/bytes.h"
#include "core/io/pickle.h"
#include "core/io/tensor_bytes.h"
#include "core/io/zip.h"

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

// value: torch._utils._rebuild_tensor_v2(storage, offset, size, stride, ...), or _rebuild_parameter of one.
Tensor Checkpoint::tensor_of(const std::string& name, const PickleValue* value) {
  if (value->kind == Kind::call && value->text == "torch._utils._rebuild_parameter" && !value->items.empty())
    value = value->items[0];
  file_.expect(
      value->kind == Kind::call && value->text == "torch._utils._rebuild_tensor_v2" && value->items.size() >= 4,
      "entry \"", name, "\": expected a tensor, got ", name_of(value->kind),
      "; only a state dict, or {\"state_dict\": ...}, is read", remedy);
  const auto [dtype, bytes] = elements_of(name, value->items[0]);
  const auto extents = integers_of(value->items[2]), strides = integers_of(value->items[3]);
  const bool sound = value->items[1]->kind == Kind::integer && value->items[1]->integer >= 0 && extents && strides &&
                     extents->size() == strides->size();
  file_.expect(sound, "tensor \"", name, "\": expected an offset and at most ", Shape::kMaxRank,
               " sizes and strides, all non-negative integers");

  // The last element must lie within the storage, and the tensor may not repeat elements of it (stride 0).
  const auto element = static_cast<uint64_t>(size_of(dtype)), count = bytes.size() / element;
  uint64_t last = static_cast<uint64_t>(value->items[1]->integer), numel = 1;
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

  const Tensor tensor = Tensor::empty(Shape(*extents), dtype);
  uint8_t* into = bytes_of(tensor).data();
  std::vector<int64_t> index(extents->size());
  uint64_t source = static_cast<uint64_t>(value->items[1]->integer);
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

std::vector<NamedTensor> Checkpoint::tensors() {
  const PickleValue* dict = pickle_.root;
  if (const PickleValue* inner = dict->find("state_dict")) dict = inner;
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

void strip_prefix(std::vector<NamedTensor>& tensors, std::string_view prefix) {
  if (std::all_of(tensors.begin(), tensors.end(), [&](const auto& t) { return t.name.starts_with(prefix); }))
    for (NamedTensor& t : tensors) t.name.erase(0, prefix.size());
}

}  // namespace

std::vector<NamedTensor> read_pth(const std::filesystem::path& path) {
  return read_pth(read_file(path, ErrorKind::model), path.string());
}

std::vector<NamedTensor> read_pth(std::span<const uint8_t> bytes, const std::string& name) {
  auto tensors = Checkpoint(bytes, name).tensors();
  strip_prefix(tensors, "module.");
  strip_prefix(tensors, "backbone.");
  return tensors;
}

}  // namespace lgms::io
