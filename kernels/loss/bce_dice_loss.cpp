#include "kernels/loss/bce_dice_loss.h"

#include <vector>

#include "kernels/loss/reference.h"

namespace lgms::kernels {
namespace {

constexpr const char* kOp = "bce_dice_loss";
constexpr double kSmooth = 1e-5;
constexpr BceDiceImpl impls[] = {
    {"generic", Device::cpu, Isa::generic, bce_dice_loss_forward_generic, bce_dice_loss_backward_generic},
    {"reference", Device::cpu, Isa::reference, bce_dice_loss_forward_reference<float>,
     bce_dice_loss_backward_reference<float>}};

Blocks blocks_per_image(const TensorView& x) {
  const int64_t n = x.shape()[0], rows = n == 0 ? 0 : x.rows() / n;
  return blocks_of(rows, 1 + 16384 / std::max<int64_t>(x.channels(), 1), rows);
}

// body(piece, image, first row counted over all images, rows).
template <class Body>
void over_blocks(const TensorView& x, const Body& body) {
  const Blocks blocks = blocks_per_image(x);
  Context::current().parallel(x.shape()[0] * blocks.count, [&](int64_t piece, int) {
    const int64_t image = piece / blocks.count, block = piece % blocks.count, first = blocks.first(block);
    body(piece, image, image * blocks.units + first, blocks.last(block) - first);
  });
}

template <class T, class Run>
void forward(const TensorView& x, const TensorView& t, const TensorView& loss, const TensorView& sums, Run* run) {
  const int64_t n = x.shape()[0], count = blocks_per_image(x).count;
  std::vector<double> partials(static_cast<size_t>(n * count * 3));
  over_blocks(x, [&](int64_t piece, int64_t, int64_t first, int64_t rows) {
    run({rows, x.channels(), x.row_stride(), t.row_stride(), 0}, x.data<T>() + first * x.row_stride(),
        t.data<T>() + first * t.row_stride(), partials.data() + piece * 3);
  });
  double bce = 0, dice = 0;
  for (int64_t image = 0; image < n; ++image) {
    double inter = 0, total = 0;
    for (int64_t piece = image * count; piece < (image + 1) * count; ++piece) {
      inter += partials[piece * 3];
      total += partials[piece * 3 + 1];
      bce += partials[piece * 3 + 2];
    }
    sums.data<double>()[image * 2] = inter;
    sums.data<double>()[image * 2 + 1] = total;
    dice += (2 * inter + kSmooth) / (total + kSmooth);
  }
  *loss.data<T>() = static_cast<T>(0.5 * bce / static_cast<double>(x.numel()) + 1 - dice / static_cast<double>(n));
}

// d(1 - dice_n / N)/ds = (-2 t (T + e) + 2 I + e) / (N (T + e)^2)
template <class T, class Run>
void backward(const TensorView& x, const TensorView& t, const TensorView& sums, const TensorView& dloss,
              const TensorView& dx, Run* run) {
  const double scale = *dloss.data<T>(), n = static_cast<double>(x.shape()[0]);
  over_blocks(x, [&](int64_t, int64_t image, int64_t first, int64_t rows) {
    const double inter = sums.data<double>()[image * 2], total = sums.data<double>()[image * 2 + 1] + kSmooth;
    const double factors[3] = {scale * 0.5 / static_cast<double>(x.numel()), scale * -2 / (n * total),
                               scale * (2 * inter + kSmooth) / (n * total * total)};
    run({rows, x.channels(), x.row_stride(), t.row_stride(), dx.row_stride()}, x.data<T>() + first * x.row_stride(),
        t.data<T>() + first * t.row_stride(), factors, dx.data<T>() + first * dx.row_stride());
  });
}

void expect_operands(const TensorView& logits, const TensorView& target, const TensorView& sums, const char* scalar,
                     const TensorView& loss) {
  expect_activations(kOp, "logits", logits);
  check(logits.numel() > 0, ErrorKind::usage, "[bce_dice_loss] logits: expected at least one element, got ",
        logits.shape());
  expect_shape(kOp, "target", target, logits.shape());
  expect_like(kOp, "target", target, logits);
  expect_shape(kOp, "sums", sums, {logits.shape()[0], 2});
  expect_type(kOp, "sums", sums, DType::f64);
  expect_device(kOp, "sums", sums, logits);
  expect_dense(kOp, "sums", sums);
  expect_scalar(kOp, scalar, loss);
  expect_like(kOp, scalar, loss, logits);
}

}  // namespace

std::span<const BceDiceImpl> bce_dice_loss_impls() { return impls; }

void bce_dice_loss_forward(const TensorView& logits, const TensorView& target, const TensorView& loss,
                           const TensorView& sums) {
  expect_operands(logits, target, sums, "loss", loss);
  const HostRows host(logits.device());
  if (logits.dtype() == DType::f64)
    forward<double>(logits, target, loss, sums, bce_dice_loss_forward_reference<double>);
  else
    forward<float>(logits, target, loss, sums,
                   pick(bce_dice_loss_impls(), Context::current(), logits.device()).forward);
}

void bce_dice_loss_backward(const TensorView& logits, const TensorView& target, const TensorView& sums,
                            const TensorView& dloss, const TensorView& dlogits) {
  expect_operands(logits, target, sums, "dloss", dloss);
  expect_shape(kOp, "dlogits", dlogits, logits.shape());
  expect_like(kOp, "dlogits", dlogits, logits);
  const HostRows host(logits.device());
  if (logits.dtype() == DType::f64)
    backward<double>(logits, target, sums, dloss, dlogits, bce_dice_loss_backward_reference<double>);
  else
    backward<float>(logits, target, sums, dloss, dlogits,
                    pick(bce_dice_loss_impls(), Context::current(), logits.device()).backward);
}

}  // namespace lgms::kernels
