#pragma once
// The builder that computes nothing: shapes, parameters, operation counts and memory of every layer.
#include <initializer_list>
#include <string>
#include <vector>

#include "core/shape.h"
#include "lgmsnet/config.h"
#include "lgmsnet/network.h"
#include "nn/parameter_spec.h"

namespace lgms {

// One op of the network, in the order of execution.
struct LayerRow {
  std::string name, op;  // name is empty for ops without parameters
  Shape output;
  std::vector<nn::ParameterSpec> parameters;
  int64_t macs = 0;            // multiply-adds of convolutions and linear layers
  int64_t attention_macs = 0;  // of q k^T and p v
  int64_t upsample_macs = 0;   // of the interpolation
  std::string stage;           // top-level module, e.g. "encoder4"

  int64_t trained_elements() const;
};

class ShapeBuilder {
 public:
  struct Value {
    Shape shape;
  };
  using Norm = NormArguments<Value>;

  explicit ShapeBuilder(const Config& config) : config_(config) {}

  Value convolution(const std::string& name, const Value& x, int64_t cout, int64_t k, int64_t groups, bool bias);
  Value depthwise(const std::string& name, const Value& x, int64_t k);
  Value multiscale_depthwise(const std::string& name, const Value& x);
  Value norm(const std::string& name, const Value& x, const Norm& options);
  Value batch_norm(const std::string& name, const Value& x, const Norm& options);
  Value group_norm(const std::string& name, const Value& x, int64_t groups, const Norm& options);
  Value layer_norm(const std::string& name, const Value& x);
  Value linear(const std::string& name, const Value& x, int64_t out, bool bias);
  Value attention(const Value& qkv, int64_t heads);
  Value activation(const Value& x, Activation kind);
  Value add(const Value& a, const Value& b);
  Value concat(std::initializer_list<Value> parts);
  Value split(const Value& x, int64_t first, int64_t count);
  Value upsample(const Value& x);
  Value max_pool(const Value& x);
  Value stage(const std::string& name, const Value& x);
  template <class F>
  Value segment(const Value& x, const F& f) {
    return f(*this, x);
  }
  template <class F>
  Value segment(const Value& x, const Value& y, const F& f) {
    return f(*this, x, y);
  }
  int64_t channels(const Value& x) const { return x.shape.channels(); }
  int rank() const { return config_.rank; }

  const std::vector<LayerRow>& rows() const { return rows_; }

 private:
  Value record(LayerRow row);
  nn::ParameterSpec weight(const std::string& name, int64_t cout, int64_t cin, int64_t k) const;

  Config config_;
  std::vector<LayerRow> rows_;
  size_t unstaged_ = 0;
};

// The layers of a network for inputs of shape x [N, D, H, W, in_channels]. Throws Error{usage} where x does not fit.
std::vector<LayerRow> describe(const Config& config, const Shape& x);
// Every parameter and buffer with its checkpoint name: 372 tensors in the default 2D network, 177 in 3D.
std::vector<nn::ParameterSpec> parameter_specs(const Config& config);
// Throws Error{usage} unless x is [N, D, H, W, in_channels] with sides that are multiples of 32 (rank 2: D = 1).
void check_input(const Config& config, const Shape& x);

}  // namespace lgms
