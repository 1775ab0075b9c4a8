#pragma once
// What the network does to an input of one shape, as a list. Everything that asks about it without training reads this:
// parameters, counts of operations, memory, inference.
#include <initializer_list>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/parameter_spec.h"
#include "core/shape.h"
#include "kernels/add/add.h"
#include "kernels/attention/attention.h"
#include "kernels/channel_norm/channel_norm.h"
#include "kernels/convolution/convolution.h"
#include "kernels/convolution/pointwise_pair.h"
#include "kernels/depthwise/depthwise.h"
#include "kernels/layer_norm/layer_norm.h"
#include "kernels/max_pool/max_pool.h"
#include "kernels/multiscale_depthwise/multiscale_depthwise.h"
#include "kernels/up_convolution/up_convolution.h"
#include "kernels/upsample/upsample.h"
#include "lgmsnet/config.h"
#include "lgmsnet/network.h"

namespace lgms {

enum class Op {
  convolution,
  linear,
  depthwise,
  multiscale_depthwise,
  batch_norm,
  instance_norm,
  group_norm,
  norm_tables,
  layer_norm,
  attention,
  activation,
  add,
  concat,
  upsample,
  up_convolution,
  pointwise_pair,
  max_pool
};

// What the op of a step is prepared for (kernels/impl.h); nothing for a concat, which is copies.
using StepDims = std::variant<std::monostate, kernels::ConvolutionDims, kernels::DepthwiseDims,
                              kernels::MultiscaleDepthwiseDims, kernels::NormDims, kernels::LayerNormDims,
                              kernels::AttentionDims, kernels::ActivationDims, kernels::AddDims, kernels::UpsampleDims,
                              kernels::UpConvolutionDims, kernels::PointwisePairDims, kernels::MaxPoolDims>;

// One op, in the order of execution. Values are numbers into Steps::values.
struct Step {
  Op op;
  std::string scope;        // the layer's name in a checkpoint; empty for ops without parameters
  std::string stage = {};   // the top-level module it belongs to, e.g. "encoder4"
  std::vector<int> inputs;  // x, then the residual if there is one
  int output = -1;
  std::vector<ParameterSpec> parameters = {};
  int64_t k = 1, groups = 1, heads = 0;        // sides of the kernel; of channels; of attention
  Epilogue<std::optional<int>> epilogue = {};  // an activation's own is `after`; norm: where its parameters begin
  Epilogue<std::optional<int>> prologue = {};  // of a fused convolution; norm: the value of its norm_tables
  Epilogue<std::optional<int>> between = {};   // of a pointwise_pair: of its first convolution
  size_t second = 0;                           // of a pointwise_pair: where its second one's parameters begin
  bool moments = false;  // fused: a convolution sums the moments of its output, for the norm that is the next step
  StepDims dims = {};
  int64_t macs = 0;            // multiply-adds of convolutions and linear layers
  int64_t attention_macs = 0;  // of q k^T and p v
  int64_t upsample_macs = 0;   // of the interpolation

  bool is_norm() const;            // whether it writes what a norm makes of its input, maybe in its place
  std::string name() const;        // of the op: "convolution", "silu"
  std::string fused_name() const;  // and of what it takes along: "norm > convolution > gelu, norm, moments"
  int64_t trained_elements() const;
};

inline constexpr double kEpsilon = 1e-5;  // of every norm

struct StepValue {
  Shape shape;
  // The value in whose memory it lies: itself; of a split the whole; of a norm its input where nobody reads that again.
  int storage;
  int64_t first = 0;   // channel of `storage` where it begins
  int last_read = -1;  // of a storage: the last step that reads it, or a value that lies in it; past all: it is kept
};

struct Steps {
  int rank;
  std::vector<Step> steps;
  std::vector<StepValue> values;
  int input = 0, output = -1;

  const Shape& shape_of(int value) const { return values[static_cast<size_t>(value)].shape; }
};

// Fused, as plans run it. What follows a convolution and needs nothing but its output (a batch norm, an activation, an
// addition) is its epilogue; it sums the statistics of an instance norm; what the norm then does is left to a 1x1
// convolution that alone reads it (norm_tables: [N, 3, C], to read through). Two convolutions of one tap are one op,
// which keeps what lies between in the cache. Parts of a concat are written where they end up. All but those sums have
// the same bits. A convolution behind an upsampling is one op, which mixes channels before it doubles pixels; another
// provider's convolutions know neither: `shared` is what they have in common with ours.
enum class Fused : uint8_t { no, shared, yes };
// For inputs of shape x [N, D, H, W, in_channels]. Throws Error{usage} where x does not fit.
Steps steps_of(const Config& config, const Shape& x, Fused fused = Fused::no);
// Every parameter and buffer with its checkpoint name, in the order of the steps: 372 tensors in the default 2D
// network, 177 in 3D.
std::vector<ParameterSpec> parameter_specs(const Config& config);
// Throws Error{usage} unless x is [N, D, H, W, in_channels] with sides that are multiples of 32 (rank 2: D = 1).
void check_input(const Config& config, const Shape& x);

// What all steps hold and do.
struct StepTotals {
  int64_t parameters = 0, buffers = 0;  // elements: trained; of running statistics
  int64_t macs = 0, attention_macs = 0, upsample_macs = 0;
  int64_t activations = 0;  // bytes of all outputs in f32, were they kept
  // 2 per multiply-add: of convolutions and linear layers; of attention and upsampling too.
  double gflop() const { return 2e-9 * static_cast<double>(macs); }
  double gflop_with_attention() const { return 2e-9 * static_cast<double>(macs + attention_macs + upsample_macs); }
};
StepTotals totals_of(const Steps& list);

}  // namespace lgms
