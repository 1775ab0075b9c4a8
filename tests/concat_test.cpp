#include "autograd/gradcheck.h"
#include "autograd/ops.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::testing;
using autograd::Variable;

TEST_CASE("concat: parts of any strides lie side by side, also without rows") {
  for (int64_t n : {0, 1, 3}) {
    const Tensor a = integers({n, 1, 3, 2, 5}, 1, DType::f32, 3), b = integers({n, 1, 3, 2, 1}, 2);
    const Variable parts[] = {Variable(a), Variable(b), Variable(a)};
    const Tensor y = autograd::concat(parts).value();
    CHECK(y.shape() == Shape{n, 1, 3, 2, 11});
    CHECK(max_difference(y.slice(0, 5), a) == 0);
    CHECK(max_difference(y.slice(5, 1), b) == 0);
    CHECK(max_difference(y.slice(6, 5), a) == 0);
  }
}

TEST_CASE("concat: the gradient of a part shares the storage of dy") {
  const Variable a(Tensor::zeros({2, 3}), true), b(Tensor::zeros({2, 4}), true);
  const Variable parts[] = {a, b};
  const Tensor dy = integers({2, 7}, 1);
  autograd::backward(autograd::concat(parts), dy);
  CHECK(b.grad().shares_storage_with(dy));
  CHECK(max_difference(b.grad(), dy.slice(3, 4)) == 0);
}

TEST_CASE("concat: gradient matches central differences in double, one part twice") {
  const auto f = [](auto& v) {
    const Variable parts[] = {v[0], v[1], v[0]};
    return autograd::concat(parts);
  };
  CHECK(autograd::gradcheck(f, {randn({2, 2, 1, 3, 4}, 1, DType::f64, 2), randn({2, 2, 1, 3, 1}, 2)}).error < 1e-7);
}

TEST_CASE("concat: wrong parts throw and are named") {
  const Variable parts[] = {Variable(Tensor::zeros({2, 3})), Variable(Tensor::zeros({1, 3}))};
  CHECK(error_of([&] { autograd::concat(parts); }) == "[concat] part 1: expected [2, 3], got [1, 3]");
  CHECK(error_of([&] { autograd::concat({}); }) == "[concat] parts: expected at least one, got none");
}

TEST_CASE("split: shares the storage of x; its gradient is zero outside") {
  const Variable x(integers({2, 1, 2, 2, 7}, 1, DType::f32, 2), true);
  const Variable y = autograd::split(x, 2, 4);
  CHECK(y.value().shares_storage_with(x.value()));
  const Tensor dy = integers(y.shape(), 2, DType::f32, 1);
  autograd::backward(y, dy);
  CHECK(max_magnitude(x.grad().slice(0, 2)) == 0);
  CHECK(max_difference(x.grad().slice(2, 4), dy) == 0);
  CHECK(max_magnitude(x.grad().slice(6, 1)) == 0);
}

TEST_CASE("split: gradient matches central differences in double, joined again") {
  const auto f = [](auto& v) {
    const Variable parts[] = {autograd::split(v[0], 3, 2), autograd::split(v[0], 0, 4)};
    return autograd::concat(parts);
  };
  CHECK(autograd::gradcheck(f, {randn({2, 1, 2, 3, 5}, 1, DType::f64, 2)}).error < 1e-7);
}

TEST_CASE("split: channels outside of x throw") {
  CHECK(error_of([] { autograd::split(Variable(Tensor::zeros({2, 3})), 1, 3); }).find("[slice] channels") == 0);
}
