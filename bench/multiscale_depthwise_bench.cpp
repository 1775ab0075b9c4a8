// The LMS blocks' depthwise convolutions, all four kernel sizes at once, on the network's shapes. The oneDNN rows are
// four convolutions one after another in the layouts that oneDNN likes best: no reorders, no concatenation, no
// residual.
#include "bench/support.h"
#include "core/error.h"
#include "kernels/multiscale_depthwise/multiscale_depthwise.h"

#if LGMS_HAVE_ONEDNN
#include "kernels/onednn/threads.h"
#endif

namespace lgms::bench {
namespace {

using kernels::Quarters;

struct Layer {
  const char* name;
  int64_t n, d, h, w, c;
  bool volume;
};
const Layer layers[] = {
    {"enc1_256x256", 1, 1, 256, 256, 16, false}, {"enc2_128x128", 1, 1, 128, 128, 16, false},
    {"enc3_64x64", 1, 1, 64, 64, 32, false},     {"enc1_256x256_batch4", 4, 1, 256, 256, 16, false},
    {"enc1_96x96x96", 1, 96, 96, 96, 16, true},  {"enc2_48x48x48", 1, 48, 48, 48, 16, true},
    {"enc3_24x24x24", 1, 24, 24, 24, 32, true},
};

double flops_of(const Layer& l) {
  double taps = 0;
  for (const double k : {3, 5, 7, 9}) taps += l.volume ? k * k * k : k * k;
  return 2.0 * taps / 4 * static_cast<double>(l.n * l.d * l.h * l.w * l.c);
}

struct Problem {
  Tensor x, y, weights[4], biases[4];
  explicit Problem(const Layer& l) : x(normals({l.n, l.d, l.h, l.w, l.c})), y(normals(x.shape())) {
    for (int64_t q = 0; q < 4; ++q) {
      const int64_t k = 3 + 2 * q, g = l.c / 4;
      weights[q] = normals(l.volume ? Shape{g, 1, k, k, k} : Shape{g, 1, k, k});
      biases[q] = normals({g});
    }
  }
  Quarters w() const { return {weights[0], weights[1], weights[2], weights[3]}; }
  Quarters b() const { return {biases[0], biases[1], biases[2], biases[3]}; }
};

#if LGMS_HAVE_ONEDNN
using dnnl::memory;

void run_onednn(benchmark::State& state, const Layer& l, bool weight_gradient) {
  const kernels::onednn::Threads threads(1);
  const dnnl::engine& engine = kernels::onednn::engine();
  dnnl::stream& stream = kernels::onednn::stream();
  std::vector<std::pair<dnnl::primitive, std::unordered_map<int, memory>>> calls;
  for (int64_t k = 3; k <= 9; k += 2) {
    const auto shape = [&](memory::dims first, int64_t d, int64_t h, int64_t w) {
      if (l.volume) first.push_back(d);
      first.insert(first.end(), {h, w});
      return memory::desc(first, memory::data_type::f32, memory::format_tag::any);
    };
    const int64_t g = l.c / 4;
    const auto x = shape({l.n, g}, l.d, l.h, l.w), w = shape({g, 1, 1}, k, k, k);
    const memory::desc bias({g}, memory::data_type::f32, memory::format_tag::x);
    const memory::dims one(l.volume ? 3 : 2, 1), pad(l.volume ? 3 : 2, k / 2);
    constexpr auto direct = dnnl::algorithm::convolution_direct;
    using Forward = dnnl::convolution_forward;
    using Gradient = dnnl::convolution_backward_weights;
    const Forward::primitive_desc forward(engine, dnnl::prop_kind::forward_training, direct, x, w, bias, x, one, pad,
                                          pad);
    const auto filled = [&](const memory::desc& desc) {
      memory m(desc, engine);
      std::fill_n(static_cast<float*>(m.get_data_handle()), desc.get_size() / sizeof(float), 0.5f);
      return m;
    };
    if (!weight_gradient) {
      calls.push_back({Forward(forward),
                       {{DNNL_ARG_SRC, filled(forward.src_desc())},
                        {DNNL_ARG_WEIGHTS, filled(forward.weights_desc())},
                        {DNNL_ARG_BIAS, filled(forward.bias_desc())},
                        {DNNL_ARG_DST, filled(forward.dst_desc())}}});
      continue;
    }
    const Gradient::primitive_desc gradient(engine, direct, x, w, bias, x, one, pad, pad, forward);
    calls.push_back({Gradient(gradient),
                     {{DNNL_ARG_SRC, filled(gradient.src_desc())},
                      {DNNL_ARG_DIFF_WEIGHTS, filled(gradient.diff_weights_desc())},
                      {DNNL_ARG_DIFF_BIAS, filled(gradient.diff_bias_desc())},
                      {DNNL_ARG_DIFF_DST, filled(gradient.diff_dst_desc())}}});
  }
  for (auto _ : state) {
    for (auto& [primitive, arguments] : calls) primitive.execute(stream, arguments);
    stream.wait();
  }
  state.counters["FLOP/s"] = benchmark::Counter(flops_of(l), benchmark::Counter::kIsIterationInvariantRate);
}

void add_onednn_row(const char* op, const Layer& l, bool weight_gradient) {
  const dnnl_version_t& v = *dnnl_version();
  const std::string name = text(op, "/onednn_", v.major, ".", v.minor, ".", v.patch, "/", l.name);
  benchmark::RegisterBenchmark(name.c_str(), run_onednn, l, weight_gradient)->Unit(benchmark::kMicrosecond);
}
#else
void add_onednn_row(const char*, const Layer&, bool) {}
#endif

const bool registered = [] {
  for (const Layer& l : layers) {
    const auto add = [&](const char* op, const auto& impls, auto call) {
      add_rows(op, impls, l.name, "FLOP/s", flops_of(l), [=] { return [p = Problem(l), call] { call(p); }; });
    };
    add("multiscale_depthwise_forward", kernels::multiscale_depthwise_forward_impls(),
        [](const Problem& p) { kernels::multiscale_depthwise_forward(p.x, p.w(), p.b(), true, p.y); });
    add_onednn_row("multiscale_depthwise_forward", l, false);
    add("multiscale_depthwise_data_gradient", kernels::multiscale_depthwise_forward_impls(),
        [](const Problem& p) { kernels::multiscale_depthwise_data_gradient(p.y, p.w(), true, p.x); });
    add("multiscale_depthwise_weight_gradient", kernels::multiscale_depthwise_weight_gradient_impls(),
        [](const Problem& p) { kernels::multiscale_depthwise_weight_gradient(p.x, p.y, p.w(), p.b()); });
    if (!l.volume) add_onednn_row("multiscale_depthwise_weight_gradient", l, true);
  }
  return true;
}();

}  // namespace
}  // namespace lgms::bench
