#include "kernels/convolution/weight_gradient/weight_gradient.h"

#include "kernels/convolution/convolution.h"
#include "kernels/convolution/onednn.h"
#include "kernels/convolution/weight_gradient/reference.h"

namespace lgms::kernels {
namespace {

constexpr const char* kOp = "convolution_weight_gradient";
constexpr int64_t kPartials = 4 << 20;  // bytes of partials, about
constexpr int64_t kPixels = 4096;       // pixels per partial, at least

int64_t round_up(int64_t n, int64_t m) { return (n + m - 1) / m * m; }

int64_t no_scratch(const CorrelationDims&) { return 0; }

ConvolutionDims checked_dims(const TensorView& x, const TensorView& dy, int64_t groups, const TensorView& dweight,
                             const TensorView& dbias) {
  const ConvolutionDims d = convolution_dims(kOp, x, dweight, groups, dy, false, true, true);
  if (dbias.defined()) {
    expect_shape(kOp, "dbias", dbias, {d.cout});
    expect_like(kOp, "dbias", dbias, x);
  }
  return d;
}

// The share of lanes that c channels leave idle.
double idle(int64_t c) { return 1 - static_cast<double>(c) / static_cast<double>(round_up(c, 16)); }

// Whether x takes the lanes: where it fills them better, or gives a window without width more vectors to work with.
bool lanes_are_inputs(const ConvolutionDims& c) {
  const int64_t in = c.cin / c.groups, out = c.cout / c.groups;
  return idle(in) < idle(out) || (c.kw == 1 && idle(in) == idle(out) && in > out);
}

CorrelationDims correlation(const ConvolutionDims& c, bool swapped) {
  const int64_t in = c.cin / c.groups, out = c.cout / c.groups;
  CorrelationDims d{c.n, c.d, c.h, c.w, out, in, c.ldy, c.ldx, 0, c.kd, c.kh, c.kw};
  if (swapped) std::swap(d.ca, d.cb), std::swap(d.lda, d.ldb);
  if (c.kd == 1) d.n = 1, d.d = c.n * c.d;  // without depth in the window, images are slices too
  d.ldp = round_up(d.ca, 16);
  return d;
}

// The cut of the units into blocks, one partial each.
Blocks blocks(const CorrelationDims& d, int64_t partial_bytes) {
  if (correlation_units(d) == 0) return {0, 1};
  const Slab s = correlation_slab(d, 0);
  const int64_t pixels = s.slices * s.rows * d.w;
  return blocks_of(correlation_units(d), (kPixels + pixels - 1) / pixels,
                   std::min<int64_t>(64, kPartials / std::max<int64_t>(partial_bytes, 1)));
}

// dweight = the sum of the partials in block order, in PyTorch's order.
template <class T>
void add_partials(const ConvolutionDims& c, const CorrelationDims& d, bool swapped, int64_t count, const T* partials,
                  T* dweight) {
  const int64_t taps = d.taps(), size = c.groups * taps * d.cb * d.ldp;
  parallel_ranges(c.groups * d.cb, 1 + 4096 / (taps * d.ldp * count + 1), [&](int64_t first, int64_t last, int) {
    for (int64_t at = first * taps; at < last * taps; ++at) {
      const int64_t g = at / taps / d.cb, j = at / taps % d.cb, t = at % taps;
      const T* row = partials + ((g * taps + t) * d.cb + j) * d.ldp;
      // dweight[o,i,t] with o, i = a's and b's channels, or b's and a's.
      T* to = dweight + (swapped ? (g * d.cb + j) * d.ca * taps + t : (g * d.ca * d.cb + j) * taps + taps - 1 - t);
      const int64_t step = swapped ? taps : d.cb * taps;
      for (int64_t i = 0; i < d.ca; i += 16) {
        double sum[16] = {};
        for (int64_t block = 0; block < count; ++block)
          for (int64_t k = 0; k < 16; ++k) sum[k] += static_cast<double>(row[block * size + i + k]);
        for (int64_t k = 0; k < std::min<int64_t>(16, d.ca - i); ++k) to[(i + k) * step] = static_cast<T>(sum[k]);
      }
    }
  });
}

// Lanes of a that one piece of work handles: many, so that b is packed or transformed once, but not so many that
// threads have nothing to do. Where the lanes are cut changes no sum.
int64_t lanes_of_a_piece(const CorrelationDims& d, int64_t pieces) {
  const int64_t threads = Context::current().threads();
  int64_t lanes = 256;
  while (lanes > 32 && pieces * ((d.ca + lanes - 1) / lanes) < threads) lanes /= 2;
  return lanes;
}

template <class T>
void weight_gradient(const ConvolutionDims& c, bool swapped, const T* x, const T* dy, T* dweight, T* dbias,
                     CorrelationRun<T>* run, CorrelationScratch* scratch_of) {
  Context& context = Context::current();
  const CorrelationDims d = correlation(c, swapped);
  const int64_t group = d.taps() * d.cb * d.ldp, size = c.groups * group;
  const Blocks cut = blocks(d, size * int64_t{sizeof(T)});
  const int64_t lanes = lanes_of_a_piece(d, cut.count * c.groups), chunks = (d.ca + lanes - 1) / lanes;
  const auto chunk = [&](int64_t first) {
    CorrelationDims part = d;
    part.ca = std::min(d.ca - first, lanes);
    return part;
  };
  const int64_t scratch_size = round_up(scratch_of(chunk(0)), 16);
  const Scratch partials(context.memory(), cut.count * size * int64_t{sizeof(T)});
  const Scratch scratch(context.memory(), context.threads() * scratch_size * int64_t{sizeof(T)});
  // dy's sums: per block, and in it per group, a row of width; the first piece along the lanes writes those of b.
  const int64_t width = round_up(c.cout / c.groups, 16), bias_size = dbias ? c.groups * width : 0;
  const Scratch biases(context.memory(), cut.count * bias_size * int64_t{sizeof(T)});
  std::fill_n(biases.as<T>(), cut.count * bias_size, T{0});
  const T* a = swapped ? x : dy;
  const T* b = swapped ? dy : x;
  context.parallel(cut.count * c.groups * chunks, [&](int64_t piece, int worker) {
    const int64_t block = piece / chunks / c.groups, g = piece / chunks % c.groups, first = piece % chunks * lanes;
    T* bias = biases.as<T>() + block * bias_size + g * width;
    const CorrelationSums<T> to{partials.as<T>() + block * size + g * group + first,
                                dbias && !swapped ? bias + first : nullptr,
                                dbias && swapped && first == 0 ? bias : nullptr};
    run(chunk(first), cut.first(block), cut.last(block), a + g * d.ca + first, b + g * d.cb, to,
        scratch.as<T>() + worker * scratch_size);
  });
  add_partials(c, d, swapped, cut.count, partials.as<const T>(), dweight);
  for (int64_t o = 0; dbias && o < c.cout; ++o) {
    double sum = 0;
    for (int64_t block = 0; block < cut.count; ++block)
      sum += static_cast<double>(
          biases.as<T>()[block * bias_size + o / (c.cout / c.groups) * width + o % (c.cout / c.groups)]);
    dbias[o] = static_cast<T>(sum);
  }
}

}  // namespace

void convolution_weight_gradient(const TensorView& x, const TensorView& dy, int64_t groups, const TensorView& dweight,
                                 const TensorView& dbias) {
  const ConvolutionDims c = checked_dims(x, dy, groups, dweight, dbias);
  const bool swapped = lanes_are_inputs(c);
  const HostRows host(x.device());
#if LGMS_HAVE_ONEDNN
  if (x.dtype() == DType::f32 && Context::current().provider() == Provider::onednn)
    return convolution_weight_gradient_onednn(c, x.data<float>(), dy.data<float>(), dweight.data<float>(),
                                              data_or_null<float>(dbias));
#endif
  if (x.dtype() == DType::f64) {
    weight_gradient<double>(c, swapped, x.data<double>(), dy.data<double>(), dweight.data<double>(),
                            data_or_null<double>(dbias), correlation_reference<double>, no_scratch);
  } else {
    const CorrelationDims d = correlation(c, swapped);
    const CorrelationImpl& row = pick(correlation_impls(), Context::current(), x.device(),
                                      [&](const CorrelationImpl& r) { return r.accepts(d); });
    weight_gradient<float>(c, swapped, x.data<float>(), dy.data<float>(), dweight.data<float>(),
                           data_or_null<float>(dbias), row.run, row.scratch);
  }
}

}  // namespace lgms::kernels
