#include "kernels/roofline/roofline.h"

#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::testing;

TEST_CASE("roofline: every instruction set does its multiply-adds, which go to 1") {
  for (const kernels::RooflineImpl& impl : kernels::roofline_impls()) {
    if (!supported(impl.isa)) continue;
    CAPTURE(std::string(impl.name));
    const double lanes = static_cast<double>(impl.lanes * kernels::kMultiplyAdds);
    CHECK(impl.run(20'000) == doctest::Approx(lanes).epsilon(1e-3));
    CHECK(impl.run(1) > 1.2 * lanes);  // of 0 to 11
  }
}

TEST_CASE("roofline: bfloat16 multiply-adds of zeros change nothing") {
  for (const kernels::RooflineImpl& impl : kernels::roofline_bf16_impls()) {
    if (!supported(impl.precision)) continue;
    CAPTURE(std::string(impl.name));
    CHECK(impl.run(100) == (impl.precision == Precision::bf16_pairs ? 16. * kernels::kMultiplyAdds : 0));
  }
}

TEST_CASE("roofline: rates are positive, and the memory is given back") {
  Context context({.threads = 2});
  const Context::Scope scope(context);
  const kernels::Roofline roof = kernels::measure_roofline();
  CHECK(roof.flops > 1e8);
  CHECK(roof.bytes > 1e7);
  CHECK(roof.seconds(roof.flops, roof.bytes) == doctest::Approx(1));
  CHECK(roof.seconds(roof.flops, 3 * roof.bytes) == doctest::Approx(3));
  CHECK(context.allocator()->in_use() == 0);
}
