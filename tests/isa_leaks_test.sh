#!/bin/sh
# isa_leaks_test.sh OBJECT...: no object that is built for a higher instruction set offers an inline function. The linker
# keeps one of all that there are, and might keep that one for processors that cannot run it.
set -eu
leaks=$(nm -A "$@" | grep -E ' [WVu] ' || true)
if [ -n "$leaks" ]; then
  echo "expected no weak symbols in objects of a higher instruction set, got:" >&2
  echo "$leaks" >&2
  exit 1
fi
