#include "core/formats/npy.h"

#include <cstring>

#include "core/io/bytes.h"
#include "support/folder.h"
#include "support/testing.h"

using namespace lgms;
using namespace lgms::io;
using namespace lgms::testing;

TEST_CASE("npy: a header that NumPy reads, padded to 64 bytes, then the elements") {
  const Folder folder;
  const Tensor x = randn({2, 3, 4}, 1, DType::f32, 2);  // strided rows are written dense
  write_npy(folder / "x.npy", x);
  const Bytes bytes = read_file(folder / "x.npy");
  const std::string header(bytes.begin(), bytes.begin() + 128);
  CHECK(header.starts_with(std::string("\x93NUMPY\x01\x00\x76\x00", 10) +
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (2,3,4,)}   "));
  CHECK(header.back() == '\n');
  REQUIRE(bytes.size() == 128 + 24 * sizeof(float));
  CHECK(std::memcmp(bytes.data() + 128, x.dense().data<float>(), 24 * sizeof(float)) == 0);
}

TEST_CASE("npy: scalars, empty arrays; other types are usage errors") {
  const Folder folder;
  write_npy(folder / "scalar.npy", Tensor::full({}, 1));
  write_npy(folder / "empty.npy", Tensor::empty({0, 4}));
  CHECK(read_file(folder / "scalar.npy").size() % 64 == 4);
  CHECK(read_file(folder / "empty.npy").size() % 64 == 0);
  CHECK(error_of([&] { write_npy(folder / "x", Tensor::zeros({1}, DType::u8)); }) ==
        "[write_npy] x: expected f32, got u8");
}
