#include "lgmsnet/recipe.h"

#include <cmath>

#include "core/io/json.h"
#include "lgmsnet/config.h"
#include "lgmsnet/volume_recipe.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::testing;

namespace {

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// A recipe's JSON, changed.
template <class Change>
std::string changed(const std::string& json, const Change& change) {
  io::Json object = io::parse_json(json).value;
  change(object);
  return object.dump();
}
std::string without(const std::string& json, std::string_view key) {
  const io::ParsedJson all = io::parse_json(json);
  io::Json rest = io::Json::object();
  for (const auto& [name, value] : all.value.members())
    if (name != key) rest[name] = value;
  return rest.dump();
}

template <class R>
std::string refusal(const std::string& json) {
  try {
    R::from_json(json, "file");
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::model);
    CHECK(std::string(e.what()).starts_with("[file] recipe"));
    return e.what();
  }
  return "";
}

// Takes one key after another away.
template <class R>
void check_needed() {
  const std::string json = R{}.to_json();
  const io::ParsedJson all = io::parse_json(json);
  for (const auto& [name, value] : all.value.members())
    CHECK(contains(refusal<R>(without(json, name)), "expected the key " + name));
}

}  // namespace

TEST_CASE("recipe: every key travels; white is written where there is one, and 0 where a file has none") {
  for (const char* name : {"default-2d", "paper-2d"}) {
    Recipe recipe = Recipe::named(name);
    CHECK(!contains(recipe.to_json(), "white"));  // as the programs before it wrote it
    CHECK(Recipe::from_json(recipe.to_json(), "file") == recipe);
    recipe.white = 4095;
    recipe.mask_threshold = 300;
    CHECK(contains(recipe.to_json(), "\"white\":4095"));
    CHECK(Recipe::from_json(recipe.to_json(), "file") == recipe);
  }
  // Byte for byte what version 0.1.0 wrote.
  CHECK(Recipe{}.to_json() ==
        R"({"name":"default-2d","size":[256,256],"bgr":false,"round_resized":false,"mean":[0.485,0.456,0.406],)"
        R"("std":[0.229,0.224,0.225],"divide_again":false,"binarise":true,"mask_threshold":127,)"
        R"("nearest_half_pixel":true,"threshold":0.5})");
}

TEST_CASE("recipe: a key that is missing or unknown is refused by its name, 2D and 3D") {
  check_needed<Recipe>();
  check_needed<VolumeRecipe>();
  const auto later = [](io::Json& object) { object["gamma"] = 2; };
  CHECK(contains(refusal<Recipe>(changed(Recipe{}.to_json(), later)), "got gamma"));
  CHECK(contains(refusal<VolumeRecipe>(changed(VolumeRecipe{}.to_json(), later)), "got gamma"));
  CHECK(contains(refusal<VolumeRecipe>(changed(VolumeRecipe{}.to_json(), [](io::Json& o) { o["white"] = 9; })),
                 "got white"));
}

TEST_CASE("recipe: white and mask threshold have their ranges; 127 is no threshold") {
  const auto with = [](const char* key, double value) {
    return changed(Recipe{}.to_json(), [&](io::Json& object) {
      if (value == static_cast<int>(value))
        object[key] = static_cast<int>(value);
      else
        object[key] = value;
    });
  };
  for (const double white : {-1.0, 65536.0, 0.5}) CHECK(contains(refusal<Recipe>(with("white", white)), "white"));
  for (const double threshold : {-1.0, 65535.0})
    CHECK(contains(refusal<Recipe>(with("mask_threshold", threshold)), "mask_threshold"));
  CHECK(!Recipe::from_json(with("mask_threshold", 127), "file").threshold_of_masks());
  CHECK(Recipe::from_json(with("mask_threshold", 65534), "file").threshold_of_masks() == 65534);
  CHECK(Recipe::from_json(with("mask_threshold", 0), "file").threshold_of_masks() == 0);
  Recipe asked;
  asked.threshold_given = true;
  CHECK(Recipe::from_json(asked.to_json(), "file").threshold_of_masks() == 127);
  CHECK(!contains(Recipe{}.to_json(), "threshold_given"));
}

TEST_CASE("recipe: lists have as many entries as they need, no more") {
  const std::string three = "\"mean\":[0.485,0.456,0.406]", four = "\"mean\":[0.485,0.456,0,406]";
  std::string json = Recipe{}.to_json();
  json.replace(json.find(three), three.size(), four);
  CHECK(contains(refusal<Recipe>(json), "mean: expected 3 entries"));
  json = Config{}.to_json();
  json.insert(json.find("\"dims\":[") + 8, "8,");
  CHECK(error_of([&] { Config::from_json(json, "file"); }).find("dims: expected 5 entries") != std::string::npos);
  json = Config{}.to_json();
  json.insert(1, "\"width\":3,");
  CHECK(error_of([&] { Config::from_json(json, "file"); }).find("width") != std::string::npos);
}

TEST_CASE("recipe: a picture of f32 makes the input that one of u8 with its values makes") {
  for (const char* name : {"default-2d", "paper-2d"}) {
    Recipe recipe = Recipe::named(name);
    recipe.size = {32, 64};
    Tensor image = Tensor::empty({37, 50, 3}, DType::u8);
    for (int64_t i = 0; i < image.numel(); ++i) image.data<uint8_t>()[i] = static_cast<uint8_t>(i * i * 31 >> 4);
    const Tensor same = image.to(DType::f32);
    CHECK(max_difference(make_input(recipe, image), make_input(recipe, same)) == 0);
    CHECK(max_difference(make_native_input(recipe, image), make_native_input(recipe, same)) == 0);
    CHECK(contains(error_of([&] { make_input(recipe, image.to(DType::f64)); }), "expected u8 or f32"));
  }
}

TEST_CASE("recipe: targets are foreground above 127, or soft, whatever the threshold of mask files") {
  Tensor masks = Tensor::zeros({32, 32, 1}, DType::u8);
  const uint8_t values[] = {0, 127, 128, 255};
  std::copy_n(values, 4, masks.data<uint8_t>());
  Recipe recipe;
  recipe.size = {32, 32};
  for (const int threshold : {0, 127, 300}) {
    recipe.mask_threshold = threshold;
    const float hard[] = {0, 0, 1, 1};
    for (int i = 0; i < 4; ++i) CHECK(make_target(recipe, masks).data<float>()[i] == hard[i]);
  }
  recipe.binarise = false;
  for (int i = 0; i < 4; ++i) CHECK(make_target(recipe, masks).data<float>()[i] == values[i] / 255.0f);
}

TEST_CASE("recipe: logits that are no numbers make no mask") {
  const Tensor logits = Tensor::zeros({1, 1, 4, 4, 1});
  logits.data<float>()[5] = NAN;
  for (const bool native : {false, true}) {
    const auto probabilities = [&] { native ? native_probabilities(logits, 3, 3) : probabilities_at(logits, 8, 8); };
    try {
      probabilities();
      FAIL_CHECK("accepted");
    } catch (const Error& e) {
      CHECK(e.kind() == ErrorKind::model);
      CHECK(contains(e.message(), "the network gave others"));
    }
  }
}
