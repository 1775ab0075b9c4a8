#include "core/io/class_names.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <string_view>

#include "core/context.h"
#include "core/io/bytes.h"
#include "core/io/files.h"

namespace lgms::io {
namespace {

bool has_control_character(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i)
    if (control_at(text, i)) return true;
  return false;
}

}  // namespace

void check_class_names(std::span<const std::string> names, ErrorKind kind, const std::string& where) {
  std::map<std::string_view, size_t> seen;
  for (size_t k = 0; k < names.size(); ++k) {
    const std::string& name = names[k];
    check(!name.empty(), kind, where, ": expected a name for class ", k, ", got an empty one");
    check(is_utf8(name), kind, where, ": expected names in UTF-8, got other bytes for class ", k);
    check(!has_control_character(name), kind, where,
          ": expected names without control characters, got some (ESC, a line's end, ...) for class ", k);
    const auto [before, fresh] = seen.emplace(name, k);
    check(fresh, kind, where, ": expected each name once, got \"", name, "\" for classes ", before->second, " and ", k);
    check(kind == ErrorKind::model || lower(name) != "ignore", kind, where, ": \"", name,
          "\" means voxels that are not annotated, which is not supported yet; leave these cases out, or give such "
          "voxels the label of the background");
  }
}

void compare_class_names(std::span<const std::string> model, std::span<const std::string> data,
                         const std::string& where) {
  if (data.empty() || std::equal(model.begin(), model.end(), data.begin(), data.end())) return;
  const auto listed = [](std::span<const std::string> names) {
    std::string list;
    for (const std::string& name : names) list.append(list.empty() ? "" : ", ").append(name);
    return list;
  };
  check(model.size() == data.size(), ErrorKind::data, where, ": expected the model's ", model.size(), " classes (",
        listed(model), "), got ", data.size(), " (", listed(data), ")");
  check(!std::is_permutation(model.begin(), model.end(), data.begin()), ErrorKind::data, where,
        ": expected the classes in the model's order, ", listed(model), ", got ", listed(data));
  Context::current().log(text(where, ": the data call their classes ", listed(data), ", the model ", listed(model),
                              "; they are taken for the same"));
}

}  // namespace lgms::io
