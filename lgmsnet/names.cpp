#include "lgmsnet/names.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "core/error.h"

namespace lgms {
namespace {

class Reader {
 public:
  Reader(const NamedTensors& tensors, const std::string& source) : source_(source) {
    for (const auto& [name, tensor] : tensors) shapes_.emplace(name, &tensor.shape());
  }

  const Shape* find(const std::string& name) const {
    const auto found = shapes_.find(name);
    return found == shapes_.end() ? nullptr : found->second;
  }
  const Shape& shape(const std::string& name, int least_rank) const {
    const Shape* found = find(name);
    check(found != nullptr, ErrorKind::model, "[", source_, "] expected the weights of LGMSNet, with a tensor ", name,
          "; it is not there");
    check(found->rank() >= least_rank, ErrorKind::model, "[", source_, "] ", name, ": expected rank ", least_rank,
          " or more, got ", *found);
    return *found;
  }
  // The split of a GMS block: the transformer's width, and the rest.
  Split split(const std::string& block) const {
    const int64_t attention = shape(block + ".transformer.layers.0.0.norm.weight", 1)[0];
    return {attention, shape(block + ".conv1.0.weight", 4)[0] - attention};
  }
  // Encoder stage i ends with conv1_silu at the index that follows its LMS blocks.
  int64_t depth(const std::string& stage) const {
    int64_t depth = 0;
    while (depth <= Config::kMaxDepth && find(stage + "." + std::to_string(depth) + ".local_dwc.weight")) ++depth;
    return depth;
  }
  int64_t width(const std::string& stage) const {
    return shape(stage + "." + std::to_string(depth(stage)) + ".0.weight", 4)[0];
  }

 private:
  std::unordered_map<std::string_view, const Shape*> shapes_;
  const std::string& source_;
};

}  // namespace

NamedTensors with_our_names(NamedTensors tensors) {
  constexpr std::string_view prefixes[] = {"module.", "_orig_mod.", "model.", "net.", "network.", "backbone."};
  size_t cut = 0;
  for (bool again = !tensors.empty(); again;) {
    again = false;
    for (const std::string_view prefix : prefixes) {
      if (!std::all_of(tensors.begin(), tensors.end(),
                       [&](const auto& t) { return std::string_view(t.name).substr(cut).starts_with(prefix); }))
        continue;
      cut += prefix.size();
      again = true;
    }
  }
  for (auto& [name, tensor] : tensors) name.erase(0, cut);
  constexpr std::string_view counter = ".num_batches_tracked", mean = ".running_mean";
  if (std::any_of(tensors.begin(), tensors.end(), [&](const auto& t) { return t.name.ends_with(counter); }))
    return tensors;
  const size_t count = tensors.size();
  for (size_t i = 0; i < count; ++i) {
    const std::string& name = tensors[i].name;
    if (!name.ends_with(mean)) continue;
    std::string missing = name.substr(0, name.size() - mean.size()).append(counter);
    tensors.push_back({std::move(missing), Tensor::zeros(Device::cpu, {}, DType::i64)});
  }
  return tensors;
}

Config config_of(const NamedTensors& tensors, const std::string& source) {
  const Reader r(tensors, source);
  Config config;
  const Shape& stem = r.shape("stem.conv.0.weight", 4);
  config.rank = stem.rank() - 2;
  config.in_channels = stem[1];
  config.classes = r.shape("Conv_1x1.weight", 4)[0];
  config.dims = {stem[0], r.width("encoder2"), r.width("encoder3"), r.shape("encoder4.0.conv1.0.weight", 4)[0],
                 r.shape("encoder5.0.conv1.0.weight", 4)[0]};
  config.splits = {r.split("encoder4.0"), r.split("encoder5.0"), r.split("Up_conv5"), r.split("Up_conv4.1")};
  config.depths = {r.depth("encoder1"), r.depth("encoder2"), r.depth("encoder3")};
  config.validate(source);
  return config;
}

}  // namespace lgms
