#include "tests/support/discs.h"

#include <cmath>
#include <string>

#include "core/formats/image.h"
#include "core/io/output_file.h"
#include "core/rng.h"

namespace lgms::testing {

void write_discs(const std::filesystem::path& folder, int64_t n, int64_t train, int64_t height, int64_t width) {
  io::ensure_directory(folder / "images");
  io::ensure_directory(folder / "masks" / "0");
  std::string lists[2];
  for (int64_t k = 0; k < n; ++k) {
    Rng rng(1, Purpose::test, 0, static_cast<uint32_t>(k));
    const double row = rng.uniform(0.3, 0.7) * static_cast<double>(height),
                 column = rng.uniform(0.3, 0.7) * static_cast<double>(width);
    const double radius = rng.uniform(0.15, 0.3) * static_cast<double>(std::min(height, width));
    const Tensor image = Tensor::empty({height, width, 3}, DType::u8),
                 mask = Tensor::empty({height, width, 1}, DType::u8);
    for (int64_t i = 0; i < height * width; ++i) {
      const bool inside =
          std::hypot(static_cast<double>(i / width) - row, static_cast<double>(i % width) - column) < radius;
      mask.data<uint8_t>()[i] = inside ? 255 : 0;
      for (int64_t c = 0; c < 3; ++c)
        image.data<uint8_t>()[3 * i + c] = static_cast<uint8_t>(rng.below(120) + (inside ? 130 : 0));
    }
    const std::string stem = "disc (" + std::to_string(k) + ")";
    io::write_png(folder / "images" / (stem + ".png"), image);
    io::write_png(folder / "masks" / "0" / (stem + ".png"), mask);
    lists[k < train ? 0 : 1] += stem + "\r\n";
  }
  io::write_file(folder / "train.txt", std::string_view(lists[0]));
  io::write_file(folder / "val.txt", std::string_view(lists[1]));
}

}  // namespace lgms::testing
