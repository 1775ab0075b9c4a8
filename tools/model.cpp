#include "tools/model.h"

#include "core/error.h"
#include "lgmsnet/recipe.h"

namespace lgms::tools {
namespace {

// input: [1, h, w, 3].
Tensor run(const Inference& net, const Tensor& input) {
  return net.forward(input.reshaped({1, 1, input.shape()[1], input.shape()[2], input.channels()}));
}

}  // namespace

Model::Model(ModelFile loaded, const std::filesystem::path& path)
    : file(std::move(loaded)), net(file.config, file.tensors, path.string()) {
  check(file.config.rank == 2 && file.config.in_channels == 3, ErrorKind::model, "[", path.string(),
        "] expected a 2D model of RGB images, got rank ", file.config.rank, ", input channels ",
        file.config.in_channels);
}

Tensor Model::probabilities(const Tensor& image, bool native) const {
  const int64_t h = image.shape()[0], w = image.shape()[1];
  if (native) return native_probabilities(run(net, make_native_input(file.recipe, image)), h, w);
  return probabilities_at(logits(image), h, w);
}

Tensor Model::logits(const Tensor& image) const { return run(net, make_input(file.recipe, image)); }

}  // namespace lgms::tools
