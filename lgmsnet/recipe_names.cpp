#include "lgmsnet/recipe_names.h"

#include <algorithm>

#include "core/error.h"

namespace lgms {

const RecipeName& recipe_named(std::string_view name) {
  const auto found =
      std::find_if(kRecipes.begin(), kRecipes.end(), [&](const RecipeName& r) { return r.name == name; });
  check(found != kRecipes.end(), ErrorKind::usage,
        "[recipe] expected default-2d, paper-2d, default-3d or paper-3d, got '", name, "'");
  return *found;
}

const RecipeName& default_recipe(int rank) { return recipe_named(rank == 3 ? "default-3d" : "default-2d"); }

std::vector<std::string> recipe_names() {
  std::vector<std::string> names;
  names.reserve(kRecipes.size());
  for (const RecipeName& recipe : kRecipes) names.emplace_back(recipe.name);
  return names;
}

}  // namespace lgms
