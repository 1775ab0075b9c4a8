#include "kernels/convolution/weight_gradient.h"

#include "kernels/convolution/weight_gradient_reference.h"

namespace lgms::kernels {
namespace {

constexpr const char* kOp = "convolution_weight_gradient";
constexpr int64_t kChunk = 64;           // lanes of a that one piece of work handles
constexpr int64_t kPartials = 16 << 20;  // bytes of partials, at most
constexpr int64_t kSlab = 1024;          // pixels per unit, about
constexpr int64_t kPixels = 2048;        // pixels per partial, at least

int64_t round_up(int64_t n, int64_t m) { return (n + m - 1) / m * m; }

bool accepts_all(const CorrelationDims&) { return true; }
int64_t no_scratch(const CorrelationDims&) { return 0; }

bool accepts_winograd(const CorrelationDims& d) {
  return d.kh == 3 && d.kw == 3 && d.ca >= 16 && d.cb >= 16 && d.h >= 4 && d.w >= 4;
}

constexpr CorrelationImpl impls[] = {
#if LGMS_X86
    {"avx512 winograd", Isa::avx512, accepts_winograd, correlation_scratch_avx512_winograd,
     correlation_avx512_winograd},
    {"avx512", Isa::avx512, accepts_all, correlation_scratch_avx512, correlation_avx512},
    {"avx2", Isa::avx2, accepts_all, correlation_scratch_avx2, correlation_avx2},
#endif
    {"generic", Isa::generic, accepts_all, no_scratch, correlation_generic},
    {"reference", Isa::reference, accepts_all, no_scratch, correlation_reference<float>},
};

ConvolutionDims checked_dims(const TensorView& x, const TensorView& dy, int64_t groups, const TensorView& dweight,
                             const TensorView& dbias) {
  expect_activations(kOp, "x", x);
  const Shape& s = x.shape();
  expect_activations(kOp, "dy", dy);
  expect_shape(kOp, "dy", dy, s.with_channels(dy.channels()));
  expect_type(kOp, "dy", dy, x.dtype());
  const int64_t cin = x.channels(), cout = dy.channels();
  check(groups > 0 && cin % groups == 0 && cout % groups == 0, ErrorKind::usage, "[", kOp,
        "] groups: expected a divisor of ", cin, " and ", cout, ", got ", groups);
  const Shape& k = dweight.shape();
  check(dweight.defined() && (k.rank() == 2 || k.rank() == 4 || k.rank() == 5) && k[0] == cout && k[1] == cin / groups,
        ErrorKind::usage, "[", kOp, "] dweight: expected [", cout, ", ", cin / groups, ", k...], got ", k);
  for (int axis = 2; axis < k.rank(); ++axis)
    check(k[axis] % 2 == 1, ErrorKind::usage, "[", kOp, "] dweight: expected odd windows, got ", k);
  expect_type(kOp, "dweight", dweight, x.dtype());
  check(dweight.is_dense(), ErrorKind::usage, "[", kOp, "] dweight: expected a dense tensor");
  if (dbias.defined()) {
    expect_shape(kOp, "dbias", dbias, {cout});
    expect_type(kOp, "dbias", dbias, x.dtype());
  }
  return {s[0],
          s[1],
          s[2],
          s[3],
          cin,
          cout,
          groups,
          k.rank() == 5 ? k[2] : 1,
          k.rank() >= 4 ? k[-2] : 1,
          k.rank() >= 4 ? k[-1] : 1,
          x.row_stride(),
          dy.row_stride()};
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
  const int64_t taps = d.taps(), tiles = d.ldp / 16, size = c.groups * taps * d.cb * d.ldp;
  Context::current().parallel(c.groups * tiles, [&](int64_t piece, int) {
    const int64_t g = piece / tiles, first = piece % tiles * 16, lanes = std::min<int64_t>(16, d.ca - first);
    for (int64_t j = 0; j < d.cb; ++j)
      for (int64_t t = 0; t < taps; ++t) {
        double sum[16] = {};
        const T* p = partials + ((g * taps + t) * d.cb + j) * d.ldp + first;
        for (int64_t block = 0; block < count; ++block)
          for (int64_t i = 0; i < 16; ++i) sum[i] += static_cast<double>(p[block * size + i]);
        for (int64_t i = 0; i < lanes; ++i) {
          const int64_t row = swapped ? (g * d.cb + j) * d.ca + first + i : (g * d.ca + first + i) * d.cb + j;
          dweight[row * taps + (swapped ? t : taps - 1 - t)] = static_cast<T>(sum[i]);
        }
      }
  });
}

template <class T>
void weight_gradient(const ConvolutionDims& c, const T* x, const T* dy, T* dweight, CorrelationRun<T>* run,
                     int64_t (*scratch_of)(const CorrelationDims&), const CorrelationDims& d, bool swapped) {
  Context& context = Context::current();
  const int64_t size = c.groups * d.taps() * d.cb * d.ldp, chunks = (d.ca + kChunk - 1) / kChunk;
  const Blocks cut = blocks(d, size * int64_t{sizeof(T)});
  CorrelationDims chunk = d;
  chunk.ca = std::min(d.ca, kChunk);
  const int64_t scratch_size = round_up(scratch_of(chunk), 16);
  const Scratch partials(context.allocator(), cut.count * size * int64_t{sizeof(T)});
  const Scratch scratch(context.allocator(), context.threads() * scratch_size * int64_t{sizeof(T)});
  const T* a = swapped ? x : dy;
  const T* b = swapped ? dy : x;
  context.parallel(cut.count * c.groups * chunks, [&](int64_t piece, int worker) {
    const int64_t block = piece / chunks / c.groups, g = piece / chunks % c.groups, first = piece % chunks * kChunk;
    CorrelationDims mine = d;
    mine.ca = std::min(d.ca - first, kChunk);
    run(mine, cut.first(block), cut.last(block), a + g * d.ca + first, b + g * d.cb,
        partials.as<T>() + block * size + g * d.taps() * d.cb * d.ldp + first, scratch.as<T>() + worker * scratch_size);
  });
  add_partials(c, d, swapped, cut.count, partials.as<const T>(), dweight);
}

// dbias[o] = sum of dy, one partial per block of rows.
template <class T>
void bias_gradient(const ConvolutionDims& c, const T* dy, T* dbias) {
  Context& context = Context::current();
  const Blocks cut = blocks_of(c.rows(), 1024, 1024);
  const Scratch partials(context.allocator(), cut.count * c.cout * int64_t{sizeof(T)});
  context.parallel(cut.count, [&](int64_t block, int) {
    T* sum = partials.as<T>() + block * c.cout;
    std::fill_n(sum, c.cout, T{0});
    for (int64_t r = cut.first(block); r < cut.last(block); ++r)
      for (int64_t o = 0; o < c.cout; ++o) sum[o] += dy[r * c.ldy + o];
  });
  for (int64_t o = 0; o < c.cout; ++o) {
    double sum = 0;
    for (int64_t block = 0; block < cut.count; ++block)
      sum += static_cast<double>(partials.as<T>()[block * c.cout + o]);
    dbias[o] = static_cast<T>(sum);
  }
}

}  // namespace

namespace {

// The slab that starts an image: all rows of as many slices as make kSlab pixels, or else as many rows as do,
// over several slices where the window has depth (slices that a window shares are transformed once per slab).
Slab largest_slab(const CorrelationDims& d) {
  const int64_t slice = std::max<int64_t>(d.h * d.w, 1);
  if (slice <= kSlab) return {0, 0, std::min(kSlab / slice, d.d), 0, d.h};
  const int64_t slices = std::min<int64_t>(d.kd > 1 ? 4 : 1, d.d);
  return {0, 0, slices, 0, std::min(d.h, std::max<int64_t>(kSlab / slices / d.w / 4, 1) * 4)};
}

}  // namespace

int64_t correlation_units(const CorrelationDims& d) {
  if (d.n * d.d * d.h * d.w == 0) return 0;
  const Slab s = largest_slab(d);
  return d.n * ((d.d + s.slices - 1) / s.slices) * ((d.h + s.rows - 1) / s.rows);
}

Slab correlation_slab(const CorrelationDims& d, int64_t unit) {
  Slab s = largest_slab(d);
  const int64_t down = (d.h + s.rows - 1) / s.rows, deep = (d.d + s.slices - 1) / s.slices;
  s = {unit / down / deep, unit / down % deep * s.slices, s.slices, unit % down * s.rows, s.rows};
  s.slices = std::min(s.slices, d.d - s.z);
  s.rows = std::min(s.rows, d.h - s.y);
  return s;
}

std::span<const CorrelationImpl> correlation_impls() { return impls; }

void convolution_weight_gradient(const TensorView& x, const TensorView& dy, int64_t groups, const TensorView& dweight,
                                 const TensorView& dbias) {
  const ConvolutionDims c = checked_dims(x, dy, groups, dweight, dbias);
  const bool swapped = lanes_are_inputs(c);
  const CorrelationDims d = correlation(c, swapped);
  if (x.dtype() == DType::f64) {
    weight_gradient<double>(c, x.data<double>(), dy.data<double>(), dweight.data<double>(),
                            correlation_reference<double>, no_scratch, d, swapped);
    if (dbias.defined()) bias_gradient(c, dy.data<double>(), dbias.data<double>());
  } else {
    CorrelationDims chunk = d;
    chunk.ca = std::min(d.ca, kChunk);
    const CorrelationImpl& row = pick(correlation_impls(), [&](const CorrelationImpl& r) { return r.accepts(chunk); });
    weight_gradient<float>(c, x.data<float>(), dy.data<float>(), dweight.data<float>(), row.run, row.scratch, d,
                           swapped);
    if (dbias.defined()) bias_gradient(c, dy.data<float>(), dbias.data<float>());
  }
}

}  // namespace lgms::kernels
