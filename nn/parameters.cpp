#include "nn/parameters.h"

#include <cmath>

#include "core/error.h"
#include "core/rng.h"

namespace lgms::nn {

double default_bound(int64_t fan_in) { return 1.0 / std::sqrt(static_cast<double>(fan_in)); }

ParameterStore::ParameterStore(const std::vector<ParameterSpec>& specs, uint64_t seed, DType dtype) {
  for (const ParameterSpec& spec : specs) {
    Tensor value = Tensor::full(spec.shape, spec.value, spec.dtype);
    if (spec.bound > 0) {
      Rng rng(seed, Purpose::init, 0, static_cast<uint32_t>(entries_.size()));
      for (float& v : value.span<float>()) v = static_cast<float>(rng.uniform(-spec.bound, spec.bound));
    }
    if (spec.dtype == DType::f32) value = value.to(dtype);
    check(index_.emplace(spec.name, entries_.size()).second, ErrorKind::internal, "[parameters] ", spec.name,
          ": expected each name once");
    if (spec.trained)
      entries_.push_back({spec.name, autograd::Variable(value, true), {}});
    else
      entries_.push_back({spec.name, {}, value});
  }
}

const autograd::Variable& ParameterStore::parameter(const std::string& name) const {
  const auto found = index_.find(name);
  check(found != index_.end() && entries_[found->second].trained(), ErrorKind::internal,
        "[parameters] no parameter named ", name);
  return entries_[found->second].parameter;
}

const Tensor& ParameterStore::buffer(const std::string& name) const {
  const auto found = index_.find(name);
  check(found != index_.end() && !entries_[found->second].trained(), ErrorKind::internal,
        "[parameters] no buffer named ", name);
  return entries_[found->second].buffer;
}

std::vector<autograd::Variable> ParameterStore::parameters() const {
  std::vector<autograd::Variable> all;
  for (const Entry& entry : entries_)
    if (entry.trained()) all.push_back(entry.parameter);
  return all;
}

int64_t ParameterStore::trained_elements() const {
  int64_t sum = 0;
  for (const Entry& entry : entries_)
    if (entry.trained()) sum += entry.value().numel();
  return sum;
}

void ParameterStore::load(const NamedTensors& tensors, const std::string& source) {
  std::vector<Tensor> values(entries_.size());
  for (const auto& [name, tensor] : tensors) {
    const auto found = index_.find(name);
    check(found != index_.end(), ErrorKind::model, "[", source, "] ", name,
          ": the network has no such tensor; is this a model of another architecture?");
    const Tensor& target = entries_[found->second].value();
    check(tensor.shape() == target.shape(), ErrorKind::model, "[", source, "] ", name, ": expected shape ",
          target.shape(), ", got ", tensor.shape());
    values[found->second] = tensor.dense().to(target.dtype());
    if (target.dtype() == DType::f32 || target.dtype() == DType::f64) {
      const Tensor wide = values[found->second].to(DType::f64);
      for (double v : wide.span<double>())
        check(std::isfinite(v), ErrorKind::model, "[", source, "] ", name, ": expected finite numbers, got ", v,
              "; the model is damaged or its training diverged");
    }
  }
  for (size_t i = 0; i < entries_.size(); ++i)
    check(values[i].defined(), ErrorKind::model, "[", source, "] ", entries_[i].name,
          ": the file does not hold this tensor, shape ", entries_[i].value().shape());
  for (size_t i = 0; i < entries_.size(); ++i) {
    entries_[i].value().copy_from(values[i]);
    entries_[i].value().bump_version();
  }
}

NamedTensors ParameterStore::tensors() const {
  NamedTensors all;
  for (const Entry& entry : entries_) all.push_back({entry.name, entry.value()});
  return all;
}

void ParameterStore::clear_grads() const {
  for (const Entry& entry : entries_) entry.parameter.clear_grad();
}

}  // namespace lgms::nn
