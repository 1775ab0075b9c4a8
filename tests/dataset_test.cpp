#include "nn/data/dataset.h"

#include "core/io/image.h"
#include "core/io/output_file.h"
#include "tests/support/folder.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::nn;
namespace fs = std::filesystem;

namespace {

struct Folder : testing::Folder {
  Folder() {
    fs::create_directories(path() / "images");
    fs::create_directories(path() / "masks" / "0");
  }
  void image(const std::string& stem, const Shape& shape = {4, 6, 3}) const {
    io::write_png(path() / "images" / (stem + ".png"), testing::integers(shape, 1, DType::u8));
  }
  void mask(const std::string& stem, int value, const Shape& shape = {4, 6, 1}) const {
    const Tensor m = Tensor::zeros(shape, DType::u8);
    m.data<uint8_t>()[3] = static_cast<uint8_t>(value);
    io::write_png(path() / "masks" / "0" / (stem + ".png"), m);
  }
};

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("dataset: an example is an image and one mask channel per class") {
  const Folder folder;
  fs::create_directories(folder / "masks" / "1");
  folder.image("a (1)");
  folder.mask("a (1)", 255);
  io::write_png(folder / "masks" / "1" / "a (1).png", Tensor::zeros({4, 6, 1}, DType::u8));
  const Example e = ImageFolder{folder.path(), 2}.read("a (1)");
  CHECK(e.image.shape() == Shape{4, 6, 3});
  CHECK(e.masks.shape() == Shape{4, 6, 2});
  CHECK(e.masks.data<uint8_t>()[6] == 255);
  CHECK(e.masks.data<uint8_t>()[7] == 0);
}

TEST_CASE("dataset: missing files, odd sizes and masks of 0 and 1 are errors that name the file and the remedy") {
  const Folder folder;
  const ImageFolder images{folder.path()};
  CHECK(contains(testing::error_of([&] { images.read("a"); }), "images/a.png] no such file: the image of \"a\""));
  folder.image("a");
  CHECK(contains(testing::error_of([&] { images.read("a"); }), "masks/0/a.png] no such file: the mask of \"a\""));
  folder.mask("a", 255, {4, 5, 1});
  CHECK(contains(testing::error_of([&] { images.read("a"); }), "masks/0/a.png] size: expected 4 x 6"));
  folder.mask("a", 1);
  const std::string error = testing::error_of([&] { images.read("a"); });
  CHECK(contains(error, "masks/0/a.png] values: expected some above the mask threshold 127"));
  CHECK(contains(error, "--mask-threshold 0"));
  CHECK(ImageFolder{folder.path(), 1, 0}.read("a").masks.defined());
  folder.mask("a", 0);  // an empty mask is a mask
  CHECK(images.read("a").masks.defined());
}

TEST_CASE("dataset: examples are read once while they fit into the cache") {
  int reads = 0;
  const auto read = [&](const std::string& stem) {
    ++reads;
    return Example{stem, Tensor::zeros({8, 8, 3}, DType::u8), Tensor::zeros({8, 8, 1}, DType::u8)};
  };
  const Dataset roomy({"a", "b"}, read, std::make_shared<CacheRoom>(1 << 20)),
      tight({"a", "b"}, read, std::make_shared<CacheRoom>(300)), none({"a", "b"}, read, std::make_shared<CacheRoom>(0));
  const auto reads_of = [&](const Dataset& data) {
    reads = 0;
    for (int64_t i : {0, 1, 0, 1}) CHECK(data.example(i).stem == (i == 0 ? "a" : "b"));
    return reads;
  };
  CHECK(reads_of(roomy) == 2);
  CHECK(reads_of(tight) == 3);
  CHECK(reads_of(none) == 4);
  const auto room = std::make_shared<CacheRoom>(3 * 256);  // for three of these, whoever asks first
  const Dataset train({"a", "b"}, read, room), val({"a", "b"}, read, room);
  CHECK(reads_of(train) == 2);
  CHECK(reads_of(val) == 3);
}
