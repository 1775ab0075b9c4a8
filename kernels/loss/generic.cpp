// From the reference: four elements (or pixels) at a time, our own exp and log; sums in float over at most 1024 numbers
// a lane, then in double.
#include "kernels/simd/generic.h"
//
#include "kernels/loss/bce_dice_loss.h"
#include "kernels/loss/dice_ce_loss.h"
#include "kernels/simd/math.h"

namespace {

// log((1 + t) / (1 - t)) for t in [0, 1/3].
Vec::T log_ratio(Vec::T t) {
  const Vec::T s = t * t;
  const Vec::T q = 0.666664124f + s * (0.400216997f + s * (0.279991418f + s * 0.280244619f));
  return 2 * t + t * s * q;
}

// log(x) for normal x >= 1.
Vec::T log_of(Vec::T x) {
  const Vec::Bits exponents = ((Vec::Bits)x >> 23) - 127;
  const Vec::T m = (Vec::T)(((Vec::Bits)x & 0x7fffff) | 0x3f800000);
  return __builtin_convertvector(exponents, Vec::T) * 0.693147182f + log_ratio((m - 1) / (m + 1));
}

// s = sigmoid(x), softplus = log(1 + exp(-|x|)).
struct Sigmoid {
  Vec::T s, softplus;
  explicit Sigmoid(Vec::T x) {
    const Vec::T e = ExpMinus(Vec::min(Vec::set1(87.f), Vec::abs(x))).value(), inverse = 1 / (1 + e);
    s = Vec::select(x > 0, inverse, e * inverse);
    softplus = log_ratio(e / (2 + e));
  }
};

// The first n lanes; a whole vector at once where it can be.
Vec::T load(const float* p, long n) { return n == 4 ? Vec::load(p) : Vec::load(p, n); }

double total(Vec::T v) { return (static_cast<double>(v[0]) + v[1]) + (static_cast<double>(v[2]) + v[3]); }

// Four neighbouring pixels of an image, of which the last may be missing: lane l is pixel l, absent ones repeat the
// first.
struct Pixels {
  long live, stride;
  Pixels(long rows, long row, long ld) : live(rows - row < 4 ? rows - row : 4), stride(ld) {}
  Vec::T load(const float* x) const {
    return Vec::T{x[0], x[live > 1 ? stride : 0], x[live > 2 ? 2 * stride : 0], x[live > 3 ? 3 * stride : 0]};
  }
};

// p[c] = softmax over the channels of four pixels; returns log(sum exp(x)).
Vec::T softmax(const Pixels& pixels, const float* x, long channels, Vec::T* p) {
  Vec::T most = pixels.load(x), sum = Vec::zero();
  for (long c = 1; c < channels; ++c) most = Vec::max(most, pixels.load(x + c));
  for (long c = 0; c < channels; ++c) {
    p[c] = ExpMinus(Vec::min(Vec::set1(87.f), most - pixels.load(x + c))).value();
    sum += p[c];
  }
  const Vec::T inverse = 1 / sum;
  for (long c = 0; c < channels; ++c) p[c] *= inverse;
  return most + log_of(sum);
}

}  // namespace

namespace lgms::kernels {

void bce_dice_loss_forward_generic(const BceDiceDims& dims, const float* logits, const float* target, double* sums) {
  BceDiceDims d = dims;
  if (d.ldx == d.c && d.ldt == d.c) d = {1, d.rows * d.c, 0, 0, 0};
  sums[0] = sums[1] = sums[2] = 0;
  const float ones[4] = {1, 1, 1, 1};
  for (int64_t r = 0; r < d.rows; ++r, logits += d.ldx, target += d.ldt)
    for (int64_t first = 0; first < d.c; first += 4096) {
      Vec::T inter = Vec::zero(), both = inter, bce = inter;
      for (int64_t c = first; c < d.c && c < first + 4096; c += 4) {
        const long n = d.c - c < 4 ? d.c - c : 4;
        const Vec::T x = load(logits + c, n), t = load(target + c, n), live = load(ones, n);
        const Sigmoid f(x);
        inter += f.s * t;
        both += live * (f.s + t);
        bce += live * (Vec::max(Vec::zero(), x) - x * t + f.softplus);
      }
      sums[0] += total(inter), sums[1] += total(both), sums[2] += total(bce);
    }
}

void bce_dice_loss_backward_generic(const BceDiceDims& dims, const float* logits, const float* target,
                                    const double* factors, float* dlogits) {
  BceDiceDims d = dims;
  if (d.ldx == d.c && d.ldt == d.c && d.ldy == d.c) d = {1, d.rows * d.c, 0, 0, 0};
  const float w = static_cast<float>(factors[0]), a = static_cast<float>(factors[1]),
              b = static_cast<float>(factors[2]);
  for (int64_t r = 0; r < d.rows; ++r, logits += d.ldx, target += d.ldt, dlogits += d.ldy)
    for (int64_t c = 0; c < d.c; c += 4) {
      const long n = d.c - c < 4 ? d.c - c : 4;
      const Vec::T t = load(target + c, n), s = Sigmoid(load(logits + c, n)).s;
      const Vec::T dx = w * (s - t) + s * (1 - s) * (a * t + b);
      if (n == 4)
        Vec::store(dlogits + c, dx);
      else
        Vec::store(dlogits + c, dx, n);
    }
}

void dice_ce_loss_forward_generic(const DiceCeDims& d, const float* logits, const int64_t* labels, float* scratch,
                                  double* sums, double* ce) {
  Vec::T* p = reinterpret_cast<Vec::T*>(scratch);
  *ce = 0;
  for (int64_t c = 0; c < 2 * d.c; ++c) sums[c] = 0;
  for (int64_t r = 0; r < d.rows; r += 4, logits += 4 * d.ldx) {
    const Pixels pixels(d.rows, r, d.ldx);
    const Vec::T log_sum = softmax(pixels, logits, d.c, p);
    for (long l = 0; l < pixels.live; ++l) {
      const int64_t label = labels[r + l];
      *ce += log_sum[l] - logits[l * d.ldx + label];
      sums[label] += p[label][l];
      sums[d.c + label] += 1;
    }
    for (int64_t c = 0; c < d.c; ++c)
      if (pixels.live == 4)
        sums[d.c + c] += total(p[c] * p[c]);
      else
        for (long l = 0; l < pixels.live; ++l) sums[d.c + c] += p[c][l] * p[c][l];
  }
}

void dice_ce_loss_backward_generic(const DiceCeDims& d, const float* logits, const int64_t* labels,
                                   const double* factors, double w, float* scratch, float* dlogits) {
  Vec::T* p = reinterpret_cast<Vec::T*>(scratch);
  const double *a = factors, *b = factors + d.c;
  for (int64_t r = 0; r < d.rows; r += 4, logits += 4 * d.ldx, dlogits += 4 * d.ldy) {
    const Pixels pixels(d.rows, r, d.ldx);
    softmax(pixels, logits, d.c, p);
    Vec::T mean = Vec::zero(), at_label = Vec::zero();  // mean: sum_k p_k G_k
    for (long l = 0; l < pixels.live; ++l) {
      const int64_t label = labels[r + l];
      mean[l] = at_label[l] = static_cast<float>(a[label]) * p[label][l];
      at_label[l] -= static_cast<float>(w);
    }
    for (int64_t c = 0; c < d.c; ++c) mean += static_cast<float>(b[c]) * p[c] * p[c];
    for (int64_t c = 0; c < d.c; ++c) {
      const Vec::T g = p[c] * (static_cast<float>(b[c]) * p[c] - mean + static_cast<float>(w));
      for (long l = 0; l < pixels.live; ++l) dlogits[l * d.ldy + c] = g[l];
    }
    for (long l = 0; l < pixels.live; ++l) dlogits[l * d.ldy + labels[r + l]] += at_label[l];
  }
}

}  // namespace lgms::kernels
