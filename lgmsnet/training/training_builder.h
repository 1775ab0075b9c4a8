#pragma once
#include <array>
#include <string>
#include <utility>

#include "autograd/ops.h"
#include "lgmsnet/network.h"
#include "lgmsnet/training/lgmsnet.h"
#include "nn/layers.h"

namespace lgms {

// The builder that runs the layers of nn: network.h says what a builder is.
class TrainingBuilder {
 public:
  using Value = autograd::Variable;

  // store must outlive the builder and the graph. hook: called with the output of every top-level module.
  // checkpointing: backward keeps the inputs of what is recomputable only.
  TrainingBuilder(int rank, const nn::ParameterStore& store, bool training, StageHook hook = {},
                  bool checkpointing = false)
      : layers_(store, training), rank_(rank), hook_(std::move(hook)), checkpointing_(checkpointing) {}

  Value convolution(const std::string& name, const Value& x, int64_t, int64_t, int64_t groups, bool) {
    return layers_.convolution(name, x, groups);
  }
  Value depthwise(const std::string& name, const Value& x, int64_t) { return layers_.depthwise(name, x); }
  Value multiscale_depthwise(const std::string& name, const Value& x) {
    std::array<Value, 4> weights, biases;
    size_t i = 0;
    for (const char* branch : {".local_dwc", ".global_dwc_s", ".global_dwc_m", ".global_dwc_l"}) {
      weights[i] = layers_.weight(name + branch);
      biases[i++] = layers_.bias(name + branch);
    }
    return autograd::multiscale_depthwise(x, weights, biases, true);
  }
  Value norm(const std::string& name, Value x, const Epilogue<Value>& epilogue) {
    return rank_ == 2 ? batch_norm(name, std::move(x), epilogue) : autograd::instance_norm(std::move(x), epilogue);
  }
  Value batch_norm(const std::string& name, Value x, const Epilogue<Value>& epilogue) {
    return layers_.batch_norm(name, std::move(x), epilogue);
  }
  Value group_norm(const std::string& name, Value x, int64_t groups, const Epilogue<Value>& epilogue) {
    return layers_.group_norm(name, std::move(x), groups, epilogue);
  }
  Value layer_norm(const std::string& name, const Value& x) { return layers_.layer_norm(name, x); }
  Value linear(const std::string& name, const Value& x, int64_t, bool) { return layers_.linear(name, x); }
  Value attention(const Value& qkv, int64_t heads) { return autograd::attention(qkv, heads, rank_); }
  Value activation(const Value& x, Activation kind) { return autograd::activation(x, kind); }
  Value add(const Value& a, const Value& b) { return autograd::add(a, b); }
  Value concat(std::initializer_list<Value> parts) { return autograd::concat({parts.begin(), parts.size()}); }
  Value split(const Value& x, int64_t first, int64_t count) { return autograd::split(x, first, count); }
  Value upsample(const Value& x) { return autograd::upsample(x, rank_); }
  Value max_pool(const Value& x) { return autograd::max_pool(x, rank_); }
  Value stage(const std::string& name, const Value& x) {
    if (hook_ && !autograd::recomputing()) hook_(name, x.value());
    return x;
  }
  // The closures hold a copy of this builder, which they may outlive.
  template <class F>
  Value recomputable(Value x, const F& f) {
    if (!checkpointing_) return f(*this, std::move(x));
    return autograd::checkpoint(
        {x}, [builder = *this, f](std::span<const Value> inputs) mutable { return f(builder, inputs[0]); });
  }
  template <class F>
  Value recomputable(Value x, Value y, const F& f) {
    if (!checkpointing_) return f(*this, std::move(x), std::move(y));
    return autograd::checkpoint({x, y}, [builder = *this, f](std::span<const Value> inputs) mutable {
      return f(builder, inputs[0], inputs[1]);
    });
  }
  int64_t channels(const Value& x) const { return x.value().channels(); }
  int rank() const { return rank_; }

 private:
  nn::Layers layers_;
  int rank_;
  StageHook hook_;
  bool checkpointing_;
};

}  // namespace lgms
