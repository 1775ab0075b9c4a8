// That nothing but rows and copies touches a device's memory: predictions, training steps and checkpoints on a device
// whose memory faults otherwise, with the bits that they have on the host.
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "autograd/ops.h"
#include "core/io/bytes.h"
#include "kernels/convolution/convolution.h"
#include "lgmsnet/predictor.h"
#include "lgmsnet/training/lgmsnet.h"
#include "nn/trainer.h"
#include "tests/support/emulated_device.h"
#include "tests/support/folder.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::testing;

namespace {

// f() with the host's memory, then on the device.
template <class F>
void on_both(const F& f) {
  for (const auto& device : {std::shared_ptr<Allocator>(), std::shared_ptr<Allocator>(new EmulatedDevice)}) {
    CAPTURE(device != nullptr);
    Context context({.threads = 2, .device = device});
    const Context::Scope scope(context);
    f(device);
  }
}

// The same contents, also of what only one of them holds.
void check_same(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  CHECK(max_difference(a, b) == 0);
}

Config tiny(int rank) {
  Config config = Config::named(rank == 2 ? "2d" : "3d");
  config.dims = {8, 16, 16, 24, 32};
  config.splits = {{{16, 8}, {24, 8}, {16, 8}, {12, 4}}};
  return config;
}

// A bright ball or disc on noise: image f32 [D, 32, 32, C], and where it is.
nn::Example ball(const std::string& stem, int64_t depth, int64_t channels) {
  Rng rng(std::stoull(stem), Purpose::test);
  nn::Example e{stem, Tensor::empty(Device::cpu, {depth, 32, 32, channels}),
                Tensor::empty(Device::cpu, {depth, 32, 32, 1}, DType::u8)};
  const double z = static_cast<double>(depth) / 2, y = rng.uniform(10, 22), x = rng.uniform(10, 22);
  for (int64_t i = 0; i < depth * 32 * 32; ++i) {
    const double dz = static_cast<double>(i / 1024) - z, dy = static_cast<double>(i / 32 % 32) - y,
                 dx = static_cast<double>(i % 32) - x;
    const bool inside = dz * dz + dy * dy + dx * dx < 49;
    e.masks.data<uint8_t>()[i] = inside;
    for (int64_t c = 0; c < channels; ++c)
      e.image.data<float>()[i * channels + c] = static_cast<float>(rng.normal() * 0.2 + inside);
  }
  return e;
}

// The last checkpoint of a run of two epochs, the second of which is a resumed one.
io::Bytes train(int rank, const std::shared_ptr<Allocator>& device) {
  const Folder folder;
  const int64_t depth = rank == 3 ? 32 : 1, channels = rank == 3 ? 1 : 3;
  Config config = tiny(rank);
  if (rank == 3) config.classes = 2;
  const nn::Dataset data({"1", "2", "3"}, [=](const std::string& stem) { return ball(stem, depth, channels); });
  const auto prepare = [=](const nn::Example& e, Rng*) {
    const Tensor labels = e.masks.to(rank == 3 ? DType::i64 : DType::f32);
    return nn::Input{e.image, rank == 3 ? labels.reshaped({depth, 32, 32}) : labels};
  };
  for (int64_t epoch = 1; epoch <= 2; ++epoch) {
    Context session({.threads = 2, .device = device});
    const Context::Scope scope(session);
    LGMSNet net(config, 5);
    nn::Optimizer optimizer(net.store(), rank == 3 ? nn::Optimizer::Options(kernels::AdamW{.rate = 0})
                                                   : kernels::Sgd{.rate = 0, .weight_decay = 1e-4});
    const nn::Forward forward = [&](const Tensor& x, bool training) { return net.forward(x, training, {}, rank == 3); };
    const nn::Loss loss = rank == 3 ? nn::Loss(autograd::dice_ce_loss) : nn::Loss(autograd::bce_dice_loss);
    const auto validate = [&]() -> nn::NamedScores {
      if (rank == 2) return nn::validate_masks(forward, loss, data, prepare, 2);
      return {{"val_dice", 0.5}};
    };
    nn::Trainer trainer({net.store(), optimizer, data, prepare, forward, loss, [](int64_t) { return 0.01; }, validate},
                        {.epochs = 2, .batch = 2, .accumulate = 2, .folder = folder.path(), .best_by = "val_dice"});
    if (epoch == 2) trainer.resume();
    trainer.on_epoch = [&](const nn::Table&, bool) {
      if (epoch == 1) Context::current().stop().request();
    };
    if (epoch == 1)
      CHECK(error_of([&] { trainer.run(); }).starts_with("[train] stopped after step 2"));
    else
      trainer.run();
  }
  return io::read_file(folder.path() / "last.safetensors");
}

}  // namespace

TEST_CASE("device: its memory faults where the host reads it, and errors name tensors that lie elsewhere") {
  Context context({.threads = 1, .device = std::make_shared<EmulatedDevice>()});
  const Context::Scope scope(context);
  const Tensor t = Tensor::full({2, 3}, 7);
  REQUIRE(t.device() == Device::emulated);
  CHECK(t.to(Device::cpu).span<float>()[5] == 7);
  CHECK(t.slice(1, 2).clone().to(Device::cpu).span<float>()[3] == 7);
  CHECK(error_of([&] { t.span<float>(); }) == "[tensor] device: expected cpu, got emulated");
  const pid_t child = fork();
  if (child == 0) {
    std::signal(SIGSEGV, SIG_DFL);
    close(STDERR_FILENO);  // where a sanitizer would report
    _exit(*static_cast<volatile float*>(t.data<float>()) == 7 ? 0 : 1);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(!(WIFEXITED(status) && WEXITSTATUS(status) <= 1));

  const Tensor x = Tensor::zeros({1, 1, 4, 4, 2}), weight = Tensor::zeros(Device::cpu, {2, 2}), y = x.clone();
  CHECK(error_of([&] { kernels::convolution_forward(x, weight, {}, 1, y); }) ==
        "[convolution] weight: expected memory of emulated, got cpu; Tensor::to copies it there");
  CHECK(error_of([] { Tensor::zeros(Device::cuda, {1}); }) == "[context] device: expected cpu or emulated, got cuda");
}

TEST_CASE("device: a picture and a volume are segmented with the bits of the host") {
  Tensor mask, labels;
  on_both([&](const auto&) {
    const Predictor pictures(load_model(LGMS_TEST_DATA "/nuclei.safetensors"), "nuclei");
    const Tensor picture = Tensor::from<uint8_t>({40, 50, 3}, std::vector<uint8_t>(40 * 50 * 3, 90));
    for (int64_t i = 0; i < 2000; ++i) picture.data<uint8_t>()[i * 2] = static_cast<uint8_t>(i * i % 251);
    const Tensor probabilities = pictures.predict(picture).probabilities;
    if (mask.defined()) CHECK(max_difference(mask, probabilities) < 1e-5);  // the host has a plan, which sums otherwise
    mask = probabilities;

    const Predictor volumes(load_model(LGMS_TEST_DATA "/released/0.1.0_3d.safetensors"), "released");
    const Tensor volume = Tensor::zeros(Device::cpu, {20, 24, 28, 1});  // one window
    for (int64_t i = 0; i < volume.numel(); ++i) volume.data<float>()[i] = static_cast<float>(i * 7 % 113);
    PredictOptions options;
    options.affine[0][0] = options.affine[1][1] = options.affine[2][2] = 1;
    const Tensor found = volumes.predict(volume, options).labels;
    if (labels.defined()) check_same(labels, found);
    labels = found;
  });
}

TEST_CASE("device: training in 2D and 3D, stopped, checkpointed and resumed, has the bits of the host") {
  for (const int rank : {2, 3}) {
    CAPTURE(rank);
    io::Bytes host;
    on_both([&](const auto& device) {
      const io::Bytes last = train(rank, device);
      if (!host.empty()) CHECK(last == host);
      host = last;
    });
  }
}
