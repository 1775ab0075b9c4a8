#include "autograd/variable.h"

#include "autograd/ops.h"
#include "core/rng.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::testing;
using namespace lgms::autograd;

namespace {

// y = x * x, element by element: saves x.
Variable square(const Variable& x) {
  Tensor y = Tensor::empty(x.shape(), DType::f64);
  for (int64_t i = 0; i < y.numel(); ++i)
    y.data<double>()[i] = x.value().data<double>()[i] * x.value().data<double>()[i];
  return Variable::from_op("square", y, {x}, {x.value()},
                           [](std::span<const Tensor> saved, const Tensor& dy, Grads& grads) {
                             Tensor dx = Tensor::empty(dy.shape(), DType::f64);
                             for (int64_t i = 0; i < dx.numel(); ++i)
                               dx.data<double>()[i] = 2 * saved[0].data<double>()[i] * dy.data<double>()[i];
                             grads.put(0, dx);
                           });
}

Variable leaf(double value) { return Variable(Tensor::full({1}, value, DType::f64), true); }
double item(const Tensor& t) { return t.span<double>()[0]; }

}  // namespace

TEST_CASE("autograd: a value used several times collects all its gradients") {
  const Variable x = leaf(3);
  const Variable y = square(x), z = add(add(y, y), square(y));  // 2 x^2 + x^4
  backward(z);
  CHECK(item(x.grad()) == 4 * 3 + 4 * 27);
}

TEST_CASE("autograd: leaf gradients accumulate over backward passes until cleared") {
  const Variable x = leaf(2);
  backward(square(x));
  backward(square(x));
  CHECK(item(x.grad()) == 8);
  x.clear_grad();
  CHECK_FALSE(x.grad().defined());
}

TEST_CASE("autograd: no gradient is computed or kept where none is needed") {
  const Variable image(Tensor::full({1}, 5, DType::f64)), w = leaf(1);
  const Variable y = add(square(image), w);
  CHECK(saved_tensors(y).empty());
  backward(y);
  CHECK_FALSE(image.grad().defined());
  {
    const NoGrad no_grad;
    CHECK_FALSE(square(w).requires_grad());
  }
  CHECK(square(w).requires_grad());
}

TEST_CASE("autograd: saved tensors are listed, storage counted once, and freed by backward") {
  const Variable x = leaf(2);
  const Variable y = add(square(x), square(x));
  const auto rows = saved_tensors(y);
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].op == "square");
  CHECK(rows[0].bytes == 8);
  CHECK(rows[1].bytes == 0);
  backward(y);
  CHECK(saved_tensors(y).empty());
  CHECK(error_of([&] { backward(y); }).find("not walked before") != std::string::npos);
}

TEST_CASE("autograd: writing to a saved tensor in place before backward is an error that names the op") {
  const Variable x = leaf(2);
  const Variable y = square(x);
  x.value().bump_version();
  CHECK(error_of([&] { backward(y); }) == "[backward] square: saved tensor 0 was written to in place after forward");
}

TEST_CASE("autograd: gradients that share storage are not written to") {
  const Variable a = leaf(1), b = leaf(1);
  const Variable s = add(a, b);  // da and db share dy
  backward(add(s, square(a)));
  CHECK(item(a.grad()) == 3);
  CHECK(item(b.grad()) == 1);
}

TEST_CASE("autograd: long chains are dropped without recursion") {
  Variable x = leaf(1);
  for (int i = 0; i < 200000; ++i) x = add(x, x);
  CHECK(x.requires_grad());
}

TEST_CASE("autograd: a root that is no scalar needs a seed") {
  const Variable x(Tensor::zeros({3}, DType::f64), true);
  CHECK(error_of([&] { backward(add(x, x)); }).starts_with("[backward] seed"));
}

TEST_CASE("autograd: a value that can be made again is not kept, and the gradient is the same") {
  const Tensor values = randn({1, 1, 4, 4, 8}, 1);
  const Variable x(values, true);
  const Variable y = activation(x, Activation::gelu);
  const Variable gamma(Tensor::full({8}, 1, DType::f64)), beta(Tensor::zeros({8}, DType::f64));
  const Variable z = square(y), w = layer_norm(y, gamma, beta);
  CHECK(saved_tensors(w).size() == 2);  // the activation's x and gamma, not y
  CHECK(saved_tensors(z).size() == 2);  // square asks for the tensor: x and y
  const Tensor seed = randn(w.shape(), 2);
  backward(w, seed);
  const Variable kept(y.value(), true);
  backward(layer_norm(kept, gamma, beta), seed);
  const Variable leaf_x(values, true);
  backward(activation(leaf_x, Activation::gelu), kept.grad());
  CHECK(max_difference(x.grad(), leaf_x.grad()) == 0);
  const Variable again = layer_norm(activation(x, Activation::gelu), gamma, beta);
  values.bump_version();
  CHECK(error_of([&] { backward(again, seed); }) ==
        "[backward] activation: saved tensor 0 was written to in place after forward");
}

TEST_CASE("autograd: a value that is made again is gone before its gradient is there") {
  Context context;
  const Context::Scope scope(context);
  const Variable x(Tensor::zeros({1, 1, 64, 64, 64}), true), weight(Tensor::zeros({1, 64}), true);
  const Variable y = linear(concat(std::array{x}), weight, {});
  const int64_t before = context.allocator()->in_use();
  context.allocator()->reset_peak();
  backward(y, Tensor::full(y.shape(), 1));
  CHECK(context.allocator()->peak() - before < x.value().storage_bytes() * 3 / 2);
}

TEST_CASE("autograd: a graph whose gradient failed is not walked again") {
  const Variable x(Tensor::zeros({2}), true);
  const Variable y = Variable::from_op("fails", Tensor::zeros({}), {x}, {x.value()},
                                       [](std::span<Tensor>, const Tensor&, Grads&) { fail(ErrorKind::device, "no"); });
  CHECK(error_of([&] { backward(y); }) == "no");
  CHECK(error_of([&] { backward(y); }).starts_with("[backward] fails: expected a graph that was not walked before"));
}

TEST_CASE("autograd: a checkpoint keeps its inputs, runs twice, and its gradients have the same bits") {
  int runs = 0, recomputed = 0;
  const auto segment = [&](std::span<const Variable> v) {
    ++runs;
    recomputed += recomputing();
    return add(square(square(v[0])), add(v[0], square(v[1])));
  };
  std::vector<Tensor> gradients;
  for (bool checkpointing : {false, true}) {
    runs = recomputed = 0;
    const Variable a(randn({50}, 1), true), b(randn({50}, 2), true);
    const Variable both[] = {square(a), b};
    const Variable y = checkpointing ? checkpoint({both[0], both[1]}, segment) : segment(both);
    const Variable z = add(square(y), add(both[0], square(both[0])));  // used inside and outside: the order counts
    CHECK(runs == 1);
    backward(z, randn({50}, 3));
    CHECK(runs == 1 + checkpointing);
    CHECK(recomputed == checkpointing);
    gradients.push_back(a.grad());
    gradients.push_back(b.grad());
  }
  CHECK(max_difference(gradients[0], gradients[2]) == 0);
  CHECK(max_difference(gradients[1], gradients[3]) == 0);
}

TEST_CASE("autograd: a checkpoint within a checkpoint, and one whose result is its input") {
  const auto inner = [](std::span<const Variable> v) { return square(v[0]); };
  const auto outer = [&](std::span<const Variable> v) { return add(checkpoint({v[0]}, inner), v[0]); };
  const Variable x = leaf(3);
  backward(checkpoint({x}, outer));
  CHECK(item(x.grad()) == 7);
  const Variable y = leaf(3);
  backward(checkpoint({square(y)}, [](std::span<const Variable> v) { return v[0]; }));
  CHECK(item(y.grad()) == 6);
}
