#pragma once
// Both passes over rows, in groups of four vectors so that their chains overlap, then vector by vector.
#include "kernels/activation/functions.h"

namespace {

using lgms::kernels::ActivationDims;

constexpr long kGroup = 4 * Vec::lanes;

LGMS_FLATTEN void forward_rows(const ActivationDims& d, const float* x, float* y) {
  for (long r = 0; r < d.rows; ++r, x += d.ldx, y += d.ldy) {
    long c = 0;
    for (; c + kGroup <= d.c; c += kGroup) {
      Vec::T v[4];
      each<4>([&](int i) { v[i] = Vec::load(x + c + i * Vec::lanes); });
      activate(d.kind, v);
      each<4>([&](int i) { Vec::store(y + c + i * Vec::lanes, v[i]); });
    }
    for (; c < d.c; c += Vec::lanes) {
      const long n = d.c - c < Vec::lanes ? d.c - c : Vec::lanes;
      Vec::T v[1] = {Vec::load(x + c, n)};
      activate(d.kind, v);
      Vec::store(y + c, v[0], n);
    }
  }
}

LGMS_FLATTEN void backward_rows(const ActivationDims& d, const float* x, const float* dy, float* dx) {
  for (long r = 0; r < d.rows; ++r, x += d.ldx, dy += d.lddy, dx += d.ldy) {
    long c = 0;
    for (; c + kGroup <= d.c; c += kGroup) {
      Vec::T v[4], g[4];
      each<4>([&](int i) { v[i] = Vec::load(x + c + i * Vec::lanes), g[i] = Vec::load(dy + c + i * Vec::lanes); });
      multiply_derivative(d.kind, v, g);
      each<4>([&](int i) { Vec::store(dx + c + i * Vec::lanes, g[i]); });
    }
    for (; c < d.c; c += Vec::lanes) {
      const long n = d.c - c < Vec::lanes ? d.c - c : Vec::lanes;
      Vec::T v[1] = {Vec::load(x + c, n)}, g[1] = {Vec::load(dy + c, n)};
      multiply_derivative(d.kind, v, g);
      Vec::store(dx + c, g[0], n);
    }
  }
}

}  // namespace

namespace lgms::kernels {

void LGMS_ROW(activation_forward)(const ActivationDims& d, const float* x, float* y) { forward_rows(d, x, y); }
void LGMS_ROW(activation_backward)(const ActivationDims& d, const float* x, const float* dy, float* dx) {
  backward_rows(d, x, dy, dx);
}

}  // namespace lgms::kernels
