#!/bin/sh
# Sets up, builds, and runs every test; then the quick ones once more under the address and undefined-behaviour
# sanitizers. Arguments go to ctest: tools/test.sh -R convolution
set -eu
cd "$(dirname "$0")/.."
./tools/setup.sh
jobs=$(nproc)

echo "== every test"
cmake --preset release
cmake --build --preset release -j "$jobs"
ctest --preset release -j "$jobs" "$@"

echo "== the quick tests under sanitizers"
cmake --preset asan
cmake --build --preset asan -j "$jobs" --target quick_tests
ctest --preset asan -L quick -j "$jobs" "$@"
