#include <algorithm>

#include "core/error.h"
#include "core/formats/nifti.h"
#include "core/io/files.h"

namespace lgms::io {
namespace {

// The length of the name's .nii or .nii.gz, of any upper and lower case; 0 where it has neither.
size_t ending_of(const std::string& name) {
  const std::string lowered = lower(name);
  for (const std::string_view ending : {".nii.gz", ".nii"})
    if (name.size() > ending.size() && lowered.ends_with(ending)) return ending.size();
  return 0;
}

}  // namespace

std::string nifti_stem(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  return name.substr(0, name.size() - ending_of(name));
}

bool is_nifti_name(const std::filesystem::path& path) { return ending_of(path.filename().string()) > 0; }

std::filesystem::path NiftiFolders::find(const std::filesystem::path& folder, const std::string& stem) {
  namespace fs = std::filesystem;
  const fs::path wanted = folder / (stem + ".nii");  // a stem may lead into another folder
  const auto [found, fresh] = folders_.try_emplace(wanted.parent_path());
  if (fresh) {
    std::error_code error;
    const fs::file_type type = fs::status(found->first, error).type();
    check(type != fs::file_type::none || error == std::errc::filename_too_long,
          kind_for(error.value(), ErrorKind::data), "[", found->first.string(),
          "] the folder cannot be read: ", error.message());
    if (type == fs::file_type::directory)
      for (const fs::path& path : entries_in(found->first, is_nifti_name))
        found->second[nifti_stem(path)].push_back(path);
  }
  fs::path volume;
  const auto same = found->second.find(nifti_stem(wanted));
  if (same == found->second.end()) return volume;
  std::sort(same->second.begin(), same->second.end());
  for (const fs::path& path : same->second) {
    std::error_code unknown;  // reading it will tell why
    const fs::file_type type = fs::status(path, unknown).type();
    if (type == fs::file_type::not_found || type == fs::file_type::directory) continue;
    check(volume.empty(), ErrorKind::data, "[", volume.string(), "] expected one volume called \"", stem,
          "\", got another, ", path.string(), "; remove or rename one of them");
    volume = path;
  }
  return volume;
}

}  // namespace lgms::io
