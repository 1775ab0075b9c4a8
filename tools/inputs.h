#pragma once
// What the verbs that go through files share: finding them, keeping their results apart, going on after a bad one.
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "tools/session.h"
#include "tools/status_line.h"

namespace lgms::tools {

// The files named and, of the folders named, those that `accepts`, as io::files_in finds them. kinds: what a folder
// should hold, for the message. Throws Error{data} where a folder cannot be read, Error{usage} where it holds none.
std::vector<std::filesystem::path> files_of(const std::vector<std::string>& inputs, const std::string& kinds,
                                            const std::function<bool(const std::filesystem::path&)>& accepts);

// Two results never meet in one file, and no file is lost: throws Error{usage} where two files would write the same
// path, one of them exists already (unless overwrite), or is an input.
void check_outputs(const std::vector<std::filesystem::path>& files, bool overwrite,
                   const std::function<std::vector<std::filesystem::path>(const std::filesystem::path&)>& outputs);

// each(file, i) for all of them; one that throws Error{data} is reported and the rest is done (the only one: thrown
// on). Prints how many were done into `out`; throws Error{some_failed} where not all were, Error{interrupted} between
// two once a signal came. what: "images".
void for_each_file(Session& session, StatusLine& status, const std::vector<std::filesystem::path>& files,
                   const std::string& what, const std::string& out,
                   const std::function<void(const std::filesystem::path&, size_t i)>& each);

}  // namespace lgms::tools
