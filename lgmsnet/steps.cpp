#include "lgmsnet/steps.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "lgmsnet/fusion.h"

namespace lgms {
namespace {

// What a step's op is prepared for. A value that is a slice of channels has the row stride of the whole.
StepDims dims_of(const Steps& list, const Step& step) {
  using namespace kernels;
  const Shape &s = list.shape_of(step.inputs[0]), &y = list.shape_of(step.output);
  const auto stride = [&](int v) { return list.shape_of(list.values[static_cast<size_t>(v)].storage).channels(); };
  const int64_t n = s[0], d = s[1], h = s[2], w = s[3], c = s[4], ldx = stride(step.inputs[0]),
                ldy = stride(step.output);
  const int64_t kd = list.rank == 3 ? step.k : 1, window_d = list.rank - 1, pixels = d * h * w;
  const int64_t ld_second = step.inputs.size() > 1 ? stride(step.inputs[1]) : 0;
  const auto norm = [&](const NormSets& sets) {
    return NormDims{n, pixels, c, ldx, ldy, ld_second, step.epilogue.before, step.epilogue.after, sets};
  };
  switch (step.op) {
    case Op::convolution:
    case Op::linear: return ConvolutionDims{n, d, h, w, c, y[4], step.groups, kd, step.k, step.k, ldx, ldy};
    case Op::depthwise: return DepthwiseDims{n, d, h, w, c, kd, step.k, step.k, ldx, ldy};
    case Op::multiscale_depthwise: return MultiscaleDepthwiseDims{n, d, h, w, c, list.rank == 3, true, ldx, ldy};
    case Op::batch_norm: return norm({1, true});
    case Op::norm_tables:
    case Op::instance_norm: return norm({});
    case Op::group_norm: return norm({c / step.groups});
    case Op::layer_norm: return LayerNormDims{s.rows(), c, ldx, 0, ldy, kEpsilon};
    case Op::attention: return AttentionDims{n, d, h, w, step.heads, window_d, ldx, ldy, 0, 0};
    case Op::activation: return ActivationDims{s.rows(), c, ldx, ldy, 0, step.epilogue.after};
    case Op::add: return AddDims{s.rows(), c, ldx, ld_second, ldy};
    case Op::concat: return std::monostate();
    case Op::upsample: return UpsampleDims{n, d, h, w, c, window_d, ldx, ldy};
    case Op::up_convolution: return UpConvolutionDims{n, d, h, w, c, y[4], list.rank == 3, ldx, ldy};
    case Op::pointwise_pair: {
      const int64_t between = step.parameters[0].shape[0];
      return PointwisePairDims{{n, d, h, w, c, between, 1, 1, 1, 1, ldx, between},
                               {n, d, h, w, between, y[4], 1, 1, 1, 1, between, ldy}};
    }
    case Op::max_pool: return MaxPoolDims{n, d, h, w, c, window_d, ldx, ldy};
  }
  return std::monostate();
}

// Fills in where norms lie, how long values live and what ops are prepared for.
void settle(Steps& list) {
  const auto storage_of = [&](int v) -> StepValue& {
    return list.values[static_cast<size_t>(list.values[static_cast<size_t>(v)].storage)];
  };
  const int kept = static_cast<int>(list.steps.size());
  for (StepValue& v : list.values) v.last_read = -1;
  for (int i = 0; i < kept; ++i)
    for (const int v : list.steps[static_cast<size_t>(i)].inputs) storage_of(v).last_read = i;
  storage_of(list.input).last_read = storage_of(list.output).last_read = kept;
  for (int i = 0; i < kept; ++i) {
    const Step& step = list.steps[static_cast<size_t>(i)];
    if (!step.is_norm()) continue;
    const int x = step.inputs[0];
    StepValue &in = storage_of(x), &out = list.values[static_cast<size_t>(step.output)];
    if (in.last_read != i || in.shape != out.shape || out.storage != step.output) continue;
    in.last_read = out.last_read;
    for (StepValue& v : list.values)  // its splits too
      if (v.storage == step.output) v.storage = list.values[static_cast<size_t>(x)].storage;
  }
  for (Step& step : list.steps) step.dims = dims_of(list, step);
}

// The builder that writes the list: network.h says what a builder is.
class StepBuilder {
 public:
  struct Value {
    int index = -1;
    Shape shape;
  };
  using Norm = Epilogue<Value>;

  StepBuilder(const Config& config, const Shape& x) : rank_(config.rank), list_{config.rank, {}, {}} {
    input_ = value(x, 0);
  }

  Value input() const { return input_; }
  Steps finish(const Value& logits, Fused fused);

  Value convolution(const std::string& name, const Value& x, int64_t cout, int64_t k, int64_t groups, bool bias) {
    Step step{.op = Op::convolution, .scope = name, .inputs = {x.index}, .k = k, .groups = groups};
    step.parameters.push_back(weight(name, cout, channels(x) / groups, k));
    if (bias) step.parameters.push_back({.name = name + ".bias", .shape = {cout}, .bound = step.parameters[0].bound});
    step.macs = counted({x.shape.rows(), step.parameters[0].shape.numel()});
    return record(std::move(step), x.shape.with_channels(cout));
  }
  Value linear(const std::string& name, const Value& x, int64_t out, bool bias) {
    const double bound = default_bound(channels(x));
    Step step{.op = Op::linear, .scope = name, .inputs = {x.index}};
    step.parameters.push_back({.name = name + ".weight", .shape = {out, channels(x)}, .bound = bound});
    if (bias) step.parameters.push_back({.name = name + ".bias", .shape = {out}, .bound = bound});
    step.macs = counted({x.shape.rows(), out, channels(x)});
    return record(std::move(step), x.shape.with_channels(out));
  }
  Value depthwise(const std::string& name, const Value& x, int64_t k) {
    Step step{.op = Op::depthwise, .scope = name, .inputs = {x.index}, .k = k};
    step.parameters.push_back(weight(name, channels(x), 1, k));
    step.macs = counted({x.shape.rows(), step.parameters[0].shape.numel()});
    return record(std::move(step), x.shape);
  }
  Value multiscale_depthwise(const std::string& name, const Value& x) {
    Step step{.op = Op::multiscale_depthwise, .scope = name, .inputs = {x.index}};
    const int64_t quarter = channels(x) / 4;
    int64_t k = 3;
    for (const char* branch : {".local_dwc", ".global_dwc_s", ".global_dwc_m", ".global_dwc_l"}) {
      const ParameterSpec w = weight(name + branch, quarter, 1, k);
      step.macs += counted({x.shape.rows(), w.shape.numel()});
      step.parameters.push_back(w);
      step.parameters.push_back({.name = name + branch + ".bias", .shape = {quarter}, .bound = w.bound});
      k += 2;
    }
    return record(std::move(step), x.shape);
  }
  Value norm(const std::string& name, const Value& x, const Norm& options) {
    return rank_ == 2 ? batch_norm(name, x, options) : record(norm_step(Op::instance_norm, "", x, options), x.shape);
  }
  Value batch_norm(const std::string& name, const Value& x, const Norm& options) {
    Step step = norm_step(Op::batch_norm, name, x, options);
    const Shape c{channels(x)};
    step.parameters = {
        {.name = name + ".weight", .shape = c, .value = 1},
        {.name = name + ".bias", .shape = c},
        {.name = name + ".running_mean", .shape = c, .trained = false},
        {.name = name + ".running_var", .shape = c, .trained = false, .value = 1, .least = 0},
        {.name = name + ".num_batches_tracked", .shape = {}, .dtype = DType::i64, .trained = false, .least = 0}};
    return record(std::move(step), x.shape);
  }
  Value group_norm(const std::string& name, const Value& x, int64_t groups, const Norm& options) {
    Step step = norm_step(Op::group_norm, name, x, options);
    step.groups = groups;
    step.parameters = affine(name, channels(x));
    return record(std::move(step), x.shape);
  }
  Value layer_norm(const std::string& name, const Value& x) {
    Step step{.op = Op::layer_norm, .scope = name, .inputs = {x.index}};
    step.parameters = affine(name, channels(x));
    return record(std::move(step), x.shape);
  }
  // rows queries, each against the L = rows / sub-grids tokens of its own sub-grid, q k^T and p v.
  Value attention(const Value& qkv, int64_t heads) {
    const Shape output = qkv.shape.with_channels(channels(qkv) / 3);
    const int64_t sub_grids = rank_ == 3 ? 8 : 4;
    Step step{.op = Op::attention, .scope = {}, .inputs = {qkv.index}, .heads = heads};
    step.attention_macs = counted({output.rows(), output.rows() / output[0] / sub_grids, output.channels(), 2});
    return record(std::move(step), output);
  }
  Value activation(const Value& x, Activation kind) {
    return record({.op = Op::activation, .scope = {}, .inputs = {x.index}, .epilogue = {.after = kind}}, x.shape);
  }
  Value add(const Value& a, const Value& b) {
    return record({.op = Op::add, .scope = {}, .inputs = {a.index, b.index}}, a.shape);
  }
  Value concat(std::initializer_list<Value> parts) {
    Step step{.op = Op::concat, .scope = {}, .inputs = {}};
    int64_t c = 0;
    for (const Value& part : parts) {
      c += channels(part);
      step.inputs.push_back(part.index);
    }
    return record(std::move(step), parts.begin()->shape.with_channels(c));
  }
  Value split(const Value& x, int64_t first, int64_t count) {
    const StepValue& whole = list_.values[static_cast<size_t>(x.index)];
    const int storage = whole.storage;
    return value(x.shape.with_channels(count), whole.first + first, storage);
  }
  Value upsample(const Value& x) {
    const int64_t d = rank_ == 3 ? 2 : 1;
    const Shape output{x.shape[0], d * x.shape[1], 2 * x.shape[2], 2 * x.shape[3], channels(x)};
    Step step{.op = Op::upsample, .scope = {}, .inputs = {x.index}};
    step.upsample_macs = counted({output.numel(), rank_ == 3 ? 8 : 4});
    return record(std::move(step), output);
  }
  Value max_pool(const Value& x) {
    const int64_t d = rank_ == 3 ? 2 : 1;
    return record({.op = Op::max_pool, .scope = {}, .inputs = {x.index}},
                  {x.shape[0], x.shape[1] / d, x.shape[2] / 2, x.shape[3] / 2, channels(x)});
  }
  // Names the module that everything recorded since the last stage belongs to.
  Value stage(const std::string& name, const Value& x) {
    for (; unstaged_ < list_.steps.size(); ++unstaged_) list_.steps[unstaged_].stage = name;
    return x;
  }
  template <class F>
  Value recomputable(const Value& x, const F& f) {
    return f(*this, x);
  }
  template <class F>
  Value recomputable(const Value& x, const Value& y, const F& f) {
    return f(*this, x, y);
  }
  int64_t channels(const Value& x) const { return x.shape.channels(); }
  int rank() const { return rank_; }

 private:
  // The multiply-adds of a step. The sum over a network stays below 2^63.
  int64_t counted(std::initializer_list<int64_t> factors) const {
    double product = 1;
    int64_t exact = 1;
    for (const int64_t factor : factors) {
      product *= static_cast<double>(factor);
      check(product < 0x1p54, ErrorKind::usage,
            "[network] input: expected at most 2^54 multiply-adds in an operation, ", input_.shape,
            " takes more; choose a smaller size");
      exact *= factor;
    }
    return exact;
  }
  // storage below 0: its own.
  Value value(const Shape& shape, int64_t first, int storage = -1) {
    const int index = static_cast<int>(list_.values.size());
    list_.values.push_back({shape, storage < 0 ? index : storage, first});
    return {index, shape};
  }
  Value record(Step step, const Shape& output) {
    const Value y = value(output, 0);
    step.output = y.index;
    list_.steps.push_back(std::move(step));
    return y;
  }
  // [cout, cin, k...] with as many k as the space has axes.
  ParameterSpec weight(const std::string& name, int64_t cout, int64_t cin, int64_t k) const {
    const int64_t taps = rank_ == 3 ? k * k * k : k * k;
    const Shape shape = rank_ == 3 ? Shape{cout, cin, k, k, k} : Shape{cout, cin, k, k};
    return {.name = name + ".weight", .shape = shape, .bound = default_bound(cin * taps)};
  }
  static std::vector<ParameterSpec> affine(const std::string& name, int64_t c) {
    return {{.name = name + ".weight", .shape = {c}, .value = 1}, {.name = name + ".bias", .shape = {c}}};
  }
  static Step norm_step(Op op, const std::string& name, const Value& x, const Norm& options) {
    Step step{.op = op, .scope = name, .inputs = {x.index}};
    step.epilogue.before = options.before;
    step.epilogue.after = options.after;
    if (options.residual.index >= 0) {
      step.inputs.push_back(options.residual.index);
      step.epilogue.residual = options.residual.index;
    }
    return step;
  }

  int rank_;
  Steps list_;
  Value input_;
  size_t unstaged_ = 0;
};

Steps StepBuilder::finish(const Value& logits, Fused fused) {
  list_.input = input_.index;
  list_.output = logits.index;
  if (fused != Fused::no) fuse(list_, fused == Fused::yes);
  settle(list_);
  return std::move(list_);
}

}  // namespace

bool Step::is_norm() const { return op == Op::batch_norm || op == Op::instance_norm || op == Op::group_norm; }

std::string Step::name() const {
  switch (op) {
    case Op::convolution: return "convolution";
    case Op::linear: return "linear";
    case Op::depthwise: return "depthwise";
    case Op::multiscale_depthwise: return "multiscale_depthwise";
    case Op::batch_norm: return "batch_norm";
    case Op::instance_norm: return "instance_norm";
    case Op::group_norm: return "group_norm";
    case Op::norm_tables: return "norm_tables";
    case Op::layer_norm: return "layer_norm";
    case Op::attention: return "attention";
    case Op::activation: return kernels::name_of(epilogue.after);
    case Op::add: return "add";
    case Op::concat: return "concat";
    case Op::upsample: return "upsample";
    case Op::up_convolution: return "up_convolution";
    case Op::pointwise_pair: return "pointwise_pair";
    case Op::max_pool: return "max_pool";
  }
  return "";
}

std::string Step::fused_name() const {
  if (op == Op::activation) return name();
  const auto parts = [&](const Epilogue<std::optional<int>>& e) {
    std::string all;
    const auto add_part = [&](bool there, const char* part) {
      if (there) all += (all.empty() ? "" : ", ") + std::string(part);
    };
    add_part(e.before != Activation::none, kernels::name_of(e.before));
    add_part(e.norm.has_value(), "norm");
    add_part(e.after != Activation::none, kernels::name_of(e.after));
    add_part(e.residual.has_value(), "residual");
    return all;
  };
  std::string first = parts(prologue), last = parts(epilogue);
  if (moments) last += last.empty() ? "moments" : ", moments";
  const std::string middle = parts(between);
  const std::string pair = middle.empty() ? "1x1, 1x1" : "1x1 > " + middle + ", 1x1";
  return (first.empty() ? "" : first + " > ") + (op == Op::pointwise_pair ? pair : name()) +
         (last.empty() ? "" : " > " + last);
}

int64_t Step::trained_elements() const {
  int64_t sum = 0;
  for (const ParameterSpec& p : parameters)
    if (p.trained) sum += p.shape.numel();
  return sum;
}

void check_input(const Config& config, const Shape& x) {
  check(x.rank() == 5 && x.channels() == config.in_channels, ErrorKind::usage,
        "[network] input: expected [N, D, H, W, ", config.in_channels, "], got ", x);
  check(x[0] >= 1, ErrorKind::usage, "[network] input: expected at least one image, got ", x);
  check(config.rank == 3 || x[1] == 1, ErrorKind::usage, "[network] input: expected depth 1 in 2D, got ", x);
  for (int axis = config.rank == 3 ? 1 : 2; axis < 4; ++axis)
    check(x[axis] > 0 && x[axis] % Config::kInputMultiple == 0, ErrorKind::usage,
          "[network] input: expected sides that are multiples of 32, got ", x, "; resize or pad the image");
}

Steps steps_of(const Config& config, const Shape& x, Fused fused) {
  check_input(config, x);
  StepBuilder builder(config, x);
  return builder.finish(forward(builder, config, builder.input()), fused);
}

std::vector<ParameterSpec> parameter_specs(const Config& config) {
  const int64_t depth = config.rank == 3 ? 32 : 1;
  std::vector<ParameterSpec> specs;
  for (const Step& step : steps_of(config, {1, depth, 32, 32, config.in_channels}).steps)
    specs.insert(specs.end(), step.parameters.begin(), step.parameters.end());
  return specs;
}

StepTotals totals_of(const Steps& list) {
  StepTotals all;
  for (const Step& step : list.steps) {
    all.parameters += step.trained_elements();
    for (const ParameterSpec& p : step.parameters) all.buffers += p.trained ? 0 : p.shape.numel();
    all.macs += step.macs;
    all.attention_macs += step.attention_macs;
    all.upsample_macs += step.upsample_macs;
    all.activations += list.shape_of(step.output).numel() * size_of(DType::f32);
  }
  return all;
}

}  // namespace lgms
