#include "lgmsnet/forward_memory.h"

#include <memory>
#include <utility>

#include "kernels/attention/attention.h"
#include "kernels/convolution/convolution.h"
#include "kernels/multiscale_depthwise/multiscale_depthwise.h"
#include "lgmsnet/shapes.h"

namespace lgms {
namespace {

struct Bytes {
  int64_t now = 0, peak = 0;
  void add(int64_t bytes) {
    now += bytes;
    peak = std::max(peak, now);
  }
  // For a moment.
  void touch(int64_t bytes) { peak = std::max(peak, now + bytes); }
};

// The builder whose values are alive or not: what autograd/<op>.cpp allocates, in its order. network.h says what a
// builder is.
class MemoryBuilder {
 public:
  struct Value {
    Shape shape;
    std::shared_ptr<void> storage;
  };
  using Norm = NormArguments<Value>;

  MemoryBuilder(const Config& config, Bytes& bytes) : rank_(config.rank), bytes_(bytes) {}

  Value make(const Shape& shape) const {
    const int64_t size = shape.numel() * int64_t{sizeof(float)};
    bytes_.add(size);
    return {shape, std::shared_ptr<void>(&bytes_, [size](void* bytes) { static_cast<Bytes*>(bytes)->now -= size; })};
  }

  Value convolution(const std::string&, const Value& x, int64_t cout, int64_t k, int64_t groups, bool) const {
    const Shape& s = x.shape;
    const Value y = make(s.with_channels(cout));
    bytes_.touch(kernels::convolution_forward_scratch(
        {s[0], s[1], s[2], s[3], s[4], cout, groups, rank_ == 3 ? k : 1, k, k, s[4], cout}));
    return y;
  }
  Value linear(const std::string& name, const Value& x, int64_t out, bool bias) const {
    return convolution(name, x, out, 1, 1, bias);
  }
  Value depthwise(const std::string&, const Value& x, int64_t k) const {
    const Value y = make(x.shape);
    bytes_.touch((rank_ == 3 ? k * k * k : k * k) * channels(x) * int64_t{sizeof(float)});
    return y;
  }
  Value multiscale_depthwise(const std::string&, const Value& x) const {
    const Shape& s = x.shape;
    const Value y = make(s);
    const int64_t taps = rank_ == 3 ? 27 + 125 + 343 + 729 : 9 + 25 + 49 + 81;
    const int64_t each =
        kernels::multiscale_depthwise_scratch({s[0], s[1], s[2], s[3], s[4], rank_ == 3, true, s[4], s[4]});
    bytes_.touch((s[4] / 4 * (taps + 4) + each * Context::current().threads()) * int64_t{sizeof(float)});
    return y;
  }
  // Statistics take a partial of 3 C floats per block of rows, before there is a result; that is x where nobody else
  // holds it.
  Value norm(const std::string&, Value x, const Norm&) const {
    const int64_t c = channels(x), rows = std::min<int64_t>(512, 1 + 32768 / std::max<int64_t>(c, 64));
    bytes_.touch((x.shape.rows() / rows + 1) * 3 * std::max<int64_t>(c, 64) * int64_t{sizeof(float)});
    return in_place(std::move(x));
  }
  Value batch_norm(const std::string&, Value x, const Norm&) const { return in_place(std::move(x)); }
  Value group_norm(const std::string& name, Value x, int64_t, const Norm& n) const {
    return norm(name, std::move(x), n);
  }
  Value layer_norm(const std::string&, const Value& x) const { return make(x.shape); }
  Value attention(const Value& qkv, int64_t heads) const {
    const Shape& s = qkv.shape;
    const Value y = make(s.with_channels(heads * kernels::kHeadDim)), statistics = make(s.with_channels(2 * heads));
    const kernels::AttentionDims d{s[0], s[1], s[2], s[3], heads, rank_ - 1, s[4], y.shape[4], 0, 0};
    bytes_.touch(kernels::attention_scratch(d) * Context::current().threads() * int64_t{sizeof(float)});
    return y;
  }
  Value activation(const Value& x, Activation) const { return make(x.shape); }
  Value add(const Value& a, const Value&) const { return make(a.shape); }
  Value concat(std::initializer_list<Value> parts) const {
    int64_t c = 0;
    for (const Value& part : parts) c += channels(part);
    return make(parts.begin()->shape.with_channels(c));
  }
  Value split(const Value& x, int64_t, int64_t count) const { return {x.shape.with_channels(count), x.storage}; }
  Value upsample(const Value& x) const {
    const Shape& s = x.shape;
    return make({s[0], rank_ == 3 ? 2 * s[1] : s[1], 2 * s[2], 2 * s[3], s[4]});
  }
  Value max_pool(const Value& x) const {
    const Shape& s = x.shape;
    return make({s[0], rank_ == 3 ? s[1] / 2 : s[1], s[2] / 2, s[3] / 2, s[4]});
  }
  Value stage(const std::string&, const Value& x) const { return x; }
  template <class F>
  Value segment(Value x, const F& f) {
    return f(*this, std::move(x));
  }
  template <class F>
  Value segment(Value x, Value y, const F& f) {
    return f(*this, std::move(x), std::move(y));
  }
  int64_t channels(const Value& x) const { return x.shape.channels(); }
  int rank() const { return rank_; }

 private:
  Value in_place(Value x) const { return x.storage.use_count() == 1 ? x : make(x.shape); }

  int rank_;
  Bytes& bytes_;
};

}  // namespace

ForwardCost forward_cost(const Config& config, const Shape& x) {
  ForwardCost cost;
  for (const LayerRow& row : describe(config, x)) cost.macs += row.macs + row.attention_macs + row.upsample_macs;
  Bytes bytes;
  MemoryBuilder builder(config, bytes);
  const MemoryBuilder::Value input = builder.make(x);  // the caller keeps it
  forward(builder, config, input);
  cost.peak_bytes = bytes.peak;
  return cost;
}

}  // namespace lgms
