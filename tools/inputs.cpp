#include "tools/inputs.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <algorithm>
#include <iostream>
#include <map>
#include <set>

#include "core/error.h"

namespace lgms::tools {

namespace fs = std::filesystem;

void refuse_options(const CLI::App& app, const std::vector<std::string>& options, const std::string& why) {
  for (const std::string& option : options)
    check(app.count(option) == 0, ErrorKind::usage, "[", app.get_name(), "] ", option, ' ', why);
}

std::vector<fs::path> files_of(const std::vector<std::string>& inputs, const std::string& kinds,
                               const std::function<bool(const fs::path&)>& accepts) {
  std::vector<fs::path> files;
  for (const fs::path input : inputs) {
    if (!fs::is_directory(input)) {
      files.push_back(input);
      continue;
    }
    std::vector<fs::path> inside;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(input, error))
      if (entry.is_regular_file() && accepts(entry.path())) inside.push_back(entry.path());
    check(!error, ErrorKind::data, "[", input.string(), "] the folder cannot be read: ", error.message());
    check(!inside.empty(), ErrorKind::usage, "[", input.string(), "] expected ", kinds, " in the folder, got none");
    std::sort(inside.begin(), inside.end());
    files.insert(files.end(), inside.begin(), inside.end());
  }
  return files;
}

void check_outputs(const std::vector<fs::path>& files, bool overwrite,
                   const std::function<std::vector<fs::path>(const fs::path&)>& outputs) {
  std::map<fs::path, fs::path> owner;
  for (const fs::path& file : files)
    for (const fs::path& path : outputs(file)) {
      const auto [before, fresh] = owner.emplace(path, file);
      check(fresh, ErrorKind::usage, "[predict] ", before->second.string(), " and ", file.string(),
            " would both write ", path.string(), "; predict them into different folders");
    }
  std::set<fs::path> inputs;
  std::error_code ignored;
  for (const fs::path& file : files) inputs.insert(fs::weakly_canonical(file, ignored));
  for (const auto& [path, file] : owner) {
    check(!inputs.contains(fs::weakly_canonical(path, ignored)), ErrorKind::usage, "[", path.string(),
          "] is an input; choose another output folder");
    check(overwrite || !fs::exists(path), ErrorKind::usage, "[", path.string(),
          "] exists already; --overwrite replaces it");
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
      status.print(text("lgmsnet: ", e.what()));
    }
  }
  status.clear();
  std::cout << done << " of " << files.size() << ' ' << what << " predicted into " << out << '\n';
  check(failed == 0, ErrorKind::some_failed, "[predict] ", failed, " of ", files.size(), ' ', what,
        " could not be read");
}

}  // namespace lgms::tools
