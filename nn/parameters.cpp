#include "nn/parameters.h"

#include "core/context.h"
#include "core/error.h"
#include "core/rng.h"

namespace lgms::nn {

ParameterStore::ParameterStore(const std::vector<ParameterSpec>& specs, uint64_t seed, DType dtype) {
  for (const ParameterSpec& spec : specs) {
    Tensor value = Tensor::empty(Device::cpu, spec.shape, spec.dtype);
    value.fill(spec.value);
    if (spec.bound > 0) {
      Rng rng(seed, Purpose::init, 0, static_cast<uint32_t>(entries_.size()));
      for (float& v : value.span<float>()) v = static_cast<float>(rng.uniform(-spec.bound, spec.bound));
    }
    if (spec.dtype == DType::f32) value = value.to(dtype);
    add(spec, value.to(Context::current().device()));
  }
}

ParameterStore::ParameterStore(const std::vector<ParameterSpec>& specs, const NamedTensors& tensors,
                               const std::string& source, DType dtype) {
  std::vector<Tensor> values = values_of(specs, tensors, source, dtype);
  for (size_t i = 0; i < specs.size(); ++i) add(specs[i], values[i].to(Context::current().device()));
}

void ParameterStore::add(const ParameterSpec& spec, Tensor value) {
  check(index_.emplace(spec.name, entries_.size()).second, ErrorKind::internal, "[parameters] ", spec.name,
        ": expected each name once");
  Entry entry{spec.name, {}, {}, spec.least};
  if (spec.trained)
    entry.parameter = autograd::Variable(std::move(value), true);
  else
    entry.buffer = std::move(value);
  entries_.push_back(std::move(entry));
}

std::vector<ParameterSpec> ParameterStore::specs() const {
  std::vector<ParameterSpec> all;
  for (const Entry& e : entries_)
    all.push_back({.name = e.name, .shape = e.value().shape(), .dtype = e.value().dtype(), .least = e.least});
  return all;
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
  const std::vector<Tensor> values = values_of(specs(), tensors, source, DType::f32);
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
