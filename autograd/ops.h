#pragma once
// Every differentiable op, by name. Formulas, shapes and sources stand in kernels/<op>/<op>.h; the gradient closure of
// each in autograd/<op>.cpp. Activations are [N, D, H, W, C]; an undefined Variable stands for an absent bias or
// residual.
#include <array>
#include <span>

#include "autograd/variable.h"
#include "kernels/activation/activation.h"

namespace lgms::autograd {

using kernels::Activation;
using Epilogue = kernels::Epilogue<Variable>;

// ---- mixing channels ----
Variable convolution(const Variable& x, const Variable& weight, const Variable& bias, int64_t groups = 1);
Variable linear(const Variable& x, const Variable& weight, const Variable& bias);
Variable depthwise(const Variable& x, const Variable& weight, const Variable& bias);
// y = concat over channel quarters of depthwise k = 3, 5, 7, 9 (+ x if residual).
Variable multiscale_depthwise(const Variable& x, const std::array<Variable, 4>& weights,
                              const std::array<Variable, 4>& biases, bool residual);
// Attention inside each interleaved sub-grid of an image; qkv: [N, D, H, W, 3 * heads * 8]. rank 2: 2x2 patches, 3:
// 2x2x2.
Variable attention(const Variable& qkv, int64_t heads, int rank);

// ---- norms ----
// y = after(norm(before(x)) * gamma + beta) + residual, eps 1e-5; an x that is moved in may be overwritten.
// Written by batch_norm in training. num_batches: i64 scalar.
struct RunningStatistics {
  Tensor mean, variance, num_batches;
  double momentum = 0.1;
};
Variable batch_norm(Variable x, const Variable& gamma, const Variable& beta, const RunningStatistics& statistics,
                    bool training, const Epilogue& epilogue = {});
Variable instance_norm(Variable x, const Epilogue& epilogue = {});
Variable group_norm(Variable x, const Variable& gamma, const Variable& beta, int64_t groups,
                    const Epilogue& epilogue = {});
Variable layer_norm(const Variable& x, const Variable& gamma, const Variable& beta, double eps = 1e-5);

// ---- element by element, and moving data ----
Variable activation(const Variable& x, Activation kind);
Variable add(const Variable& a, const Variable& b);
Variable concat(std::span<const Variable> parts);
Variable split(const Variable& x, int64_t first, int64_t count);  // channels; shares the storage of x
Variable upsample(const Variable& x, int rank);                   // x2 linear; rank 2 leaves D alone
Variable max_pool(const Variable& x, int rank);                   // 2x2 or 2x2x2, stride 2

// ---- losses: scalars ----
Variable bce_dice_loss(const Variable& logits, const Tensor& target);  // target: as logits, in [0, 1]
Variable dice_ce_loss(const Variable& logits, const Tensor& labels);   // labels: i64 [N, D, H, W]

}  // namespace lgms::autograd
