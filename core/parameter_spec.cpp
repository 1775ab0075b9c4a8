#include "core/parameter_spec.h"

#include <string_view>
#include <unordered_map>

#include "core/error.h"

namespace lgms {
namespace {

// Throws unless all numbers are finite, from spec.least on, and not beyond `most`.
void expect_numbers(const Tensor& numbers, const ParameterSpec& spec, double most, const std::string& source) {
  const Tensor wide = numbers.to(DType::f64);
  for (const double v : wide.span<double>()) {
    if (v >= spec.least && v <= most) continue;  // of millions
    fail(ErrorKind::model, "[", source, "] ", spec.name,
         std::isfinite(v) ? text(": expected numbers from ", spec.least, " to ", most) : ": expected finite numbers",
         ", got ", v, "; the model is damaged or its training diverged");
  }
}

}  // namespace

std::vector<Tensor> in_order(const std::vector<ParameterSpec>& specs, const NamedTensors& tensors,
                             const std::string& source) {
  std::unordered_map<std::string_view, size_t> index;
  for (size_t i = 0; i < specs.size(); ++i) index.emplace(specs[i].name, i);
  std::vector<Tensor> ordered(specs.size());
  for (const auto& [name, tensor] : tensors) {
    const auto found = index.find(name);
    check(found != index.end(), ErrorKind::model, "[", source, "] ", name,
          name.starts_with("optimizer.")
              ? ": this is a run's checkpoint; its model is model.safetensors beside it"
              : ": the network has no such tensor; is this a model of another architecture?");
    check(!ordered[found->second].defined(), ErrorKind::model, "[", source, "] ", name, ": expected this tensor once");
    const Shape& shape = specs[found->second].shape;
    check(tensor.shape() == shape, ErrorKind::model, "[", source, "] ", name, ": expected shape ", shape, ", got ",
          tensor.shape());
    ordered[found->second] = tensor;
  }
  for (size_t i = 0; i < specs.size(); ++i)
    check(ordered[i].defined(), ErrorKind::model, "[", source, "] ", specs[i].name,
          ": the file does not hold this tensor, shape ", specs[i].shape);
  return ordered;
}

std::vector<Tensor> values_of(const std::vector<ParameterSpec>& specs, const NamedTensors& tensors,
                              const std::string& source, DType dtype) {
  std::vector<Tensor> values = in_order(specs, tensors, source);
  for (size_t i = 0; i < specs.size(); ++i) {
    const DType type = specs[i].dtype == DType::f32 ? dtype : specs[i].dtype;
    const double most = type == DType::f64   ? std::numeric_limits<double>::max()
                        : type == DType::f32 ? double{std::numeric_limits<float>::max()}
                                             : 0x1p53;
    values[i] = values[i].dense();
    expect_numbers(values[i], specs[i], most, source);
    values[i] = values[i].to(type);
  }
  return values;
}

}  // namespace lgms
