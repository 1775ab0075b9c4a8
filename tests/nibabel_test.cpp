// Our NIfTI files against those of nibabel, the reference of the field: support/nibabel_files.py is its side.
#include <cstdlib>
#include <fstream>

#include "core/formats/nifti.h"
#include "core/io/bytes.h"
#include "core/transform/orientation.h"
#include "support/folder.h"
#include "support/program.h"
#include "support/testing.h"

using namespace lgms;
using namespace lgms::io;
using namespace lgms::testing;

namespace {

namespace fs = std::filesystem;

Outcome run_nibabel(const std::string& python, const std::string& verb, const fs::path& folder) {
  return run_program("/usr/bin/env",
                     {python, "-B", LGMS_TEST_DATA "/../support/nibabel_files.py", verb, folder.string()});
}

// A Python that has nibabel, or "".
std::string python_with_nibabel(const fs::path& folder) {
  for (const char* python : {"python3", "/usr/bin/python3"})
    if (run_nibabel(python, "there", folder).code == 0) return python;
  return "";
}

// What nibabel found in a file.
struct Found {
  Size3 size;  // D, H, W
  Affine affine;
  transform::Orientation orientation;
  std::vector<float> values;
};

Found found_in(const fs::path& stem) {
  std::ifstream text(stem.string() + ".txt");
  Found f;
  text >> f.size[2] >> f.size[1] >> f.size[0];
  for (auto& row : f.affine)
    for (double& v : row) {
      std::string hexadecimal;
      text >> hexadecimal;
      v = std::strtod(hexadecimal.c_str(), nullptr);
    }
  for (int column = 0; column < 3; ++column) {
    size_t axis;
    int direction;
    text >> axis >> direction;
    f.orientation.from[axis] = 2 - column;
    f.orientation.flip[axis] = direction < 0;
  }
  REQUIRE(text);
  const Bytes bytes = read_file(stem.string() + ".f32");
  f.values.resize(bytes.size() / sizeof(float));
  std::memcpy(f.values.data(), bytes.data(), bytes.size());
  return f;
}

}  // namespace

TEST_CASE("nibabel: reads what we write, and we read what it writes, to the same values and geometry") {
  const Folder folder;
  const std::string python = python_with_nibabel(folder.path());
  if (python.empty()) {
    REQUIRE_MESSAGE(std::getenv("CI") == nullptr,
                    "python3-nibabel is missing: tools/setup.sh installs it where CI is set");
    MESSAGE("skipped: no python3 with nibabel here (Debian's package: python3-nibabel)");
    return;
  }
  const Outcome wrote = run_nibabel(python, "write", folder.path());
  REQUIRE_MESSAGE(wrote.code == 0, wrote.err);

  int cases = 0;
  for (const auto& entry : fs::directory_iterator(folder.path())) {
    if (!is_nifti_name(entry.path()) || !entry.path().filename().string().starts_with("case_")) continue;
    ++cases;
    CAPTURE(entry.path().string());
    const Found want = found_in(folder / nifti_stem(entry.path()));
    const Volume v = read_nifti(entry.path());
    CHECK(v.header.size == want.size);
    const auto values = v.voxels.span<float>();
    CHECK(std::equal(values.begin(), values.end(), want.values.begin(), want.values.end()));
    // A qform's rotation is computed, an sform is copied.
    for (size_t i = 0; i < 3; ++i)
      for (size_t j = 0; j < 4; ++j) CHECK(std::abs(v.header.affine[i][j] - want.affine[i][j]) < 1e-12 * 200);
    CHECK(transform::to_ras(v.header.affine) == want.orientation);

    const Tensor mask = Tensor::empty(v.voxels.shape(), DType::u8);
    for (int64_t i = 0; i < mask.numel(); ++i) mask.data<uint8_t>()[i] = static_cast<uint8_t>(i * 7);
    const std::string name = entry.path().filename().string();
    const std::vector<std::string> labels{"background", "with \"quotes\"", "\u00e9"};
    write_nifti_labels(folder / ("mask_" + name), mask, v.header, labels);
    write_nifti(folder / ("values_" + name), v.voxels, v.header);
  }
  CHECK(cases == 48);
  const Outcome checked = run_nibabel(python, "check", folder.path());
  REQUIRE_MESSAGE(checked.code == 0, checked.err);
  CHECK(checked.out == "48\n");
}
