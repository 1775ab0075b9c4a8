#include "core/io/files.h"

#include <sys/stat.h>

#include <fstream>

#include "core/io/bytes.h"
#include "support/folder.h"
#include "support/testing.h"

using namespace lgms;
using namespace lgms::io;
using namespace lgms::testing;
namespace fs = std::filesystem;

TEST_CASE("files: a path is nothing, a file, a folder or something else; what cannot be told is an error") {
  const Folder folder;
  std::ofstream(folder / "file") << "x";
  fs::create_symlink("nowhere", folder / "dangling");
  fs::create_symlink("loop", folder / "loop");
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK(look_at(folder / "file") == Found::file);
  CHECK(look_at(folder.path()) == Found::folder);
  CHECK(look_at(folder / "pipe") == Found::other);
  for (const char* name : {"none", "dangling", "none/x", "file/x"}) CHECK(look_at(folder / name) == Found::nothing);
  for (const std::string& name : {std::string("loop"), std::string(300, 'x'), std::string("a\0b", 3)}) {
    const std::string message = error_of([&] { look_at(folder / name); });
    CHECK(message.find("[" + (folder / name).native() + "] ") == 0);
  }
  try {
    is_file(folder / "loop", ErrorKind::output);
  } catch (const Error& e) { CHECK(e.kind() == ErrorKind::output); }
}

TEST_CASE("files: a walk finds what is wanted, also what cannot be read, sorted; not folders, not hidden files") {
  const Folder folder;
  for (const char* name : {"b.PNG", "a.png", "._a.png", ".hidden.png", "note.txt"}) std::ofstream(folder / name) << "x";
  fs::create_directory(folder / "c.png");
  fs::create_symlink("nowhere", folder / "dangling.png");
  fs::create_symlink("loop.png", folder / "loop.png");
  const auto pictures = [](const fs::path& path) { return lower_extension(path) == ".png"; };
  std::vector<std::string> names;
  for (const fs::path& path : files_in(folder.path(), pictures)) names.push_back(path.filename().string());
  CHECK(names == std::vector<std::string>{"a.png", "b.PNG", "dangling.png", "loop.png"});
  CHECK(error_of([&] { files_in(folder / "none", pictures); }).find("the folder cannot be read") != std::string::npos);
}

TEST_CASE("files: names made of stems stay in their folder, and in the file system's limits") {
  CHECK(file_name_of("a b, \"c\"", ".png") == "a b, \"c\".png");
  CHECK(file_name_of("../../stolen", ".png") == "___.._stolen.png");
  CHECK(file_name_of("/etc/passwd", ".png") == "_etc_passwd.png");
  CHECK(file_name_of("..", "") == "__");
  CHECK(file_name_of("", ".png") == "_.png");
  CHECK(file_name_of("a\x1b\nb", "") == "a__b");
  const std::string longest(251, 'x');
  CHECK(file_name_of(longest, ".png") == longest + ".png");
  std::string letters;
  for (int i = 0; i < 200; ++i) letters += "é";
  const std::string cut = file_name_of(letters, ".png");
  CHECK(cut.size() <= 255);
  CHECK(is_utf8(cut));
  CHECK(cut != file_name_of(letters + "x", ".png"));
}

TEST_CASE("files: text is UTF-8, or UTF-16 with its mark; anything else is refused with a word about it") {
  const auto decoded = [](std::string_view bytes) {
    return decode_text({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, "list");
  };
  using namespace std::string_view_literals;
  CHECK(decoded("aé\n") == "aé\n");
  CHECK(decoded("\xEF\xBB\xBF"
                "aé") == "aé");
  CHECK(decoded("\xFF\xFE"
                "a\0\xe9\0\x3d\xd8\x00\xde\r\0\n\0"sv) == "aé😀\r\n");
  CHECK(decoded("\xFE\xFF"
                "\0a\0\xe9\xd8\x3d\xde\x00"sv) == "aé😀");
  for (const auto bytes : {"a\0b\0"sv,
                           "\xFF\xFE"
                           "a"sv,
                           "\xFF\xFE\x00\xd8"sv, "\xFF\xFE\x00\xdc\x61\x00"sv, "x\0"sv})
    CHECK(error_of([&] { decoded(bytes); }).find("[list] expected ") == 0);
  CHECK(error_of([&] { decoded("a\0b\0"sv); }).find("UTF-16") != std::string::npos);
  for (const char* good : {"", "a", "é", "€", "😀"}) CHECK(is_utf8(good));
  for (const char* bad : {"\xff", "\xc3", "\x80", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf5\x80\x80\x80"})
    CHECK(!is_utf8(bad));
}
