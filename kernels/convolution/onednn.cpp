#include "kernels/convolution/onednn.h"

#if LGMS_HAVE_ONEDNN
#include "kernels/channel_norm/channel_norm.h"
#include "kernels/convolution/reference.h"
#include "kernels/onednn/threads.h"

namespace lgms::kernels {
namespace {

using dnnl::memory;
using Forward = dnnl::convolution_forward;
using Gradient = dnnl::convolution_backward_weights;
using Arguments = std::unordered_map<int, memory>;

constexpr auto kType = memory::data_type::f32;
constexpr auto kAlgorithm = dnnl::algorithm::convolution_direct;  // Winograd is not to be had channels-last

// Where the window has no depth, slices are images.
bool deep(const ConvolutionDims& d) { return d.kd > 1; }

memory::dims space(const ConvolutionDims& d, memory::dims first, int64_t z, int64_t h, int64_t w) {
  if (deep(d)) first.push_back(z);
  first.insert(first.end(), {h, w});
  return first;
}
memory::desc image(const ConvolutionDims& d, int64_t c) {
  return {space(d, {deep(d) ? d.n : d.n * d.d, c}, d.d, d.h, d.w), kType,
          deep(d) ? memory::format_tag::ndhwc : memory::format_tag::nhwc};
}
memory::desc per_channel(const ConvolutionDims& d) {
  return {space(d, {1, d.cout}, 1, 1, 1), kType, deep(d) ? memory::format_tag::ndhwc : memory::format_tag::nhwc};
}
memory::desc bias_of(const ConvolutionDims& d) { return {{d.cout}, kType, memory::format_tag::x}; }

memory::dims weight_shape(const ConvolutionDims& d) {
  const int64_t in = d.cin / d.groups, out = d.cout / d.groups;
  return space(d, d.groups > 1 ? memory::dims{d.groups, out, in} : memory::dims{out, in}, d.kd, d.kh, d.kw);
}
memory::desc any_weights(const ConvolutionDims& d) { return {weight_shape(d), kType, memory::format_tag::any}; }
// Weights where they lie. w.tap > 0.
memory::desc weights_at(const ConvolutionDims& d, const ConvolutionWeights<float>& w) {
  return {weight_shape(d), kType,
          space(d, d.groups > 1 ? memory::dims{w.group, w.out, w.in} : memory::dims{w.out, w.in}, w.tap * d.kw * d.kh,
                w.tap * d.kw, w.tap)};
}

memory of(const memory::desc& desc, const float* data) {
  return {desc, onednn::engine(), const_cast<float*>(data)};  // NOLINT: oneDNN has one type for both
}

dnnl::primitive_attr strict() {
  dnnl::primitive_attr attributes;
  attributes.set_fpmath_mode(dnnl::fpmath_mode::strict);
  return attributes;
}

struct Window {
  memory::dims strides, padding;
};
Window window_of(const ConvolutionDims& d) {
  return {space(d, {}, 1, 1, 1), space(d, {}, d.kd / 2, d.kh / 2, d.kw / 2)};
}

Forward::primitive_desc forward_of(const ConvolutionDims& d, const memory::desc& weights, const memory::desc& bias,
                                   const dnnl::primitive_attr& attributes) {
  const Window w = window_of(d);
  return {onednn::engine(), dnnl::prop_kind::forward_training,
          kAlgorithm,       image(d, d.cin),
          weights,          bias,
          image(d, d.cout), w.strides,
          w.padding,        w.padding,
          attributes};
}

// The convolution by whose choice weights are packed: alone, and for one thread, since one layout serves any number.
Forward::primitive_desc plain(const ConvolutionDims& d) {
  const onednn::Threads one(1);
  return forward_of(d, any_weights(d), {}, strict());
}

// What an epilogue is beside the bias, as post-ops, and their arguments.
struct PostOps {
  dnnl::post_ops list;
  Arguments arguments;

  void activate(Activation kind) {
    if (kind == Activation::relu) list.append_eltwise(dnnl::algorithm::eltwise_relu, 0, 0);
    if (kind == Activation::silu) list.append_eltwise(dnnl::algorithm::eltwise_swish, 1, 0);
    if (kind == Activation::gelu) list.append_eltwise(dnnl::algorithm::eltwise_gelu_erf, 0, 0);
  }
  void combine(dnnl::algorithm how, const memory::desc& desc, const float* data) {
    list.append_binary(how, desc);
    arguments.emplace(DNNL_ARG_ATTR_MULTIPLE_POST_OP(list.len() - 1) | DNNL_ARG_SRC_1, of(desc, data));
  }
};
PostOps post_ops_of(const ConvolutionDims& d, const Epilogue<Strided<float>>& e) {
  PostOps ops;
  ops.activate(e.before);
  if (const auto [tables, ld] = e.norm; tables) {
    ops.combine(dnnl::algorithm::binary_sub, per_channel(d), tables);
    ops.combine(dnnl::algorithm::binary_mul, per_channel(d), tables + ld);
    ops.combine(dnnl::algorithm::binary_add, per_channel(d), tables + 2 * ld);
  }
  ops.activate(e.after);
  if (e.residual.data) ops.combine(dnnl::algorithm::binary_add, image(d, d.cout), e.residual.data);
  return ops;
}

// to[r,i] = from[r,i] (+ plus[r,i]).
void copy_rows(int64_t rows, int64_t c, Strided<float> from, Strided<float> plus, float* to, int64_t ld) {
  parallel_ranges(rows, 1 + 65536 / c, [&](int64_t first, int64_t last, int) {
    for (int64_t r = first; r < last; ++r) {
      const float* const a = from.data + r * from.ld;
      const float* const b = plus.data + r * plus.ld;
      if (plus.data)
        std::transform(a, a + c, b, to + r * ld, std::plus<>());
      else
        std::copy_n(a, c, to + r * ld);
    }
  });
}

// What a convolution of one tap reads through, which is nothing of oneDNN's: the pass that a norm of ours makes.
void read_through(const ConvolutionDims& d, const Epilogue<Strided<float>>& prologue, const float* x, float* to) {
  const ChannelNormKernels<float>& norm = *pick(channel_norm_impls(), Context::current(), Device::cpu).run;
  std::vector<float> none(static_cast<size_t>(3 * d.cin));
  std::fill_n(none.begin() + d.cin, d.cin, 1.f);
  const int64_t pixels = d.d * d.h * d.w;
  for (int64_t n = 0; n < d.n; ++n) {
    const float* const tables = prologue.norm.data ? prologue.norm.data + n * 3 * d.cin : none.data();
    parallel_ranges(pixels, 1 + 16384 / d.cin, [&](int64_t first, int64_t last, int) {
      const int64_t at = n * pixels + first, ldr = prologue.residual.ld;
      norm.apply({last - first, d.cin, d.ldx, d.cin, ldr, prologue.before, prologue.after},
                 {tables, tables + d.cin, tables + 2 * d.cin, nullptr, nullptr}, x + at * d.ldx,
                 prologue.residual.data ? prologue.residual.data + at * ldr : nullptr, to + at * d.cin);
    });
  }
}

// Floats of a dense copy of c channels.
int64_t copy_size(const ConvolutionDims& d, int64_t c) {
  return aligned_bytes<float>(d.rows() * c) / int64_t{sizeof(float)};
}

}  // namespace

int64_t convolution_onednn_packed_size(const ConvolutionDims& d) {
  return onednn::call([&] { return static_cast<int64_t>(plain(d).weights_desc().get_size() / sizeof(float)); });
}

int64_t convolution_onednn_scratch_size(const ConvolutionDims& d) {
  return (d.ldx == d.cin && d.taps() > 1 ? 0 : copy_size(d, d.cin)) + (d.ldy == d.cout ? 0 : copy_size(d, d.cout));
}

void convolution_onednn_pack(const ConvolutionDims& d, int64_t, int64_t, const ConvolutionWeights<float>& weights,
                             float* packed) {
  onednn::call([&] {
    const Forward::primitive_desc by = plain(d);
    const Forward kept(by);  // in oneDNN's cache, so that `by` is found there from now on: else 60 to 600 us each time
    // First to [groups, taps, cin, cout], whose last index is the last one of what it likes too: from PyTorch's order
    // its reorder takes 17 ms for 384 -> 128 3x3, and there is none from turned weights.
    const int64_t in = d.cin / d.groups, out = d.cout / d.groups;
    std::vector<float> outputs_last(static_cast<size_t>(d.groups * d.taps() * in * out));
    parallel_ranges(d.groups * d.taps(), 1 + 16384 / (in * out), [&](int64_t first, int64_t last, int) {
      convolution_pack_reference(d, first, last, weights, outputs_last.data());
    });
    const ConvolutionWeights<float> w{outputs_last.data(), d.taps() * in * out, 1, out, in * out};
    memory from = of(weights_at(d, w), w.data), to = of(by.weights_desc(), packed);
    onednn::execute(dnnl::reorder(from, to), {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}});
  });
}

void convolution_onednn(const ConvolutionDims& d, int64_t, int64_t, const float* x, const float* packed,
                        const Fusing<float>& fusing, float* y, float* scratch) {
  onednn::call([&] {
    Epilogue<Strided<float>> inside = fusing.epilogue;
    Strided<float> behind{};
    const bool through = finishes(fusing.prologue);
    if (through || d.ldx != d.cin) {
      if (through)
        read_through(d, fusing.prologue, x, scratch);
      else
        copy_rows(d.rows(), d.cin, {x, d.ldx}, {}, scratch, d.cin);
      x = std::exchange(scratch, scratch + copy_size(d, d.cin));
    }
    float* const dense = d.ldy == d.cout ? y : scratch;
    if (inside.residual.data && (dense != y || inside.residual.ld != d.cout))
      behind = std::exchange(inside.residual, {});
    const PostOps ops = post_ops_of(d, inside);
    dnnl::primitive_attr attributes = strict();
    attributes.set_post_ops(ops.list);
    const memory::desc weights = plain(d).weights_desc(), bias = inside.bias.data ? bias_of(d) : memory::desc();
    Arguments arguments = ops.arguments;
    arguments.insert({{DNNL_ARG_SRC, of(image(d, d.cin), x)},
                      {DNNL_ARG_WEIGHTS, of(weights, packed)},
                      {DNNL_ARG_DST, of(image(d, d.cout), dense)}});
    if (inside.bias.data) arguments.emplace(DNNL_ARG_BIAS, of(bias, inside.bias.data));
    onednn::execute(Forward(forward_of(d, weights, bias, attributes)), arguments);
    if (dense != y || behind.data) copy_rows(d.rows(), d.cout, {dense, d.cout}, behind, y, d.ldy);
  });
}

void convolution_weight_gradient_onednn(const ConvolutionDims& d, const float* x, const float* dy, float* dweight,
                                        float* dbias) {
  std::fill_n(dweight, d.cout * (d.cin / d.groups) * d.taps(), 0.f);
  if (dbias) std::fill_n(dbias, d.cout, 0.f);
  if (d.rows() == 0 || d.cin == 0 || d.cout == 0) return;
  onednn::call([&] {
    const Scratch scratch(Context::current().memory(), convolution_onednn_scratch_size(d) * int64_t{sizeof(float)});
    float* next = scratch.as<float>();
    const auto dense = [&](const float* data, int64_t c, int64_t ld) -> const float* {
      if (ld == c) return data;
      copy_rows(d.rows(), c, {data, ld}, {}, next, c);
      return std::exchange(next, next + copy_size(d, c));
    };
    const Window w = window_of(d);
    const memory::desc bias = dbias ? bias_of(d) : memory::desc();
    const Gradient::primitive_desc gradient(onednn::engine(), kAlgorithm, image(d, d.cin), any_weights(d), bias,
                                            image(d, d.cout), w.strides, w.padding, w.padding, plain(d), strict());
    const memory into = of(weights_at(d, forward_weights<float>(d, dweight)), dweight);
    const bool direct = gradient.diff_weights_desc() == into.get_desc();
    const memory made = direct ? into : memory(gradient.diff_weights_desc(), onednn::engine());
    Arguments arguments{{DNNL_ARG_SRC, of(image(d, d.cin), dense(x, d.cin, d.ldx))},
                        {DNNL_ARG_DIFF_DST, of(image(d, d.cout), dense(dy, d.cout, d.ldy))},
                        {DNNL_ARG_DIFF_WEIGHTS, made}};
    if (dbias) arguments.emplace(DNNL_ARG_DIFF_BIAS, of(bias, dbias));
    onednn::execute(Gradient(gradient), arguments);
    if (!direct) onednn::execute(dnnl::reorder(made, into), {{DNNL_ARG_FROM, made}, {DNNL_ARG_TO, into}});
  });
}

}  // namespace lgms::kernels
#endif
