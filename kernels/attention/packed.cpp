#include "kernels/attention/packed.h"

#include <algorithm>
#include <numbers>

#include "kernels/attention/unit.h"

namespace lgms::kernels {
namespace {

constexpr int64_t kLanes = kAttentionLanes;
constexpr float kScale = 0.35355339059327376f;                                   // 1 / sqrt(8)
constexpr float kScoreScale = kScale * static_cast<float>(std::numbers::log2e);  // scores to base 2

// One head in scratch; every part starts at a multiple of 64 bytes.
struct Packed {
  Packed(const AttentionDims& dims, float* scratch)
      : d(dims),
        tokens(dims.tokens()),
        padded((tokens + 15) / 16 * 16),
        kv(scratch),
        qdy(kv + 16 * padded),
        minus_shift(qdy + 16 * padded),
        minus_delta(minus_shift + padded),
        rows(reinterpret_cast<int64_t*>(minus_delta + padded)) {}

  // rows[token] as AttentionUnit::row, without its divisions.
  void find_rows(const AttentionUnit& u) const {
    int64_t* next = rows;
    for (int64_t depth = 0; depth < d.d / d.patch_d; ++depth)
      for (int64_t h = 0; h < d.h / 2; ++h) {
        const int64_t line = ((u.image * d.d + depth * d.patch_d + u.grid / 4) * d.h + 2 * h + u.grid / 2 % 2) * d.w;
        for (int64_t w = 0; w < d.w / 2; ++w) *next++ = line + 2 * w + u.grid % 2;
      }
  }

  void pack_keys(const float* k, int64_t third) const {
    for (int64_t i = 0; i < tokens; ++i) {
      const float* row = k + rows[i] * d.ldqkv;
      std::copy_n(row, kHeadDim, kv + 16 * i);
      std::copy_n(row + third, kHeadDim, kv + 16 * i + 8);
    }
  }

  void pack_queries(const AttentionUnit& u, const float* qkv, const float* y, const float* statistics,
                    const float* dy) const {
    for (int64_t i = 0; i < tokens; ++i) {
      const float* q = qkv + rows[i] * d.ldqkv + u.head * kHeadDim;
      const float* out = y + rows[i] * d.ldy + u.head * kHeadDim;
      const float* gradient = dy + rows[i] * d.lddy + u.head * kHeadDim;
      const float* statistic = statistics + (rows[i] * d.heads + u.head) * 2;
      float* const row = qdy + 16 * i;
      float delta = 0;
      for (int64_t c = 0; c < kHeadDim; ++c) {
        row[c] = q[c] * kScoreScale;
        row[8 + c] = gradient[c] * statistic[1];
        delta += row[8 + c] * out[c];
      }
      minus_shift[i] = -statistic[0];
      minus_delta[i] = -delta;
    }
  }

  const AttentionDims& d;
  int64_t tokens, padded;
  float *kv, *qdy, *minus_shift, *minus_delta;
  int64_t* rows;
};

// lanes[c][i] = rows[i][c], i < count; the other lanes 0.
void transpose(const float* rows, int64_t count, float (&lanes)[8][kLanes]) {
  for (int64_t c = 0; c < kHeadDim; ++c) {
    for (int64_t i = 0; i < count; ++i) lanes[c][i] = rows[16 * i + c];
    std::fill(lanes[c] + count, lanes[c] + kLanes, 0.f);
  }
}

// to[rows[i]][c] = lanes[c][i] * scale
void store(const float (&lanes)[8][kLanes], float scale, const int64_t* rows, int64_t count, float* to, int64_t ld) {
  for (int64_t i = 0; i < count; ++i)
    for (int64_t c = 0; c < kHeadDim; ++c) to[rows[i] * ld + c] = lanes[c][i] * scale;
}

// before(u) at the first unit of each head, each(u) at every unit.
template <class Before, class Each>
void for_units(const AttentionDims& d, int64_t first, int64_t last, const Before& before, const Each& each) {
  for (int64_t unit = first; unit < last; ++unit) {
    const AttentionUnit u(d, unit);
    if (unit == first || u.first == 0) before(u);
    each(u);
  }
}

}  // namespace

int64_t attention_packed_scratch(const AttentionDims& d) { return (d.tokens() + 15) / 16 * 16 * (16 + 16 + 1 + 1 + 2); }

void attention_forward_packed(const AttentionDims& d, int64_t first, int64_t last, const float* qkv, float* y,
                              float* statistics, float* scratch, AttentionHeadForward* run) {
  const Packed head(d, scratch);
  const int64_t third = d.heads * kHeadDim;
  const auto pack = [&](const AttentionUnit& u) {
    head.find_rows(u);
    head.pack_keys(qkv + third + u.head * kHeadDim, third);
  };
  for_units(d, first, last, pack, [&](const AttentionUnit& u) {
    alignas(64) float q[8][kLanes] = {}, o[8][kLanes], shift[kLanes], inverse[kLanes];
    const int64_t* rows = head.rows + u.first;
    const int64_t count = u.last - u.first;
    for (int64_t i = 0; i < count; ++i)
      for (int64_t c = 0; c < kHeadDim; ++c) q[c][i] = qkv[rows[i] * d.ldqkv + u.head * kHeadDim + c] * kScoreScale;
    run(head.tokens, head.kv, q[0], o[0], shift, inverse);
    store(o, 1.f, rows, count, y + u.head * kHeadDim, d.ldy);
    for (int64_t i = 0; i < count; ++i) {
      float* const statistic = statistics + (rows[i] * d.heads + u.head) * 2;
      statistic[0] = shift[i];
      statistic[1] = inverse[i];
    }
  });
}

void attention_backward_packed(const AttentionDims& d, int64_t first, int64_t last, const float* qkv, const float* y,
                               const float* statistics, const float* dy, float* dqkv, float* scratch,
                               AttentionHeadBackward* run) {
  const Packed head(d, scratch);
  const int64_t third = d.heads * kHeadDim;
  const auto pack = [&](const AttentionUnit& u) {
    head.find_rows(u);
    head.pack_keys(qkv + third + u.head * kHeadDim, third);
    head.pack_queries(u, qkv, y, statistics, dy);
  };
  for_units(d, first, last, pack, [&](const AttentionUnit& u) {
    AttentionLanes own;
    AttentionLaneGradients out;
    const int64_t count = u.last - u.first;
    transpose(head.kv + 16 * u.first, count, own.k);
    transpose(head.kv + 16 * u.first + 8, count, own.v);
    transpose(head.qdy + 16 * u.first, count, own.q);
    transpose(head.qdy + 16 * u.first + 8, count, own.dy);
    for (int64_t i = 0; i < kLanes; ++i) {
      own.minus_shift[i] = i < count ? head.minus_shift[u.first + i] : 0.f;
      own.minus_delta[i] = i < count ? head.minus_delta[u.first + i] : 0.f;
    }
    run(head.tokens, head.kv, head.qdy, head.minus_shift, head.minus_delta, own, out);
    float* const to = dqkv + u.head * kHeadDim;
    const int64_t* rows = head.rows + u.first;
    store(out.dq, kScale, rows, count, to, d.lddqkv);
    store(out.dk, kScale / kScoreScale, rows, count, to + third, d.lddqkv);  // of q as packed
    store(out.dv, 1.f, rows, count, to + 2 * third, d.lddqkv);
  });
}

}  // namespace lgms::kernels
