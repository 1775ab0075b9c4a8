#include "kernels/up_convolution/up_convolution.h"

#include "kernels/convolution/convolution.h"
#include "kernels/up_convolution/reference.h"
#include "kernels/upsample/upsample.h"
#include "tests/support/moments.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::testing;
using kernels::UpConvolutionDims;

namespace {

struct Case {
  Shape x;
  int64_t cout;
  bool volume;
};

// Single rows, columns and planes, several strips and slabs, tails of every vector width.
std::vector<Case> cases() {
  std::vector<Case> all{{{2, 1, 5, 7, 6}, 8, false},     {{1, 1, 1, 1, 3}, 4, false},  {{1, 1, 2, 3, 16}, 16, false},
                        {{1, 1, 21, 13, 32}, 16, false}, {{1, 3, 4, 5, 4}, 12, false}, {{1, 1, 1, 1, 5}, 16, true},
                        {{2, 3, 4, 5, 6}, 10, true},     {{1, 9, 10, 7, 8}, 20, true}, {{1, 2, 17, 3, 16}, 16, true}};
  for (const int64_t c : simd_edge_sizes(33)) all.push_back({{1, 1, 3, 4, c}, c, false});
  return all;
}

Shape doubled(const Case& c) { return {c.x[0], c.volume ? 2 * c.x[1] : c.x[1], 2 * c.x[2], 2 * c.x[3], c.cout}; }

}  // namespace

TEST_CASE("up_convolution: every row equals the upsampling and the convolution one after the other") {
  for (const Case& c : cases()) {
    const int64_t cin = c.x.channels();
    const Shape out = doubled(c);
    const Tensor x = randn(c.x, 1, DType::f32, 2),
                 w = randn(c.volume ? Shape{c.cout, cin, 3, 3, 3} : Shape{c.cout, cin, 3, 3}, 2, DType::f32),
                 b = randn({c.cout}, 3, DType::f32), residual = randn(out, 4, DType::f32, 1);
    const Tensor up = Tensor::empty(out.with_channels(cin), DType::f64), want = Tensor::empty(out, DType::f64);
    kernels::upsample_forward(x.to(DType::f64), c.volume ? 3 : 2, up);
    kernels::convolution_forward(up, w.to(DType::f64), b.to(DType::f64), 1, want);
    for (int64_t i = 0; i < want.numel(); ++i) {  // after: relu, residual
      double& v = want.span<double>()[static_cast<size_t>(i)];
      const int64_t row = i / c.cout, channel = i % c.cout;
      v = std::max(v, 0.) + residual.data<float>()[row * residual.row_stride() + channel];
    }
    for (const auto& impl : kernels::up_convolution_impls())
      for (const int threads : {1, 3}) {
        if (!supported(impl.isa)) continue;
        CAPTURE(std::string(impl.name));
        CAPTURE(c.x);
        CAPTURE(c.cout);
        Context context({.threads = threads, .isa = impl.isa});
        const Context::Scope scope(context);
        const Tensor y = padded(out, DType::f32, 3);
        const UpConvolutionDims d{c.x[0], c.x[1],   c.x[2],         c.x[3],        cin,
                                  c.cout, c.volume, x.row_stride(), y.row_stride()};
        const auto p = kernels::prepare(d, context);
        REQUIRE(p.row == &impl);
        const Tensor packed = Tensor::empty({p.packed_bytes / 4}), scratch = Tensor::empty({p.scratch_bytes / 4}),
                     moments = Tensor::full({d.n, kernels::up_convolution_blocks(d), 3, c.cout}, 1e30);
        kernels::pack(p, w.data<float>(), packed.data<float>());
        kernels::run(p, x.data<float>(), packed.data<float>(),
                     {.epilogue = {.after = kernels::Activation::relu,
                                   .bias = {b.data<float>()},
                                   .residual = {residual.data<float>(), residual.row_stride()}},
                      .moments = moments.data<float>()},
                     y.data<float>(), scratch.data<float>());
        CHECK(padding_intact(y, 3));
        // 3 taps per axis, each of weight 1 in all, and a few roundings of the way.
        const double terms = static_cast<double>(cin * d.taps() + 12);
        CHECK(max_difference(y, want) <= 6e-8 * terms * max_magnitude(x) * max_magnitude(w) + 1e-6);
        int64_t pixels = 0;
        for (int64_t i = 0; i < kernels::up_convolution_blocks(d); ++i) pixels += kernels::up_convolution_pixels(d, i);
        CHECK(pixels * d.n == out.numel() / c.cout);
        const Statistics got = statistics_of(moments, [&](int64_t i) { return kernels::up_convolution_pixels(d, i); });
        const Statistics want_of_y = statistics_of(y);
        CHECK(max_difference(got.mean, want_of_y.mean) <= 1e-5 * (1 + max_magnitude(want_of_y.mean)));
        CHECK(max_difference(got.variance, want_of_y.variance) <= 1e-4 * (1 + max_magnitude(want_of_y.variance)));
      }
  }
}
