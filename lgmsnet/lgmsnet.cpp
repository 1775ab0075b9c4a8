#include "lgmsnet/lgmsnet.h"

#include <array>
#include <vector>

#include "autograd/ops.h"
#include "lgmsnet/network.h"
#include "lgmsnet/shapes.h"
#include "nn/layers.h"

namespace lgms {
namespace {

using autograd::Variable;

// The builder that runs the layers of nn: network.h says what a builder is.
class TrainingBuilder {
 public:
  using Value = Variable;
  using Norm = NormArguments<Value>;

  TrainingBuilder(const LGMSNet& net, bool training, const LGMSNet::StageHook& hook)
      : layers_(net.store(), training), rank_(net.config().rank), hook_(hook) {}

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
  Value norm(const std::string& name, const Value& x, const Norm& options) {
    return rank_ == 2 ? batch_norm(name, x, options) : autograd::instance_norm(x, translate(options));
  }
  Value batch_norm(const std::string& name, const Value& x, const Norm& options) {
    return layers_.batch_norm(name, x, translate(options));
  }
  Value group_norm(const std::string& name, const Value& x, int64_t groups, const Norm& options) {
    return layers_.group_norm(name, x, groups, translate(options));
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
    if (hook_) hook_(name, x.value());
    return x;
  }
  int64_t channels(const Value& x) const { return x.value().channels(); }
  int rank() const { return rank_; }

 private:
  static autograd::NormOptions translate(const Norm& n) {
    return {.before = n.before, .after = n.after, .residual = n.residual};
  }

  nn::Layers layers_;
  int rank_;
  const LGMSNet::StageHook& hook_;
};

}  // namespace

LGMSNet::LGMSNet(const Config& config, uint64_t seed, DType dtype)
    : config_(config), store_(parameter_specs(config), seed, dtype) {}

Variable LGMSNet::forward(const Tensor& x, bool training, const StageHook& hook) const {
  check_input(config_, x.shape());
  TrainingBuilder builder(*this, training, hook);
  return lgms::forward(builder, config_, Variable(x));
}

}  // namespace lgms
