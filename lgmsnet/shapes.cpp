#include "lgmsnet/shapes.h"

#include "core/error.h"

namespace lgms {

using nn::ParameterSpec;
using Value = ShapeBuilder::Value;

int64_t LayerRow::trained_elements() const {
  int64_t sum = 0;
  for (const ParameterSpec& p : parameters)
    if (p.trained) sum += p.shape.numel();
  return sum;
}

Value ShapeBuilder::record(LayerRow row) {
  const Value value{row.output};
  rows_.push_back(std::move(row));
  return value;
}

// [cout, cin, k...] with as many k as the space has axes.
ParameterSpec ShapeBuilder::weight(const std::string& name, int64_t cout, int64_t cin, int64_t k) const {
  const int64_t taps = config_.rank == 3 ? k * k * k : k * k;
  const Shape shape = config_.rank == 3 ? Shape{cout, cin, k, k, k} : Shape{cout, cin, k, k};
  return {.name = name + ".weight", .shape = shape, .bound = nn::default_bound(cin * taps)};
}

Value ShapeBuilder::convolution(const std::string& name, const Value& x, int64_t cout, int64_t k, int64_t groups,
                                bool bias) {
  LayerRow row{.name = name, .op = "convolution", .output = x.shape.with_channels(cout), .parameters = {}, .stage = {}};
  row.parameters.push_back(weight(name, cout, channels(x) / groups, k));
  row.macs = row.output.rows() * row.parameters[0].shape.numel();
  if (bias) row.parameters.push_back({.name = name + ".bias", .shape = {cout}, .bound = row.parameters[0].bound});
  return record(std::move(row));
}

Value ShapeBuilder::depthwise(const std::string& name, const Value& x, int64_t k) {
  LayerRow row{
      .name = name, .op = "depthwise", .output = x.shape, .parameters = {weight(name, channels(x), 1, k)}, .stage = {}};
  row.macs = x.shape.rows() * row.parameters[0].shape.numel();
  return record(std::move(row));
}

Value ShapeBuilder::multiscale_depthwise(const std::string& name, const Value& x) {
  LayerRow row{.name = name, .op = "multiscale_depthwise", .output = x.shape, .parameters = {}, .stage = {}};
  const int64_t quarter = channels(x) / 4;
  int64_t k = 3;
  for (const char* branch : {".local_dwc", ".global_dwc_s", ".global_dwc_m", ".global_dwc_l"}) {
    row.parameters.push_back(weight(name + branch, quarter, 1, k));
    row.macs += x.shape.rows() * row.parameters.back().shape.numel();
    row.parameters.push_back(
        {.name = name + branch + ".bias", .shape = {quarter}, .bound = row.parameters.back().bound});
    k += 2;
  }
  return record(std::move(row));
}

Value ShapeBuilder::norm(const std::string& name, const Value& x, const Norm& options) {
  if (config_.rank == 2) return batch_norm(name, x, options);
  return record({.name = {}, .op = "instance_norm", .output = x.shape, .parameters = {}, .stage = {}});
}

Value ShapeBuilder::batch_norm(const std::string& name, const Value& x, const Norm&) {
  const Shape c{channels(x)};
  return record(
      {.name = name,
       .op = "batch_norm",
       .output = x.shape,
       .parameters =
           {{.name = name + ".weight", .shape = c, .value = 1},
            {.name = name + ".bias", .shape = c},
            {.name = name + ".running_mean", .shape = c, .trained = false},
            {.name = name + ".running_var", .shape = c, .trained = false, .value = 1, .least = 0},
            {.name = name + ".num_batches_tracked", .shape = {}, .dtype = DType::i64, .trained = false, .least = 0}},
       .stage = {}});
}

namespace {
std::vector<ParameterSpec> affine(const std::string& name, int64_t c) {
  return {{.name = name + ".weight", .shape = {c}, .value = 1}, {.name = name + ".bias", .shape = {c}}};
}
}  // namespace

Value ShapeBuilder::group_norm(const std::string& name, const Value& x, int64_t, const Norm&) {
  return record(
      {.name = name, .op = "group_norm", .output = x.shape, .parameters = affine(name, channels(x)), .stage = {}});
}

Value ShapeBuilder::layer_norm(const std::string& name, const Value& x) {
  return record(
      {.name = name, .op = "layer_norm", .output = x.shape, .parameters = affine(name, channels(x)), .stage = {}});
}

Value ShapeBuilder::linear(const std::string& name, const Value& x, int64_t out, bool bias) {
  const double bound = nn::default_bound(channels(x));
  LayerRow row{.name = name,
               .op = "linear",
               .output = x.shape.with_channels(out),
               .parameters = {{.name = name + ".weight", .shape = {out, channels(x)}, .bound = bound}},
               .stage = {}};
  if (bias) row.parameters.push_back({.name = name + ".bias", .shape = {out}, .bound = bound});
  row.macs = x.shape.rows() * out * channels(x);
  return record(std::move(row));
}

// rows queries, each against the L = rows / sub-grids tokens of its own sub-grid, q k^T and p v.
Value ShapeBuilder::attention(const Value& qkv, int64_t) {
  const Shape output = qkv.shape.with_channels(channels(qkv) / 3);
  const int64_t sub_grids = config_.rank == 3 ? 8 : 4;
  LayerRow row{.name = {}, .op = "attention", .output = output, .parameters = {}, .stage = {}};
  row.attention_macs = output.rows() * (output.rows() / output[0] / sub_grids) * output.channels() * 2;
  return record(std::move(row));
}

Value ShapeBuilder::activation(const Value& x, Activation) {
  return record({.name = {}, .op = "silu", .output = x.shape, .parameters = {}, .stage = {}});
}

Value ShapeBuilder::add(const Value& a, const Value&) {
  return record({.name = {}, .op = "add", .output = a.shape, .parameters = {}, .stage = {}});
}

Value ShapeBuilder::concat(std::initializer_list<Value> parts) {
  int64_t c = 0;
  for (const Value& part : parts) c += channels(part);
  return record(
      {.name = {}, .op = "concat", .output = parts.begin()->shape.with_channels(c), .parameters = {}, .stage = {}});
}

Value ShapeBuilder::split(const Value& x, int64_t, int64_t count) { return {x.shape.with_channels(count)}; }

Value ShapeBuilder::upsample(const Value& x) {
  const int64_t d = config_.rank == 3 ? 2 : 1;
  const Shape output{x.shape[0], d * x.shape[1], 2 * x.shape[2], 2 * x.shape[3], channels(x)};
  LayerRow row{.name = {}, .op = "upsample", .output = output, .parameters = {}, .stage = {}};
  row.upsample_macs = output.numel() * (config_.rank == 3 ? 8 : 4);
  return record(std::move(row));
}

Value ShapeBuilder::max_pool(const Value& x) {
  const int64_t d = config_.rank == 3 ? 2 : 1;
  return record({.name = {},
                 .op = "max_pool",
                 .output = {x.shape[0], x.shape[1] / d, x.shape[2] / 2, x.shape[3] / 2, channels(x)},
                 .parameters = {},
                 .stage = {}});
}

// Names the module that everything recorded since the last stage belongs to.
Value ShapeBuilder::stage(const std::string& name, const Value& x) {
  for (; unstaged_ < rows_.size(); ++unstaged_) rows_[unstaged_].stage = name;
  return x;
}

void check_input(const Config& config, const Shape& x) {
  check(x.rank() == 5 && x.channels() == config.in_channels, ErrorKind::usage,
        "[network] input: expected [N, D, H, W, ", config.in_channels, "], got ", x);
  check(config.rank == 3 || x[1] == 1, ErrorKind::usage, "[network] input: expected depth 1 in 2D, got ", x);
  for (int axis = config.rank == 3 ? 1 : 2; axis < 4; ++axis)
    check(x[axis] > 0 && x[axis] % 32 == 0, ErrorKind::usage,
          "[network] input: expected sides that are multiples of 32, got ", x, "; resize or pad the image");
}

std::vector<LayerRow> describe(const Config& config, const Shape& x) {
  check_input(config, x);
  ShapeBuilder builder(config);
  forward(builder, config, Value{x});
  return builder.rows();
}

std::vector<ParameterSpec> parameter_specs(const Config& config) {
  const int64_t depth = config.rank == 3 ? 32 : 1;
  std::vector<ParameterSpec> specs;
  for (const LayerRow& row : describe(config, {1, depth, 32, 32, config.in_channels}))
    specs.insert(specs.end(), row.parameters.begin(), row.parameters.end());
  return specs;
}

}  // namespace lgms
