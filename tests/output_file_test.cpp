#include "core/io/output_file.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <functional>
#include <iterator>

#include "core/io/bytes.h"
#include "support/folder.h"
#include "support/testing.h"

using namespace lgms;
using namespace lgms::io;
using namespace lgms::testing;
namespace fs = std::filesystem;

namespace {

std::string contents(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

size_t entries(const fs::path& folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

ErrorKind kind_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) { return e.kind(); }
  return ErrorKind::internal;
}

// Files may not grow above `bytes` while this lives: writing more fails as on a full disk, even for root.
class FileLimit {
 public:
  explicit FileLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int);
};

}  // namespace

TEST_CASE("output_file: appears under its name when it is committed, not before") {
  const Folder folder;
  const fs::path path = folder / "a b [1].txt";
  {
    OutputFile file(path);
    file.write("hel");
    file.write("lo");
    CHECK(!fs::exists(path));
    file.commit();
    CHECK(contents(path) == "hello");
  }
  CHECK(contents(path) == "hello");
  CHECK(entries(folder.path()) == 1);
}

TEST_CASE("output_file: without a commit the old file stays and the temporary goes") {
  const Folder folder;
  write_file(folder / "x", "old");
  {
    OutputFile file(folder / "x");
    file.write("new");
  }
  CHECK(contents(folder / "x") == "old");
  CHECK(entries(folder.path()) == 1);
  write_file(folder / "x", "new");
  CHECK(contents(folder / "x") == "new");
}

TEST_CASE("output_file: a full disk is an output error, keeps the old file and leaves nothing behind") {
  const Folder folder;
  write_file(folder / "x", "old");
  const std::string big(100000, 'x');
  {
    const FileLimit limit(4096);
    const auto write = [&] { write_file(folder / "x", big); };
    CHECK(kind_of(write) == ErrorKind::output);
    CHECK(error_of(write) == text('[', (folder / "x").string(), "] cannot be written: File too large"));
  }
  CHECK(contents(folder / "x") == "old");
  CHECK(entries(folder.path()) == 1);
}

TEST_CASE("output_file: missing folders, folders, devices and files in the way are output errors") {
  const Folder folder;
  CHECK(
      error_of([&] { write_file(folder / "no/x", "1"); }) ==
      text('[', (folder / "no/x").string(), "] cannot be created: No such file or directory; create the folder first"));
  CHECK(error_of([&] { write_file(folder.path(), "1"); }).find("expected to write a file") != std::string::npos);
  CHECK(error_of([&] { write_file("/dev/full", "1"); }).find("expected to write a file") != std::string::npos);
  CHECK(fs::is_character_file("/dev/full"));
  CHECK(error_of([&] { write_file(folder / "", "1"); }) != "");
  CHECK(error_of([&] { write_file(folder / std::string(256, 'n'), "1"); }).find("too long") != std::string::npos);
  CHECK(error_of([&] { write_file(folder / std::string("x\0y", 3), "1"); }).find("NUL") != std::string::npos);
  write_file(folder / "file", "1");
  CHECK(kind_of([&] { write_file(folder / "file/x", "1"); }) == ErrorKind::output);
  CHECK(kind_of([&] { ensure_directory(folder / "file"); }) == ErrorKind::output);
  CHECK(kind_of([&] { ensure_directory(folder / "file/x"); }) == ErrorKind::output);
  CHECK(entries(folder.path()) == 1);
}

TEST_CASE("output_file: a read-only folder is an output error") {
  if (geteuid() == 0) {
    // Root may write anywhere but to what the kernel itself provides.
    CHECK(kind_of([] { write_file("/proc/lgms", "1"); }) == ErrorKind::output);
    return;
  }
  const Folder folder;
  fs::permissions(folder.path(), fs::perms::owner_read | fs::perms::owner_exec);
  CHECK(error_of([&] { write_file(folder / "x", "1"); }).find("choose another output folder") != std::string::npos);
  fs::permissions(folder.path(), fs::perms::owner_all);
}

TEST_CASE("output_file: names may be as long as the file system has them") {
  const Folder folder;
  for (const size_t length : {1u, 200u, 250u, 251u, 252u, 253u, 254u, 255u}) {
    const fs::path path = folder / std::string(length, 'n');
    write_file(path, "1");
    CHECK(contents(path) == "1");
  }
  CHECK(entries(folder.path()) == 8);
}

TEST_CASE("output_file: several writers of one file each have their own; the last one stands, whole") {
  const Folder folder;
  {
    OutputFile first(folder / "x"), second(folder / "x"), third(folder / "x");
    first.write("first");
    second.write("second, longer");
    first.commit();
    CHECK(contents(folder / "x") == "first");
    second.commit();
    CHECK(contents(folder / "x") == "second, longer");
    third.write("never");
  }
  CHECK(contents(folder / "x") == "second, longer");
  CHECK(entries(folder.path()) == 1);
}

TEST_CASE("output_file: processes that write one file at once leave one of them, whole") {
  const Folder folder;
  std::vector<pid_t> writers;
  for (char letter = 'a'; letter < 'e'; ++letter) {
    const pid_t child = fork();
    if (child == 0) {
      const std::string all(300'000, letter);
      for (int i = 0; i < 20; ++i) write_file(folder / "x", all);
      _exit(0);
    }
    writers.push_back(child);
  }
  for (const pid_t writer : writers) {
    int status = 1;
    waitpid(writer, &status, 0);
    CHECK(status == 0);
  }
  const std::string read = contents(folder / "x");
  CHECK(read == std::string(300'000, read.at(0)));
  CHECK(entries(folder.path()) == 1);
}

TEST_CASE("output_file: what a killed process left is removed by the next write of the same file") {
  const Folder folder;
  const pid_t child = fork();
  if (child == 0) {
    OutputFile file(folder / "x");
    file.write("half");
    raise(SIGKILL);
  }
  waitpid(child, nullptr, 0);
  CHECK(entries(folder.path()) == 1);
  write_file(folder / "x", "1");
  CHECK(entries(folder.path()) == 1);
  CHECK(contents(folder / "x") == "1");
  // What is nobody's leftover stays: a link, a folder.
  fs::path left;
  {
    OutputFile file(folder / "x");
    for (const auto& entry : fs::directory_iterator(folder.path()))
      if (entry.path().extension() == ".tmp") left = entry.path();
  }
  fs::create_symlink("x", left);
  write_file(folder / "x", "2");
  CHECK(fs::is_symlink(left));
  CHECK(contents(folder / "x") == "2");
}

TEST_CASE(
    "output_file: permissions follow the umask; ensure_directory makes parents and is content with what is there") {
  const Folder folder;
  const mode_t before = umask(027);
  write_file(folder / "x", "1");
  umask(before);
  struct stat status {};
  REQUIRE(::stat((folder / "x").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0640);
  ensure_directory(folder / "a/b/c");
  ensure_directory(folder / "a/b/c/");
  CHECK(fs::is_directory(folder / "a/b/c"));
}
