// convolution and convolution_data_gradient / implementation / layer: one image, one thread, packing of the weights
// included. oneDNN, where it is built in, twice: as a row like the others (onednn), and in the layouts that it likes
// best, nothing packed or reordered in the timed part (onednn_VERSION).
#include <benchmark/benchmark.h>

#include <string>

#include "bench/shapes.h"
#include "core/rng.h"
#include "kernels/convolution/convolution.h"

#if LGMS_HAVE_ONEDNN
#include "kernels/onednn/threads.h"
#endif

namespace lgms::kernels {
namespace {

using bench::ConvolutionLayer;

Tensor normals(const Shape& shape, uint64_t seed) {
  Rng rng(seed, Purpose::test);
  const Tensor t = Tensor::empty(shape);
  for (float& v : t.span<float>()) v = static_cast<float>(rng.normal());
  return t;
}

ConvolutionDims dims_of(const ConvolutionLayer& l, bool gradient) {
  const int64_t cin = gradient ? l.cout : l.cin, cout = gradient ? l.cin : l.cout;
  return {1, l.d, l.h, l.w, cin, cout, l.groups, l.d > 1 ? l.k : 1, l.k, l.k, cin, cout};
}

void report(benchmark::State& state, const ConvolutionDims& d) {
  const double flops = 2.0 * static_cast<double>(d.rows() * d.cout * (d.cin / d.groups) * d.taps());
  state.counters["FLOP/s"] = benchmark::Counter(flops, benchmark::Counter::kIsIterationInvariantRate);
}

void run(benchmark::State& state, const ConvolutionImpl<float>& impl, const ConvolutionDims& d, bool gradient) {
  const Tensor x = normals({d.n, d.d, d.h, d.w, d.cin}, 1), y = Tensor::empty({d.n, d.d, d.h, d.w, d.cout});
  const Tensor w = normals({d.cout * (d.cin / d.groups) * d.taps()}, 2);
  ConvolutionDims forward = d;
  if (gradient) std::swap(forward.cin, forward.cout);
  const auto weights =
      gradient ? turned_weights<float>(forward, w.data<float>()) : forward_weights<float>(d, w.data<float>());
  const PreparedConvolution<float> p = prepare(d, impl, Context::current());
  for (auto _ : state) {
    pack_and_run<float>(p, x.data<float>(), weights, {}, y.data<float>());
    benchmark::ClobberMemory();
  }
  report(state, d);
}

#if LGMS_HAVE_ONEDNN
using dnnl::memory;

// The forward convolution, or the data gradient of the convolution from d.cout to d.cin channels.
void run_onednn(benchmark::State& state, const ConvolutionDims& d, bool gradient) {
  const onednn::Threads threads(1);
  const dnnl::engine& engine = onednn::engine();
  dnnl::stream& stream = onednn::stream();
  const bool deep = d.kd > 1;
  const auto space = [&](memory::dims first, int64_t z, int64_t h, int64_t w) {
    if (deep) first.push_back(z);
    first.push_back(h);
    first.push_back(w);
    return first;
  };
  const auto any = [](const memory::dims& shape) {
    return memory::desc(shape, memory::data_type::f32, memory::format_tag::any);
  };
  const int64_t cin = gradient ? d.cout : d.cin, cout = gradient ? d.cin : d.cout, g = d.groups;
  const memory::desc x = any(space({d.n, cin}, d.d, d.h, d.w)), y = any(space({d.n, cout}, d.d, d.h, d.w));
  const memory::desc w =
      any(g > 1 ? space({g, cout / g, cin / g}, d.kd, d.kh, d.kw) : space({cout, cin}, d.kd, d.kh, d.kw));
  const memory::dims one = deep ? memory::dims{1, 1, 1} : memory::dims{1, 1};
  const memory::dims pad = deep ? memory::dims{d.kd / 2, d.kh / 2, d.kw / 2} : memory::dims{d.kh / 2, d.kw / 2};
  constexpr auto direct = dnnl::algorithm::convolution_direct;
  using Forward = dnnl::convolution_forward;
  using Gradient = dnnl::convolution_backward_data;
  const Forward::primitive_desc forward(engine, dnnl::prop_kind::forward_training, direct, x, w, y, one, pad, pad);
  const auto filled = [&](const memory::desc& desc) {
    memory m(desc, engine);
    float* const data = static_cast<float*>(m.get_data_handle());
    Rng rng(3, Purpose::test);
    for (size_t i = 0; i < desc.get_size() / sizeof(float); ++i) data[i] = static_cast<float>(rng.normal());
    return m;
  };
  const auto time = [&](const dnnl::primitive& primitive, const std::unordered_map<int, memory>& arguments) {
    for (auto _ : state) {
      primitive.execute(stream, arguments);
      stream.wait();
    }
  };
  if (gradient) {
    const Gradient::primitive_desc desc(engine, direct, x, w, y, one, pad, pad, forward);
    time(Gradient(desc), {{DNNL_ARG_DIFF_SRC, filled(desc.diff_src_desc())},
                          {DNNL_ARG_WEIGHTS, filled(desc.weights_desc())},
                          {DNNL_ARG_DIFF_DST, filled(desc.diff_dst_desc())}});
  } else {
    time(Forward(forward), {{DNNL_ARG_SRC, filled(forward.src_desc())},
                            {DNNL_ARG_WEIGHTS, filled(forward.weights_desc())},
                            {DNNL_ARG_DST, filled(forward.dst_desc())}});
  }
  report(state, d);
}
#endif

const bool registered = [] {
  for (const ConvolutionLayer& l : bench::kConvolutionLayers)
    for (const bool gradient : {false, true}) {
      const ConvolutionDims d = dims_of(l, gradient);
      const std::string op = gradient ? "convolution_data_gradient/" : "convolution/";
      for (const auto& impl : convolution_impls())
        if (supported(impl.isa) && impl.accepts(d))
          benchmark::RegisterBenchmark((op + impl.name + "/" + l.name).c_str(), run, impl, d, gradient);
#if LGMS_HAVE_ONEDNN
      const dnnl_version_t& v = *dnnl_version();
      const std::string name = text("onednn_", v.major, ".", v.minor, ".", v.patch);
      benchmark::RegisterBenchmark((op + name + "/" + l.name).c_str(), run_onednn, d, gradient);
#endif
    }
  return true;
}();

}  // namespace
}  // namespace lgms::kernels
