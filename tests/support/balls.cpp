#include "tests/support/balls.h"

#include <cmath>

#include "core/formats/nifti.h"
#include "core/io/output_file.h"
#include "core/rng.h"

namespace lgms::testing {

void write_balls(const std::filesystem::path& folder, int64_t n, int64_t train, const Size3& size) {
  io::ensure_directory(folder / "imagesTr");
  io::ensure_directory(folder / "labelsTr");
  std::string train_list, val_list;
  for (int64_t i = 0; i < n; ++i) {
    Rng rng(static_cast<uint64_t>(i), Purpose::test);
    const Size3 extents{size[0] + i % 3, size[1], size[2] - i % 2};
    const Affine affine{{{-0.9, 0.1, 0, 40}, {0.1, 0.9, 0.2, -30}, {0, -0.2, 1.4, 7.5}}};
    Tensor image = Tensor::empty({extents[0], extents[1], extents[2], 1});
    Tensor label = Tensor::zeros(image.shape(), DType::u8);
    const double radius = rng.uniform(5, 7);
    for (int kind = 1; kind <= 2; ++kind) {
      const double d = static_cast<double>(extents[0]) * (kind == 1 ? 0.3 : 0.7) + rng.uniform(-2, 2),
                   h = static_cast<double>(extents[1]) * rng.uniform(0.4, 0.6),
                   w = static_cast<double>(extents[2]) * rng.uniform(0.4, 0.6);
      for (int64_t v = 0; v < image.numel(); ++v) {
        const int64_t z = v / (extents[1] * extents[2]), y = v / extents[2] % extents[1], x = v % extents[2];
        const double distance =
            std::hypot(static_cast<double>(z) - d, static_cast<double>(y) - h, static_cast<double>(x) - w);
        if (distance < radius) label.data<uint8_t>()[v] = static_cast<uint8_t>(kind);
      }
    }
    for (int64_t v = 0; v < image.numel(); ++v)
      image.data<float>()[v] = static_cast<float>(100 * label.data<uint8_t>()[v] + rng.uniform(0, 60));
    const std::string stem = "ball_" + std::to_string(i);
    const io::NiftiHeader header = io::make_nifti_header(extents, affine);
    io::write_nifti(folder / "imagesTr" / (stem + ".nii.gz"), image, header);
    io::write_nifti_labels(folder / "labelsTr" / (stem + ".nii.gz"), label, header);
    (i < train ? train_list : val_list) += stem + "\n";
  }
  io::write_file(folder / "train.txt", train_list);
  io::write_file(folder / "val.txt", val_list);
}

}  // namespace lgms::testing
