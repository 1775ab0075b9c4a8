#!/bin/sh
# The build in $1 is installed, and a project that knows nothing else finds it, links it and segments a picture.
# $2: a model.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cmake --install "$1" --prefix "$folder/installed" > /dev/null
mkdir "$folder/user"
cat > "$folder/user/CMakeLists.txt" << 'EOF'
cmake_minimum_required(VERSION 3.25)
project(user LANGUAGES CXX)
find_package(lgmsnet 0.1 REQUIRED)
add_executable(user user.cpp)
target_link_libraries(user PRIVATE lgmsnet::infer)
EOF
cat > "$folder/user/user.cpp" << 'EOF'
#include <cstdio>

#include "lgmsnet/predictor.h"

int main(int, char** argv) {
  const lgms::Predictor predictor(lgms::load_model(argv[1]), argv[1]);
  const lgms::Tensor picture = lgms::Tensor::zeros({40, 50, 3}, lgms::DType::u8);
  const lgms::Tensor mask = predictor.predict(picture).labels;
  std::printf("%ld x %ld\n", static_cast<long>(mask.shape()[0]), static_cast<long>(mask.shape()[1]));
}
EOF
cmake -S "$folder/user" -B "$folder/user/build" -DCMAKE_PREFIX_PATH="$folder/installed" > /dev/null
cmake --build "$folder/user/build" > "$folder/log" 2>&1 || { cat "$folder/log" && exit 1; }
[ "$("$folder/user/build/user" "$2")" = "40 x 50" ]
