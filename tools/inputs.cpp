#include "tools/inputs.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <iostream>
#include <map>
#include <set>

#include "core/error.h"
#include "core/io/files.h"

namespace lgms::tools {

namespace fs = std::filesystem;

namespace {

// Where a path leads to, links followed as far as they exist.
fs::path place_of(const fs::path& path) {
  std::error_code error;
  const fs::path place = fs::weakly_canonical(path, error);
  return error ? fs::absolute(path, error).lexically_normal() : place;
}

}  // namespace

std::vector<fs::path> files_of(const std::vector<std::string>& inputs, const std::string& kinds,
                               const std::function<bool(const fs::path&)>& accepts) {
  std::vector<fs::path> files;
  for (const fs::path input : inputs) {
    std::error_code unknown;  // reading it will tell why
    if (!fs::is_directory(input, unknown)) {
      files.push_back(input);
      continue;
    }
    const std::vector<fs::path> inside = io::files_in(input, accepts);
    check(!inside.empty(), ErrorKind::usage, "[", input.string(), "] expected ", kinds, " in the folder, got none");
    files.insert(files.end(), inside.begin(), inside.end());
  }
  return files;
}

void check_outputs(const std::vector<fs::path>& files, bool overwrite,
                   const std::function<std::vector<fs::path>(const fs::path&)>& outputs) {
  std::map<fs::path, fs::path> owner;
  std::set<fs::path> inputs;
  for (const fs::path& file : files) {
    std::error_code unknown;
    if (fs::status(file, unknown).type() == fs::file_type::none) continue;  // reading it will tell why
    inputs.insert(place_of(file));
    for (const fs::path& path : outputs(file)) {
      const auto [before, fresh] = owner.emplace(path, file);
      check(fresh, ErrorKind::usage, "[predict] ", before->second.string(), " and ", file.string(),
            " would both write ", path.string(), "; predict them into different folders");
    }
  }
  for (const auto& [path, file] : owner) {
    check(!inputs.contains(place_of(path)), ErrorKind::usage, "[", path.string(),
          "] is an input; choose another output folder");
    std::error_code unknown;
    const bool there = io::look_at(path, ErrorKind::output) != io::Found::nothing || fs::is_symlink(path, unknown);
    check(overwrite || !there, ErrorKind::usage, "[", path.string(), "] exists already; --overwrite replaces it");
  }
}

void for_each_file(Session& session, StatusLine& status, const std::vector<fs::path>& files, const std::string& what,
                   const std::string& out, const std::function<void(const fs::path&, size_t i)>& each) {
  size_t done = 0, failed = 0;
  for (size_t i = 0; i < files.size(); ++i) {
    session.stop_if_asked(text(done, " of ", files.size(), ' ', what, " are in ", out));
    try {
      each(files[i], i);
      ++done;
      // What one file leaves, freed or not, is not added to the next one's peak (pictures: 7 MB of heap).
      session.context().allocator()->trim();
#ifdef __GLIBC__
      malloc_trim(0);
#endif
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::data || files.size() == 1) throw;
      ++failed;
      status.print("lgmsnet: " + e.message());
    }
  }
  status.clear();
  std::cout << done << " of " << files.size() << ' ' << what << " predicted into " << out << '\n';
  check(failed == 0, ErrorKind::some_failed, "[predict] ", failed, " of ", files.size(), ' ', what,
        " could not be read");
}

}  // namespace lgms::tools
