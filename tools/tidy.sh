#!/bin/sh
# clang-tidy (.clang-tidy) over the sources given, or all but tests. Needs clang-tidy; configures the preset clang.
set -eu
cd "$(dirname "$0")/.."
cmake --preset clang > /dev/null
[ $# -gt 0 ] || set -- $(find core kernels autograd nn lgmsnet tools -name '*.cpp')
printf '%s\n' "$@" | xargs -P "$(nproc)" -n 1 clang-tidy -p build/clang --quiet
