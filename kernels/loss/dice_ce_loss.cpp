#include "kernels/loss/dice_ce_loss.h"

#include <vector>

#include "kernels/loss/reference.h"

namespace lgms::kernels {
namespace {

constexpr const char* kOp = "dice_ce_loss";
constexpr double kSmooth = 1e-6;
constexpr DiceCeImpl impls[] = {
    {"generic", Device::cpu, Isa::generic, dice_ce_loss_forward_generic, dice_ce_loss_backward_generic},
    {"reference", Device::cpu, Isa::reference, dice_ce_loss_forward_reference<float>,
     dice_ce_loss_backward_reference<float>}};

Blocks blocks_per_image(const TensorView& x) {
  const int64_t rows = x.rows() / x.shape()[0];
  return blocks_of(rows, 1 + 16384 / x.channels(), rows);
}

void expect_classes(const TensorView& x, const int64_t* labels) {
  for (int64_t i = 0; i < x.rows(); ++i)
    check(labels[i] >= 0 && labels[i] < x.channels(), ErrorKind::data, "[dice_ce_loss] labels: expected 0 to ",
          x.channels() - 1, ", got ", labels[i]);
}

// body(piece, image, first row counted over all images, rows, scratch [4, C]).
template <class T, class Body>
void over_blocks(const TensorView& x, const Body& body) {
  Context& context = Context::current();
  const Scratch scratch(context.memory(), context.threads() * 4 * x.channels() * static_cast<int64_t>(sizeof(T)));
  const Blocks blocks = blocks_per_image(x);
  context.parallel(x.shape()[0] * blocks.count, [&](int64_t piece, int worker) {
    const int64_t image = piece / blocks.count, block = piece % blocks.count, first = blocks.first(block);
    body(piece, image, image * blocks.units + first, blocks.last(block) - first,
         scratch.as<T>() + worker * 4 * x.channels());
  });
}

template <class T, class Run>
void forward(const TensorView& x, const int64_t* labels, const TensorView& loss, const TensorView& sums, Run* run) {
  const int64_t n = x.shape()[0], c = x.channels(), count = blocks_per_image(x).count, size = 2 * c + 1;
  expect_classes(x, labels);
  std::vector<double> partials(static_cast<size_t>(n * count * size));
  over_blocks<T>(x, [&](int64_t piece, int64_t, int64_t first, int64_t rows, T* scratch) {
    double* partial = partials.data() + piece * size;
    run({rows, c, x.row_stride(), 0}, x.data<T>() + first * x.row_stride(), labels + first, scratch, partial,
        partial + 2 * c);
  });
  double ce = 0, dice = 0;
  std::fill_n(sums.data<double>(), n * 2 * c, 0.);
  for (int64_t image = 0; image < n; ++image) {
    double* sum = sums.data<double>() + image * 2 * c;
    for (int64_t piece = image * count; piece < (image + 1) * count; ++piece) {
      for (int64_t i = 0; i < 2 * c; ++i) sum[i] += partials[piece * size + i];
      ce += partials[piece * size + 2 * c];
    }
    for (int64_t i = 0; i < c; ++i) dice += 2 * sum[i] / (sum[c + i] + kSmooth);
  }
  *loss.data<T>() = static_cast<T>(1 - dice / static_cast<double>(n * c) + ce / static_cast<double>(x.rows()));
}

// With D = sum p^2 + sum t^2 + e: d(1 - dice)/dp_c = -2 t_c / D + 4 I p_c / D^2, over N C.
template <class T, class Run>
void backward(const TensorView& x, const int64_t* labels, const TensorView& sums, const TensorView& dloss,
              const TensorView& dx, Run* run) {
  expect_classes(x, labels);
  const int64_t n = x.shape()[0], c = x.channels();
  const double scale = *dloss.data<T>();
  std::vector<double> factors(sums.data<double>(), sums.data<double>() + n * 2 * c);
  for (int64_t image = 0; image < n; ++image)
    for (int64_t i = 0; i < c; ++i) {
      double &a = factors[image * 2 * c + i], &b = factors[(image * 2 + 1) * c + i];
      const double inter = a, total = b + kSmooth;
      a = -2 * scale / (total * static_cast<double>(n * c));
      b = 4 * scale * inter / (total * total * static_cast<double>(n * c));
    }
  over_blocks<T>(x, [&](int64_t, int64_t image, int64_t first, int64_t rows, T* scratch) {
    run({rows, c, x.row_stride(), dx.row_stride()}, x.data<T>() + first * x.row_stride(), labels + first,
        factors.data() + image * 2 * c, scale / static_cast<double>(x.rows()), scratch,
        dx.data<T>() + first * dx.row_stride());
  });
}

void expect_operands(const TensorView& logits, const TensorView& labels, const TensorView& sums, const char* scalar,
                     const TensorView& loss) {
  expect_activations(kOp, "logits", logits);
  check(logits.numel() > 0, ErrorKind::usage, "[dice_ce_loss] logits: expected at least one element, got ",
        logits.shape());
  const Shape& x = logits.shape();
  expect_shape(kOp, "labels", labels, {x[0], x[1], x[2], x[3]});
  expect_type(kOp, "labels", labels, DType::i64);
  expect_device(kOp, "labels", labels, logits);
  expect_dense(kOp, "labels", labels);
  expect_shape(kOp, "sums", sums, {x[0], 2, x[4]});
  expect_type(kOp, "sums", sums, DType::f64);
  expect_device(kOp, "sums", sums, logits);
  expect_dense(kOp, "sums", sums);
  expect_scalar(kOp, scalar, loss);
  expect_like(kOp, scalar, loss, logits);
}

}  // namespace

std::span<const DiceCeImpl> dice_ce_loss_impls() { return impls; }

void dice_ce_loss_forward(const TensorView& logits, const TensorView& labels, const TensorView& loss,
                          const TensorView& sums) {
  expect_operands(logits, labels, sums, "loss", loss);
  const int64_t* l = labels.data<int64_t>();
  const HostRows host(logits.device());
  if (logits.dtype() == DType::f64)
    forward<double>(logits, l, loss, sums, dice_ce_loss_forward_reference<double>);
  else
    forward<float>(logits, l, loss, sums, pick(dice_ce_loss_impls(), Context::current(), logits.device()).forward);
}

void dice_ce_loss_backward(const TensorView& logits, const TensorView& labels, const TensorView& sums,
                           const TensorView& dloss, const TensorView& dlogits) {
  expect_operands(logits, labels, sums, "dloss", dloss);
  expect_shape(kOp, "dlogits", dlogits, logits.shape());
  expect_like(kOp, "dlogits", dlogits, logits);
  const int64_t* l = labels.data<int64_t>();
  const HostRows host(logits.device());
  if (logits.dtype() == DType::f64)
    backward<double>(logits, l, sums, dloss, dlogits, dice_ce_loss_backward_reference<double>);
  else
    backward<float>(logits, l, sums, dloss, dlogits,
                    pick(dice_ce_loss_impls(), Context::current(), logits.device()).backward);
}

}  // namespace lgms::kernels
