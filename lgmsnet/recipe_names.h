#pragma once
// The recipes that have a name.
#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace lgms {

struct RecipeName {
  std::string_view name;
  int rank;    // of the networks it is for: 2, pictures; 3, volumes
  bool paper;  // that of the published training code; else ours
};

inline constexpr std::array<RecipeName, 4> kRecipes{
    {{"default-2d", 2, false}, {"paper-2d", 2, true}, {"default-3d", 3, false}, {"paper-3d", 3, true}}};

// Throws Error{usage} on a name that is none of these.
const RecipeName& recipe_named(std::string_view name);
// Ours for networks of this rank.
const RecipeName& default_recipe(int rank);
// All of them, in the order of kRecipes.
std::vector<std::string> recipe_names();

}  // namespace lgms
