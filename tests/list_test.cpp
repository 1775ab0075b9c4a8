#include "nn/data/list.h"

#include <sys/stat.h>

#include <fstream>

#include "tests/support/folder.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::nn;
using Strings = std::vector<std::string>;

namespace {

struct Folder : testing::Folder {
  std::filesystem::path list(const std::string& text) const {
    std::ofstream(path() / "list.txt", std::ios::binary) << text;
    return path() / "list.txt";
  }
};

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// ASCII in UTF-16, with the mark in front if it is to have one.
std::string utf16(const std::string& ascii, bool big_endian, bool mark = true) {
  std::string bytes = !mark ? "" : big_endian ? "\xfe\xff" : "\xff\xfe";
  for (const char c : ascii) bytes += big_endian ? std::string{'\0', c} : std::string{c, '\0'};
  return bytes;
}

}  // namespace

TEST_CASE("list: spaces, brackets, CR LF, CR, blank lines and a byte order mark") {
  const Folder folder;
  const Strings want{"benign (1)", "a b", "last"};
  CHECK(read_list(folder.list("\xEF\xBB\xBF"
                              "benign (1)\r\n\r\n  a b \n\nlast")) == want);
  CHECK(read_list(folder.list("benign (1)\ra b\r\rlast\r")) == want);
  CHECK(read_list(folder.list("a,\"b\"\tc\n\xe9\n")) == Strings{"a,\"b\"\tc", "\xe9"});  // names are bytes
}

TEST_CASE("list: lines are kept as they stand, with their numbers") {
  const Folder folder;
  const auto lines = read_lines(folder.list("a \r\n\t\r\n\n b"));
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].text == "a ");
  CHECK(lines[0].number == 1);
  CHECK(lines[1].text == " b");
  CHECK(lines[1].number == 4);
}

TEST_CASE("list: UTF-16 is read with its mark, and refused without") {
  const Folder folder;
  for (const bool big_endian : {false, true}) {
    CAPTURE(big_endian);
    CHECK(read_list(folder.list(utf16("a b\r\nlast\r\n", big_endian))) == Strings{"a b", "last"});
    const std::string message = testing::error_of([&] { read_list(folder.list(utf16("a\nb\n", big_endian, false))); });
    CHECK(contains(message, "list.txt]"));
    CHECK(contains(message, "encoding"));
  }
  CHECK(read_list(folder.list("\xff\xfe\xe9" + std::string(1, '\0'))) == Strings{"\u00e9"});
  CHECK(contains(testing::error_of([&] { read_list(folder.list(std::string("a\0b\n", 4))); }), "NUL"));
}

TEST_CASE("list: what is absent, no file, too long, empty or names a stem twice is an error that names the file") {
  const Folder folder;
  CHECK(contains(testing::error_of([&] { read_list(folder / "none.txt"); }), "none.txt]"));
  CHECK(contains(testing::error_of([&] { read_list(folder.path()); }), "got a folder"));
  CHECK(contains(testing::error_of([&] { read_list("/dev/zero"); }), "/dev/zero] expected a regular file"));
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK(contains(testing::error_of([&] { read_list(folder / "pipe"); }), "pipe] expected a regular file"));
  folder.list("a");
  std::filesystem::resize_file(folder / "list.txt", (1 << 26) + 1);  // of zeros that take no room
  CHECK(contains(testing::error_of([&] { read_list(folder / "list.txt"); }),
                 "list.txt] expected at most 67108864 bytes"));
  CHECK(contains(testing::error_of([&] { read_list(folder.list("\n \n")); }), "list.txt] expected names"));
  CHECK(contains(testing::error_of([&] { read_list(folder.list("a\nb\na\n")); }),
                 "line 3: expected each name once, got \"a\" again (line 1)"));
}
