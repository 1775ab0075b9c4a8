#!/bin/sh
# Sets up, looks at the format, builds, and runs every test; then the quick ones once more under the address and undefined-behaviour
# sanitizers, and compiled by clang where that is installed (in CI with oneDNN as a provider); then what has threads under
# the thread sanitizer. Arguments go to ctest: tools/test.sh -R convolution
set -eu
cd "$(dirname "$0")/.."
./tools/setup.sh
jobs=$(nproc)

echo "== format"
./tools/format.sh --check

echo "== every test"
cmake --preset release
cmake --build --preset release -j "$jobs"
ctest --preset release -j "$jobs" "$@"

echo "== the quick tests under sanitizers"
cmake --preset asan
cmake --build --preset asan -j "$jobs" --target quick_tests
ctest --preset asan -L quick -j "$jobs" "$@"

# The next build has oneDNN and those above have not, so that both are known to work.
if [ -n "${CI:-}" ] && [ ! -e build/onednn ]; then
  ./tools/onednn.sh || echo "== no oneDNN to be had: onednn_test says that it skips"
fi

if command -v clang++ > /dev/null; then
  echo "== everything but the slow tests, by clang; the quick tests"
  cmake --preset clang
  cmake --build --preset clang -j "$jobs" --target quick_tests lgmsnet lgmsnet_bench
  ctest --preset clang -L quick -j "$jobs" "$@"
else
  echo "== no clang++ here: what it compiles is not checked"
fi

echo "== pool, loader, trainer and predictor under the thread sanitizer"
cmake --preset tsan
cmake --build --preset tsan -j "$jobs" --target core_test loader_test trainer_test sliding_window_test infer_test plan_test
ctest --preset tsan -R '^(core|loader|trainer|sliding_window|infer|plan)_test$' -j "$jobs"
