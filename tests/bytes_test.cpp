#include "core/io/bytes.h"

#include <fstream>

#include "support/folder.h"
#include "support/testing.h"

using namespace lgms;
using namespace lgms::io;
using namespace lgms::testing;

namespace {

std::string message(const std::filesystem::path& path, ErrorKind kind = ErrorKind::data) {
  try {
    read_file(path, kind);
  } catch (const Error& e) {
    CHECK(e.kind() == kind);
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("bytes: read_file returns the whole file") {
  const Folder folder;
  std::ofstream(folder / "x y [1]", std::ios::binary) << std::string("a\0\n\xff", 4);
  CHECK(read_file(folder / "x y [1]") == Bytes{'a', 0, '\n', 0xff});
}

TEST_CASE("bytes: read_file names the file and what is wrong with it, under the kind that the caller chose") {
  const Folder folder;
  std::ofstream(folder / "empty");
  std::ofstream(folder / "large") << "12345";
  const auto name = [&](const char* file) { return text('[', (folder / file).string(), "] "); };
  CHECK(message(folder / "none") ==
        name("none") + "expected a readable file, got: No such file or directory; check the path");
  CHECK(message(folder / "none", ErrorKind::model) != "");
  CHECK(message(folder.path()).ends_with("] expected a file, got a folder"));
  CHECK(message(folder / "empty") == name("empty") + "expected a file with contents, got an empty one");
  CHECK(message(folder / "empty/x").find("Not a directory") != std::string::npos);
  CHECK(message("/dev/zero") == "[/dev/zero] expected a regular file, got a device or a pipe");
  CHECK(error_of([&] { read_file(folder / "large", ErrorKind::data, 4); }) ==
        name("large") + "expected at most 4 bytes, got 5");
  // Larger than any memory, and refused before any is taken.
  std::filesystem::resize_file(folder / "large", uint64_t{1} << 40);
  CHECK(message(folder / "large").find("expected at most 4294967296 bytes, got 1099511627776") != std::string::npos);
}

TEST_CASE("bytes: a reader reads little- and big-endian numbers and ranges, never past the end") {
  const Bytes bytes{1, 2, 3, 4, 5, 6};
  Reader reader(bytes, "file", ErrorKind::model);
  CHECK(reader.number<uint16_t>("a") == 0x0201);
  CHECK(reader.big_endian(2, "b") == 0x0304);
  CHECK(reader.remaining() == 2);
  CHECK(error_of([&] { reader.number<uint32_t>("the number"); }) ==
        "[file] the number: expected 4 bytes at offset 4, got 2; the file is cut short or damaged");
  CHECK(error_of([&] { reader.take(~uint64_t{0}, "much"); }) != "");
  CHECK(error_of([&] { reader.seek(7, "there"); }) ==
        "[file] there: expected an offset within the file's 6 bytes, got 7");
  reader.seek(6, "the end");
  CHECK(reader.take(0, "nothing").empty());
}
