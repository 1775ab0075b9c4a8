#pragma once
// What a network owns: named parameters that are trained and named buffers that are not.
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "autograd/variable.h"
#include "core/parameter_spec.h"

namespace lgms::nn {

// On the device of the context that is current when it is made.
class ParameterStore {
 public:
  struct Entry {
    std::string name;
    autograd::Variable parameter;  // undefined for a buffer
    Tensor buffer;                 // undefined for a parameter
    double least;                  // of its numbers
    const Tensor& value() const { return parameter.defined() ? parameter.value() : buffer; }
    bool trained() const { return parameter.defined(); }
  };

  ParameterStore() = default;
  // Every tensor is drawn from its own stream of (seed, init, index), so one more layer changes no other's numbers.
  // dtype: f32 or f64, of everything but integer buffers (whose numbers are the f32 ones either way).
  ParameterStore(const std::vector<ParameterSpec>& specs, uint64_t seed, DType dtype = DType::f32);
  // The numbers of a file, whose storage is shared where they need no conversion. Throws as load does.
  ParameterStore(const std::vector<ParameterSpec>& specs, const NamedTensors& tensors, const std::string& source,
                 DType dtype = DType::f32);

  const std::vector<Entry>& entries() const { return entries_; }  // in the order of the specs
  bool contains(const std::string& name) const { return index_.contains(name); }
  // Throw Error{internal} where there is no such name, or it is of the other kind.
  const autograd::Variable& parameter(const std::string& name) const;
  const Tensor& buffer(const std::string& name) const;
  std::vector<autograd::Variable> parameters() const;  // the trained ones, in order
  int64_t trained_elements() const;

  // Copies values in by name (shapes must match, types are converted). Throws Error{model} naming source and the first
  // tensor that is missing, left over, of another shape, not finite or below its `least`; then nothing was changed.
  void load(const NamedTensors& tensors, const std::string& source);
  // Names and values, sharing storage.
  NamedTensors tensors() const;
  void clear_grads() const;

 private:
  void add(const ParameterSpec& spec, Tensor value);
  std::vector<ParameterSpec> specs() const;

  std::vector<Entry> entries_;
  std::unordered_map<std::string, size_t> index_;
};

}  // namespace lgms::nn
