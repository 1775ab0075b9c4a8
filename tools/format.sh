#!/bin/sh
# Formats the files given, or all; --check only says which are not formatted, and fails then. By clang-format 14: others
# lay some lines out differently.
set -eu
cd "$(dirname "$0")/.."
mode=-i
if [ "${1:-}" = --check ]; then mode="--dry-run --Werror" && shift; fi
format=$(command -v clang-format-14 || command -v clang-format || true)
case "$([ -z "$format" ] || "$format" --version)" in
  *"version 14."*) ;;
  *) echo "format: no clang-format 14 here (Debian: clang-format-14); nothing is checked" >&2 && exit 0 ;;
esac
[ $# -gt 0 ] || set -- $(find core kernels autograd nn lgmsnet tools tests bench -name '*.h' -o -name '*.cpp')
"$format" $mode "$@"
