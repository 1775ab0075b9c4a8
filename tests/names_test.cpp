#include "lgmsnet/names.h"

#include <algorithm>

#include "tests/support/testing.h"

using namespace lgms;

namespace {

using Strings = std::vector<std::string>;

Strings named(const Strings& names) {
  NamedTensors tensors;
  for (const std::string& name : names) tensors.push_back({name, Tensor::zeros({})});
  Strings result;
  for (const NamedTensor& t : with_our_names(std::move(tensors))) result.push_back(t.name);
  return result;
}

}  // namespace

TEST_CASE("names: prefixes that all names share are taken off, in any order") {
  const Strings want{"stem.weight", "Up.bias"};
  for (const std::string prefix :
       {"", "module.", "_orig_mod.", "model.", "net.", "network.", "backbone.", "module._orig_mod.",
        "_orig_mod.module.", "model.net.backbone.", "module.module.", "network.model._orig_mod.module.model."}) {
    CAPTURE(prefix);
    CHECK(named({prefix + want[0], prefix + want[1]}) == want);
  }
  CHECK(named({"model.a", "loss.weight"}) == Strings{"model.a", "loss.weight"});
  CHECK(named({"model.net.a", "model.b"}) == Strings{"net.a", "b"});
  CHECK(named({}).empty());
  std::string long_name;
  for (int i = 0; i < 1'000'000; ++i) long_name += "net.";
  CHECK(named({long_name + "a"}) == Strings{"a"});
}

TEST_CASE("names: where no norm has its counter, as before PyTorch 0.4.1, each gets one of 0") {
  NamedTensors tensors;
  for (const char* name : {"module.a.running_mean", "module.a.running_var", "module.b.0.running_mean"})
    tensors.push_back({name, Tensor::zeros({2})});
  tensors = with_our_names(std::move(tensors));
  REQUIRE(tensors.size() == 5);
  CHECK(tensors[3].name == "a.num_batches_tracked");
  CHECK(tensors[4].name == "b.0.num_batches_tracked");
  CHECK(tensors[4].tensor.dtype() == DType::i64);
  CHECK(tensors[4].tensor.shape() == Shape{});
  CHECK(tensors[4].tensor.data<int64_t>()[0] == 0);
  CHECK(named({"a.running_mean", "a.num_batches_tracked", "b.running_mean"}).size() == 3);  // damaged, not old
}
