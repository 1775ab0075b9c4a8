#!/bin/sh
# Which lines the tests reach, by file, as build/coverage/lines.txt (and .html beside it). Arguments go to ctest.
set -eu
cd "$(dirname "$0")/.."
./tools/setup.sh
if ! command -v gcovr > /dev/null; then
  echo "coverage: expected gcovr; install it: sudo apt-get install gcovr" >&2
  exit 1
fi
cmake --preset coverage
cmake --build --preset coverage -j "$(nproc)"
find build/coverage -name '*.gcda' -delete
ctest --preset coverage -j "$(nproc)" "$@" || echo "coverage: some tests failed; going on" >&2
gcovr -r . build/coverage --exclude tests/ --exclude build/ --html-details build/coverage/lines.html \
  --txt build/coverage/lines.txt
tail -n 3 build/coverage/lines.txt
