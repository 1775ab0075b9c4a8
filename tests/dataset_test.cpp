#include "nn/data/dataset.h"

#include "core/formats/image.h"
#include "core/io/output_file.h"
#include "tests/support/folder.h"
#include "tests/support/png.h"
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

TEST_CASE("dataset: missing files and odd sizes are errors that name the file and the remedy") {
  const Folder folder;
  const ImageFolder images{folder.path()};
  const auto error = [&] { return testing::error_of([&] { images.read("a"); }); };
  CHECK(contains(error(), "images] no image of \"a\": expected a.png, .jpg, .jpeg or .bmp; lists hold names without"));
  folder.image("a");
  CHECK(contains(error(), "masks/0] no mask of \"a\": expected a.png or .bmp"));
  folder.mask("a", 255, {4, 5, 1});
  CHECK(contains(error(), "masks/0/a.png] size: expected 4 x 6"));
  folder.mask("a", 77);
  CHECK(contains(error(), "masks/0/a.png] values: expected background 0"));
  CHECK(contains(error(), "got 0 (23 pixels), 77 (1 pixels)"));
  CHECK(ImageFolder{folder.path(), 1, 0}.read("a").masks.data<uint8_t>()[3] == 255);
  folder.mask("a", 1);
  CHECK(images.read("a").masks.data<uint8_t>()[3] == 255);
  folder.mask("a", 0);  // an empty mask is a mask
  CHECK(images.read("a").masks.defined());
  fs::remove_all(folder / "images");
  CHECK(contains(testing::error_of([&] { ImageFolder{folder.path()}.read("a"); }), "images] no image of \"a\""));
}

TEST_CASE("dataset: images are PNG, JPEG or BMP, masks PNG or BMP, in upper or lower case; one of each") {
  const Folder folder;
  const fs::path formats = LGMS_TEST_DATA "/formats";
  const auto put = [&](const char* from, const fs::path& to) {
    fs::copy(formats / from, folder.path() / to, fs::copy_options::overwrite_existing);
  };
  const auto read = [&] { return ImageFolder{folder.path(), 1, 100}.read("a.b"); };
  const auto error = [&] { return testing::error_of(read); };
  put("grey.bmp", "masks/0/a.b.BMP");
  for (const auto& [from, as] : std::vector<std::pair<const char*, const char*>>{{"rgb.png", "images/a.b.PNG"},
                                                                                 {"baseline.jpg", "images/a.b.jpg"},
                                                                                 {"grey.jpg", "images/a.b.JPEG"},
                                                                                 {"rgb.bmp", "images/a.b.Bmp"},
                                                                                 {"baseline.jpg", "images/a.b.png"}}) {
    const char* const to = as;  // clang 14 captures no structured binding
    CAPTURE(to);
    put(from, to);
    CHECK(read().image.shape() == Shape{5, 7, 3});
    fs::remove(folder / to);
  }
  put("rgb.png", "images/a.b.PNG");
  put("rgb.png", "images/a.png");      // another stem
  put("rgb.png", "images/.a.b.png");   // hidden
  put("rgb.png", "images/a.b.c.png");  // another stem
  CHECK(read().masks.shape() == Shape{5, 7, 1});
  put("rgb.bmp", "images/a.b.bmp");
  CHECK(contains(error(), "images] expected one image of \"a.b\", got a.b.PNG, a.b.bmp; keep one of them"));
  fs::remove(folder / "images/a.b.bmp");
  put("grey.png", "masks/0/a.b.png");
  CHECK(contains(error(), "masks/0] expected one mask of \"a.b\", got a.b.BMP, a.b.png"));
  fs::remove(folder / "masks/0/a.b.BMP");
  put("grey.jpg", "masks/0/a.b.jpg");  // beside the mask, it is none
  CHECK(read().masks.defined());
  fs::remove(folder / "masks/0/a.b.png");
  CHECK(contains(error(), "(a JPEG changes the values of a mask), got a.b.jpg; convert it to PNG"));
  put("grey.jpg", "masks/0/a.b.png");  // by any other name
  CHECK(contains(error(), "masks/0/a.b.png] expected a PNG or BMP, got a JPEG"));
  fs::remove(folder / "images/a.b.PNG");
  put("rgb.png", "images/a.b.tif");
  CHECK(contains(error(), "expected a.b.png, .jpg, .jpeg or .bmp, got a.b.tif; convert it to PNG"));
  fs::create_symlink("nowhere", folder / "images/a.b.png");
  CHECK(contains(error(), "images/a.b.png] expected a file, got a link that leads nowhere"));
}

TEST_CASE("dataset: files that came after their folder was looked at are found") {
  const Folder folder;
  const ImageFolder images{folder.path()};
  folder.image("a");
  folder.mask("a", 255);
  CHECK(images.read("a").masks.defined());
  folder.image("b");
  folder.mask("b", 255);
  CHECK(images.read("b").masks.defined());
}

TEST_CASE("dataset: 16-bit pictures are read at their own depth, with the white that is given") {
  const Folder folder;
  io::write_file(folder / "images/a.png", testing::png_of({1, 2, {4095, 65535}, 16}));
  io::write_file(folder / "masks/0/a.png", testing::png_of({1, 2, {0, 65535}, 16}));
  const Example own = ImageFolder{folder.path()}.read("a"), given = ImageFolder{folder.path(), 1, {}, 4095}.read("a");
  CHECK(own.image.data<float>()[0] == 4095 / 257.0f);
  CHECK(given.image.data<float>()[0] == 255);
  CHECK(own.masks.data<uint8_t>()[1] == 255);
}

TEST_CASE("dataset: a mask that a threshold empties is noted once") {
  const Folder folder;
  std::vector<std::string> notes;
  ContextOptions options;
  options.log = [&](std::string_view line) { notes.emplace_back(line); };
  Context context(options);
  const Context::Scope scope(context);
  for (const char* stem : {"a", "b", "none"}) {
    folder.image(stem);
    folder.mask(stem, stem[0] == 'n' ? 0 : 1);
  }
  const ImageFolder images{folder.path(), 1, 127};
  images.read("none");
  CHECK(notes.empty());
  images.read("a");
  images.read("b");
  REQUIRE(notes.size() == 1);
  CHECK(contains(notes[0], "masks/0/a.png] is not empty, but nothing in it is above the mask threshold 127"));
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
