// convolution_weight_gradient / implementation / layer: weight and bias, four images (one volume), one thread, without
// the last sum over blocks. oneDNN rows (in the layouts it likes best, nothing reordered in the timed part) where it is
// built in.
#include <benchmark/benchmark.h>

#include <string>

#include "bench/shapes.h"
#include "bench/support.h"
#include "core/error.h"
#include "kernels/convolution/weight_gradient/weight_gradient.h"

#if LGMS_HAVE_ONEDNN
#include "kernels/onednn/threads.h"
#endif

namespace lgms::kernels {
namespace {

using bench::ConvolutionLayer;

void report(benchmark::State& state, const ConvolutionLayer& l, int64_t n) {
  const double taps = static_cast<double>(l.d > 1 ? l.k * l.k * l.k : l.k * l.k);
  const double flops = 2 * taps * static_cast<double>(n * l.d * l.h * l.w * l.cout * (l.cin / l.groups));
  state.counters["FLOP/s"] = benchmark::Counter(flops, benchmark::Counter::kIsIterationInvariantRate);
}

// One group's correlation with dy along the lanes, or x where there are few outputs.
CorrelationDims dims_of(const ConvolutionLayer& l, int64_t n) {
  const int64_t in = l.cin / l.groups, out = l.cout / l.groups, kd = l.d > 1 ? l.k : 1;
  CorrelationDims d{1, n * l.d, l.h, l.w, out, in, l.cout, l.cin, 0, kd, l.k, l.k};
  if (out < 16 && in > out) std::swap(d.ca, d.cb), std::swap(d.lda, d.ldb);
  d.ldp = (d.ca + 15) / 16 * 16;
  return d;
}

void run(benchmark::State& state, const CorrelationImpl& impl, const ConvolutionLayer& l, int64_t n) {
  const CorrelationDims d = dims_of(l, n);
  const int64_t pixels = n * l.d * l.h * l.w;
  const Tensor a = bench::normals({pixels, d.lda}, 1), b = bench::normals({pixels, d.ldb}, 2);
  const Tensor p = Tensor::empty({d.taps(), d.cb, d.ldp}), sums = Tensor::zeros({d.ldp});
  const Tensor scratch = Tensor::empty({impl.scratch(d)});
  for (auto _ : state) {
    for (int64_t g = 0; g < l.groups; ++g)
      impl.run(d, 0, correlation_units(d), a.data<float>() + g * d.ca, b.data<float>() + g * d.cb,
               {p.data<float>(), sums.data<float>(), nullptr}, scratch.data<float>());
    benchmark::ClobberMemory();
  }
  report(state, l, n);
}

#if LGMS_HAVE_ONEDNN
using dnnl::memory;

void run_onednn(benchmark::State& state, const ConvolutionLayer& l, int64_t n) {
  const onednn::Threads threads(1);
  const dnnl::engine& engine = onednn::engine();
  dnnl::stream& stream = onednn::stream();
  const auto space = [&](memory::dims first, int64_t z, int64_t h, int64_t w) {
    if (l.d > 1) first.push_back(z);
    first.insert(first.end(), {h, w});
    return memory::desc(first, memory::data_type::f32, memory::format_tag::any);
  };
  const int64_t g = l.groups, spatial = l.d > 1 ? 3 : 2;
  const memory::desc x = space({n, l.cin}, l.d, l.h, l.w), y = space({n, l.cout}, l.d, l.h, l.w);
  const memory::desc w =
      g > 1 ? space({g, l.cout / g, l.cin / g}, l.k, l.k, l.k) : space({l.cout, l.cin}, l.k, l.k, l.k);
  const memory::desc bias({l.cout}, memory::data_type::f32, memory::format_tag::x);
  const memory::dims one(static_cast<size_t>(spatial), 1), pad(static_cast<size_t>(spatial), l.k / 2);
  constexpr auto direct = dnnl::algorithm::convolution_direct;
  constexpr auto training = dnnl::prop_kind::forward_training;
  using Forward = dnnl::convolution_forward;
  using Gradient = dnnl::convolution_backward_weights;
  const Forward::primitive_desc forward(engine, training, direct, x, w, bias, y, one, pad, pad);
  const Gradient::primitive_desc desc(engine, direct, x, w, bias, y, one, pad, pad, forward);
  const auto filled = [&](const memory::desc& of) {
    memory m(of, engine);
    const Tensor values = bench::normals({static_cast<int64_t>(of.get_size() / sizeof(float))}, 3);
    std::copy_n(values.data<float>(), values.numel(), static_cast<float*>(m.get_data_handle()));
    return m;
  };
  const std::unordered_map<int, memory> arguments{{DNNL_ARG_SRC, filled(desc.src_desc())},
                                                  {DNNL_ARG_DIFF_DST, filled(desc.diff_dst_desc())},
                                                  {DNNL_ARG_DIFF_WEIGHTS, filled(desc.diff_weights_desc())},
                                                  {DNNL_ARG_DIFF_BIAS, filled(bias)}};
  const Gradient gradient(desc);
  for (auto _ : state) {
    gradient.execute(stream, arguments);
    stream.wait();
  }
  report(state, l, n);
}
#endif

const bool registered = [] {
  for (const ConvolutionLayer& l : bench::kConvolutionLayers) {
    const std::string op = "convolution_weight_gradient/";
    const int64_t n = l.d > 1 ? 1 : 4;
    for (const CorrelationImpl& impl : correlation_impls())
      if (supported(impl.isa) && impl.accepts(dims_of(l, n)))
        benchmark::RegisterBenchmark((op + impl.name + "/" + l.name).c_str(), run, impl, l, n);
#if LGMS_HAVE_ONEDNN
    const dnnl_version_t& v = *dnnl_version();
    const std::string name = text("onednn_", v.major, ".", v.minor, ".", v.patch);
    benchmark::RegisterBenchmark((op + name + "/" + l.name).c_str(), run_onednn, l, n);
#endif
  }
  return true;
}();

}  // namespace
}  // namespace lgms::kernels
