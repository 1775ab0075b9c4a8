#include "nn/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <set>

#include "core/error.h"
#include "core/io/crc32.h"
#include "core/io/files.h"
#include "core/io/safetensors.h"

namespace lgms::nn {
namespace {

constexpr const char* kFormat = "1";
constexpr std::string_view kOurs = "lgms.", kSetting = "lgms.setting.", kOptimizer = "optimizer.";
// The first is of the tensors, the second of the rest of the metadata.
constexpr const char *kTensorChecksum = "lgms.checksum", *kChecksum = "lgms.metadata_checksum";

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

std::string checksum_of(const io::Metadata& metadata) {
  uint32_t crc = 0;
  for (const auto& [key, value] : metadata) {
    if (key == kTensorChecksum || key == kChecksum) continue;
    for (const std::string& part : {key, value})
      crc = io::crc32({reinterpret_cast<const uint8_t*>(part.c_str()), part.size() + 1}, crc);
  }
  char digits[16];
  std::snprintf(digits, sizeof digits, "crc32:%08x", crc);
  return digits;
}

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
  metadata[kChecksum] = checksum_of(metadata);
  NamedTensors tensors;
  for (const auto* list : {&checkpoint.weights, &checkpoint.optimiser})
    for (const auto& [name, tensor] : *list) {
      tensors.push_back({name, tensor.to(Device::cpu)});
      check_finite(name, tensors.back().tensor, at.step);
    }
  io::write_safetensors(path, tensors, metadata);
}

Checkpoint load_checkpoint(const std::filesystem::path& path) {
  const io::Safetensors file = io::read_safetensors(path);
  const Fields fields{file.metadata, path.string()};
  check(fields.text("lgms.checkpoint") == kFormat, ErrorKind::model, "[", path.string(),
        "] lgms.checkpoint: expected format ", kFormat, ", got ", fields.text("lgms.checkpoint"),
        "; it was written by a newer version");
  if (file.metadata.contains(kChecksum))  // older versions wrote none
    check(fields.text(kChecksum) == checksum_of(file.metadata), ErrorKind::model, "[", path.string(), "] ", kChecksum,
          ": expected ", fields.text(kChecksum), ", got ", checksum_of(file.metadata), "; the file is damaged");
  Checkpoint checkpoint;
  checkpoint.progress = {fields.number<int64_t>("lgms.epoch"), fields.number<int64_t>("lgms.batch"),
                         fields.number<int64_t>("lgms.step"),  fields.number<double>("lgms.loss_sum"),
                         fields.number<double>("lgms.best"),   fields.number<int64_t>("lgms.best_epoch")};
  checkpoint.isa = fields.text("lgms.isa");
  const std::string& names = fields.text("lgms.settings");
  std::set<std::string> known{"lgms.checkpoint", "lgms.isa",      "lgms.epoch", "lgms.batch",
                              "lgms.step",       "lgms.loss_sum", "lgms.best",  "lgms.best_epoch",
                              "lgms.settings",   kTensorChecksum, kChecksum};
  for (size_t from = 0; from < names.size();) {
    const size_t to = std::min(names.find(' ', from), names.size());
    const std::string name = names.substr(from, to - from), key = std::string(kSetting) + name;
    check(known.insert(key).second, ErrorKind::model, "[", path.string(),
          "] lgms.settings: expected each name once, \"", name, "\" stands twice");
    checkpoint.settings.emplace_back(name, fields.text(key));
    from = to + 1;
  }
  for (const auto& [key, value] : file.metadata)
    check(!key.starts_with(kOurs) || known.contains(key), ErrorKind::model, "[", path.string(), "] ", key,
          ": expected no such entry; a newer version wrote the file, or it is damaged");
  for (const NamedTensor& t : file.tensors)
    (t.name.starts_with(kOptimizer) ? checkpoint.optimiser : checkpoint.weights).push_back(t);
  return checkpoint;
}

void check_settings(const Settings& saved, const Settings& now, const std::string& source) {
  const auto value_in = [](const Settings& settings, const std::string& name) {
    const auto found = std::find_if(settings.begin(), settings.end(), [&](const auto& s) { return s.first == name; });
    return found == settings.end() ? nullptr : &found->second;
  };
  for (const auto& [name, value] : now)
    if (const std::string* before = value_in(saved, name))
      check(*before == value, ErrorKind::usage, "[resume] ", name, ": the run in ", source, " was started with ",
            *before, ", got ", value, "; continue with the same settings or start a new run");
  for (const auto& [name, value] : saved)
    check(value_in(now, name) != nullptr, ErrorKind::model, "[", source, "] settings: expected no \"", name,
          "\"; the run was started by another version of this program");
  for (const auto& [name, value] : now)
    check(value_in(saved, name) != nullptr, ErrorKind::model, "[", source, "] settings: expected one for \"", name,
          "\"; the run was started by another version of this program");
}

void check_progress(const Progress& at, const Course& course, const std::string& source) {
  const auto expect = [&](const char* key, bool possible, const auto&... expected_and_got) {
    check(possible, ErrorKind::model, "[", source, "] ", key, ": expected ", expected_and_got...,
          "; the file is damaged");
  };
  const auto within = [&](const char* key, int64_t value, int64_t low, int64_t high) {
    expect(key, value >= low && value <= high, low, " to ", high, ", got ", value);
  };
  within("lgms.epoch", at.epoch, 0, course.epochs);
  within("lgms.batch", at.batch, 0, at.epoch < course.epochs ? course.batches : 0);
  const int64_t step = at.epoch * course.batches + at.batch;
  expect("lgms.step", at.step == step, step, ", which ", at.epoch, " epochs and ", at.batch, " batches make, got ",
         at.step);
  if (at.batch == 0)
    expect("lgms.loss_sum", at.loss_sum == 0, "0 at the start of an epoch, got ", at.loss_sum);
  else
    expect("lgms.loss_sum", std::isfinite(at.loss_sum) && at.loss_sum >= 0, "a finite number from 0, got ",
           at.loss_sum);
  if (at.best == Progress{}.best) {
    within("lgms.best_epoch", at.best_epoch, 0, 0);
  } else {
    expect("lgms.best", at.best >= 0 && at.best <= 1, "0 to 1, or ", Progress{}.best, " before there is one, got ",
           at.best);
    within("lgms.best_epoch", at.best_epoch, 1, at.epoch);
    expect("lgms.best_epoch", course.validates(at.best_epoch), "an epoch after which was validated, got ",
           at.best_epoch);
  }
}

std::string hash_of(const std::vector<std::string>& lines) {
  std::string all;
  for (const std::string& line : lines) all += line + '\n';
  return io::hash_of(all);
}

}  // namespace lgms::nn
