#include "nn/checkpoint.h"

#include <charconv>
#include <cmath>
#include <cstdio>

#include "core/error.h"
#include "core/io/safetensors.h"

namespace lgms::nn {
namespace {

constexpr const char* kFormat = "1";
constexpr std::string_view kSetting = "lgms.setting.", kOptimizer = "optimizer.";

// Reads entries of the metadata; every failure names the file and the key.
struct Fields {
  const io::Metadata& metadata;
  std::string source;

  const std::string& text(const std::string& key) const {
    const auto found = metadata.find(key);
    check(found != metadata.end(), ErrorKind::model, "[", source, "] ", key,
          ": expected a training checkpoint, which has this entry; give the `last` file of a run");
    return found->second;
  }
  template <class T>
  T number(const std::string& key) const {
    const std::string& digits = text(key);
    T value{};
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    check(error == std::errc() && end == digits.data() + digits.size(), ErrorKind::model, "[", source, "] ", key,
          ": expected a number, got \"", digits, "\"");
    return value;
  }
};

template <class T>
bool all_finite(const Tensor& t) {
  for (T v : t.span<T>())
    if (!std::isfinite(v)) return false;
  return true;
}

void check_finite(const std::string& name, const Tensor& t, int64_t step) {
  const bool finite = t.dtype() == DType::f32 ? all_finite<float>(t) : t.dtype() != DType::f64 || all_finite<double>(t);
  check(finite, ErrorKind::internal, "[train] ", name, ": expected finite numbers after step ", step,
        ", got others; the checkpoint before is kept; try a lower learning rate");
}

}  // namespace

std::string exact_text(double value) {
  char digits[32];
  return {digits, std::to_chars(digits, digits + sizeof digits, value).ptr};
}

void save_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint) {
  const Progress& at = checkpoint.progress;
  io::Metadata metadata{{"lgms.checkpoint", kFormat},
                        {"lgms.isa", checkpoint.isa},
                        {"lgms.epoch", std::to_string(at.epoch)},
                        {"lgms.batch", std::to_string(at.batch)},
                        {"lgms.step", std::to_string(at.step)},
                        {"lgms.loss_sum", exact_text(at.loss_sum)},
                        {"lgms.best", exact_text(at.best)},
                        {"lgms.best_epoch", std::to_string(at.best_epoch)}};
  std::string names;
  for (const auto& [name, value] : checkpoint.settings) {
    metadata[std::string(kSetting) + name] = value;
    names += names.empty() ? name : " " + name;
  }
  metadata["lgms.settings"] = names;  // their order
  NamedTensors tensors;
  for (const auto* list : {&checkpoint.weights, &checkpoint.optimiser})
    for (const auto& [name, tensor] : *list) {
      check_finite(name, tensor, at.step);
      tensors.push_back({name, tensor});
    }
  io::write_safetensors(path, tensors, metadata);
}

Checkpoint load_checkpoint(const std::filesystem::path& path) {
  const io::Safetensors file = io::read_safetensors(path);
  const Fields fields{file.metadata, path.string()};
  check(fields.text("lgms.checkpoint") == kFormat, ErrorKind::model, "[", path.string(),
        "] lgms.checkpoint: expected format ", kFormat, ", got ", fields.text("lgms.checkpoint"),
        "; it was written by a newer version");
  Checkpoint checkpoint;
  checkpoint.progress = {fields.number<int64_t>("lgms.epoch"), fields.number<int64_t>("lgms.batch"),
                         fields.number<int64_t>("lgms.step"),  fields.number<double>("lgms.loss_sum"),
                         fields.number<double>("lgms.best"),   fields.number<int64_t>("lgms.best_epoch")};
  checkpoint.isa = fields.text("lgms.isa");
  const std::string& names = fields.text("lgms.settings");
  for (size_t from = 0; from < names.size();) {
    const size_t to = std::min(names.find(' ', from), names.size());
    const std::string name = names.substr(from, to - from);
    checkpoint.settings.emplace_back(name, fields.text(std::string(kSetting) + name));
    from = to + 1;
  }
  for (const NamedTensor& t : file.tensors)
    (t.name.starts_with(kOptimizer) ? checkpoint.optimiser : checkpoint.weights).push_back(t);
  return checkpoint;
}

void check_settings(const Settings& saved, const Settings& now, const std::string& source) {
  for (size_t i = 0; i < std::max(saved.size(), now.size()); ++i) {
    check(i < saved.size() && i < now.size() && saved[i].first == now[i].first, ErrorKind::usage, "[", source,
          "] settings: expected the same list; the run was started by another version of this program");
    check(saved[i].second == now[i].second, ErrorKind::usage, "[resume] ", saved[i].first, ": the run in ", source,
          " was started with ", saved[i].second, ", got ", now[i].second,
          "; continue with the same settings or start a new run");
  }
}

std::string hash_of(const std::vector<std::string>& lines) {
  uint64_t hash = 0xcbf29ce484222325;
  const auto mix = [&](unsigned char byte) { hash = (hash ^ byte) * 0x100000001b3; };
  for (const std::string& line : lines) {
    for (char c : line) mix(static_cast<unsigned char>(c));
    mix('\n');
  }
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(hash));
  return digits;
}

}  // namespace lgms::nn
