#include "core/io/safetensors.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <set>
#include <tuple>

#include "core/io/bytes.h"
#include "core/io/crc32.h"
#include "core/io/json.h"
#include "core/io/output_file.h"
#include "core/io/tensor_bytes.h"

namespace lgms::io {
namespace {

constexpr uint64_t kMaxHeader = 100'000'000;
constexpr const char *kMetadataKey = "__metadata__", *kChecksumKey = "lgms.checksum";

constexpr const char* remedy = "; the file is damaged or was not written by a safetensors library";

struct Entry {
  std::string name, type;
  Shape shape;
  uint64_t begin, end;
};

std::string checksum_text(uint32_t crc) {
  char digits[16];
  std::snprintf(digits, sizeof digits, "crc32:%08x", crc);
  return digits;
}

Metadata metadata_of(const Json& value, const Reader& file) {
  file.expect(value.is_object(), "__metadata__: expected an object of strings", remedy);
  Metadata metadata;
  for (const auto& [key, text] : value.members()) {
    file.expect(text.is_string(), "__metadata__ \"", key, "\": expected a string, got something else", remedy);
    metadata[key] = text.string();
  }
  return metadata;
}

uint64_t bytes_of_type(const std::string& type, const std::string& tensor, const Reader& file) {
  if (type == "F64" || type == "I64") return 8;
  if (type == "F32" || type == "I32") return 4;
  if (type == "U8" || type == "BOOL") return 1;
  file.expect(false, "tensor \"", tensor, "\": expected type F32, F64, I64, I32, U8 or BOOL, got \"", type,
              "\"; convert it to float32 first");
  return 0;
}

// The array of `count` (any number if 0) non-negative integers under `key`.
std::vector<int64_t> integers_of(const Json& info, const char* key, size_t count, const std::string& tensor,
                                 const Reader& file) {
  const Json* found = info.find(key);
  const bool ok = found != nullptr && found->is_array() && (count == 0 || found->size() == count) &&
                  std::all_of(found->items().begin(), found->items().end(), [](const Json& v) {
                    return v.fits_int64() && v.integer() >= 0 && v.integer() < int64_t{1} << 62;
                  });
  file.expect(ok, "tensor \"", tensor, "\": expected non-negative integers under \"", key, "\"", remedy);
  std::vector<int64_t> integers;
  for (const Json& v : found->items()) integers.push_back(v.integer());
  return integers;
}

Entry entry_of(const std::string& name, const Json& info, uint64_t data_bytes, const Reader& file) {
  const Json* type = info.find("dtype");
  file.expect(type != nullptr && type->is_string(), "tensor \"", name, "\": expected dtype, shape and data_offsets",
              remedy);
  Entry entry{name, type->string(), {}, 0, 0};
  uint64_t bytes = bytes_of_type(entry.type, name, file);
  const auto extents = integers_of(info, "shape", 0, name, file);
  file.expect(extents.size() <= Shape::kMaxRank, "tensor \"", name, "\": expected at most ", Shape::kMaxRank,
              " dimensions, got ", extents.size());
  for (int64_t extent : extents)
    file.expect(!__builtin_mul_overflow(bytes, static_cast<uint64_t>(extent), &bytes) && bytes <= uint64_t{1} << 48,
                "tensor \"", name, "\": expected a shape that fits the file, got more than 2^48 bytes", remedy);

  const auto offsets = integers_of(info, "data_offsets", 2, name, file);
  entry.begin = static_cast<uint64_t>(offsets[0]);
  entry.end = static_cast<uint64_t>(offsets[1]);
  file.expect(entry.begin <= entry.end && entry.end <= data_bytes, "tensor \"", name,
              "\": expected data_offsets within the file's ", data_bytes, " bytes of data, got ", entry.begin, "..",
              entry.end, "; the file is cut short or damaged");
  file.expect(entry.end - entry.begin == bytes, "tensor \"", name, "\": its shape and type need ", bytes,
              " bytes, got ", entry.end - entry.begin, remedy);
  entry.shape = Shape(extents);
  return entry;
}

Tensor tensor_of(const Entry& entry, std::span<const uint8_t> bytes) {
  const DType dtype = entry.type == "F32"    ? DType::f32
                      : entry.type == "F64"  ? DType::f64
                      : entry.type[0] == 'I' ? DType::i64
                                             : DType::u8;
  Tensor tensor = Tensor::empty(Device::cpu, entry.shape, dtype);
  if (entry.type != "I32") {
    std::copy(bytes.begin(), bytes.end(), bytes_of(tensor).begin());
    return tensor;
  }
  for (int64_t& element : tensor.span<int64_t>()) {
    int32_t value;
    std::memcpy(&value, bytes.data(), sizeof value);
    element = value;
    bytes = bytes.subspan(sizeof value);
  }
  return tensor;
}

const char* type_name(DType dtype) {
  return dtype == DType::f32 ? "F32" : dtype == DType::f64 ? "F64" : dtype == DType::i64 ? "I64" : "U8";
}

// JSON text of a name or of metadata, which safetensors wants to be UTF-8.
void expect_utf8(std::string_view text) {
  check(is_utf8(text), ErrorKind::usage, "[write_safetensors] names and metadata: expected UTF-8, got \"", text, '"');
}

}  // namespace

const Tensor* Safetensors::find(std::string_view name) const {
  for (const NamedTensor& t : tensors)
    if (t.name == name) return &t.tensor;
  return nullptr;
}

Safetensors read_safetensors(const std::filesystem::path& path) {
  return read_safetensors(read_file(path, ErrorKind::model), path.string());
}

Safetensors read_safetensors(std::span<const uint8_t> bytes, const std::string& name) {
  Reader file(bytes, name, ErrorKind::model);
  constexpr uint8_t zip[] = {'P', 'K', 3, 4};
  file.expect(
      bytes.size() < 4 || !std::equal(zip, zip + 4, bytes.begin()),
      "expected a model (safetensors), got a zip archive; a PyTorch checkpoint becomes a model by lgmsnet convert");
  const auto header_bytes = file.number<uint64_t>("header length");
  file.expect(header_bytes <= kMaxHeader, "header: expected at most ", kMaxHeader, " bytes, got ", header_bytes,
              remedy);
  const auto header = file.take(header_bytes, "header");
  const auto data = file.take(file.remaining(), "data");
  file.expect(!header.empty() && header[0] == '{', "header: expected a JSON object", remedy);
  const auto [root, problem] = parse_json({reinterpret_cast<const char*>(header.data()), header.size()});
  file.expect(problem.empty(), "header: expected JSON, got: ", problem, remedy);

  Safetensors result;
  std::vector<Entry> entries;
  for (const auto& [key, info] : root.members())
    if (key == kMetadataKey)
      result.metadata = metadata_of(info, file);
    else
      entries.push_back(entry_of(key, info, data.size(), file));
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });

  uint64_t covered = 0;
  for (const Entry& entry : entries) {
    file.expect(entry.begin == covered, "tensor \"", entry.name, "\": expected its data to begin at ", covered,
                ", where the one before ends, got ", entry.begin, remedy);
    covered = entry.end;
  }
  file.expect(covered == data.size(), "data: expected ", covered, " bytes, got ", data.size(), remedy);
  if (const auto checksum = result.metadata.find(kChecksumKey); checksum != result.metadata.end())
    file.expect(checksum->second == checksum_text(crc32(data)), kChecksumKey, ": expected ", checksum->second, ", got ",
                checksum_text(crc32(data)),
                "; the file is damaged (a program that changes tensors must remove the entry)");
  for (const Entry& entry : entries)
    result.tensors.push_back({entry.name, tensor_of(entry, data.subspan(entry.begin, entry.end - entry.begin))});
  return result;
}

void write_safetensors(const std::filesystem::path& path, std::span<const NamedTensor> tensors,
                       const Metadata& metadata) {
  Metadata all = metadata;
  uint32_t checksum = 0;
  for (const auto& [name, tensor] : tensors) checksum = crc32(bytes_of(tensor.to(Device::cpu).dense()), checksum);
  all[kChecksumKey] = checksum_text(checksum);
  for (const auto& [key, value] : all) {
    expect_utf8(key);
    expect_utf8(value);
  }
  Json members = Json::object();
  for (const auto& [key, value] : all) members[key] = value;
  std::string header = "{" + Json(kMetadataKey).dump() + ":" + members.dump();
  std::set<std::string_view> names{kMetadataKey};
  int64_t end = 0;
  for (const auto& [name, tensor] : tensors) {
    check(names.insert(name).second, ErrorKind::usage, "[write_safetensors] tensors: the name \"", name,
          "\" stands twice");
    expect_utf8(name);
    const int64_t begin = std::exchange(end, end + tensor.numel() * size_of(tensor.dtype()));
    header += "," + Json(name).dump() + ":" +
              Json::object({{"dtype", type_name(tensor.dtype())},
                            {"shape", tensor.shape().extents()},
                            {"data_offsets", std::array{begin, end}}})
                  .dump();
  }
  header += '}';
  header.append((8 - header.size() % 8) % 8, ' ');  // so that the elements of a mapped file are aligned

  OutputFile file(path);
  const uint64_t header_bytes = header.size();
  file.write({reinterpret_cast<const uint8_t*>(&header_bytes), sizeof header_bytes});
  file.write(header);
  for (const auto& [name, tensor] : tensors) file.write(bytes_of(tensor.to(Device::cpu).dense()));
  file.commit();
}

}  // namespace lgms::io
