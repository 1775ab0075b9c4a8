#include "lgmsnet/forward_memory.h"

#include "lgmsnet/lgmsnet.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::testing;

namespace {

Config small_volume(std::array<int64_t, 5> dims, std::array<Split, 4> splits) {
  Config config = Config::named("3d");
  config.dims = dims;
  config.splits = splits;
  return config;
}

}  // namespace

TEST_CASE("forward_memory: within 2 % of what the allocator hands out, and never below") {
  struct Case {
    Config config;
    Shape x;
  };
  const Case cases[] = {{Config::named("3d"), {1, 64, 64, 64, 1}},
                        {Config::named("3d"), {1, 32, 64, 32, 1}},
                        {small_volume({8, 8, 16, 16, 16}, {{{12, 4}, {12, 4}, {12, 4}, {12, 4}}}), {1, 96, 64, 64, 1}},
                        {Config::named("2d"), {1, 1, 256, 256, 3}}};
  for (const Case& c : cases)
    for (int threads : {1, 2}) {
      CAPTURE(c.x);
      CAPTURE(threads);
      ContextOptions options = with_threads(threads);
      options.lean = true;
      Context context(options);
      const Context::Scope scope(context);
      const LGMSNet net(c.config);
      const int64_t weights = context.allocator()->in_use();
      context.allocator()->reset_peak();
      {
        const autograd::NoGrad no_grad;
        net.forward(Tensor::zeros(c.x), false);
      }
      const int64_t used = context.allocator()->peak() - weights, planned = forward_cost(c.config, c.x).peak_bytes;
      CHECK(planned >= 0.999 * static_cast<double>(used));
      CHECK(planned <= 1.02 * static_cast<double>(used));
      MESSAGE(c.x, " ", threads, " threads: planned ", planned, ", used ", used);
    }
}
