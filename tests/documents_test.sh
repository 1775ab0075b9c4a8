#!/bin/sh
# Every file that a document names in backquotes exists: `kernels/impl.h` from the root or the document's folder,
# `impl.h` anywhere. <op> and the like stand for any. Every row that a *_loops.h makes has its twins tested. $1: the root.
set -eu
cd "$1"
files=$(find . -path ./build -prune -o -path ./.git -prune -o -type f -print | sed 's|^\./||')
missing=0 named=0
for document in $(echo "$files" | grep '\.md$'); do
  # Of other programs, of users, or of the published code.
  for name in $(grep -o '`[^` ]*`' "$document" | tr -d '`' | grep -E '^[][A-Za-z0-9_.<>*/-]+\.(h|cpp|md|sh|py|cmake|txt)$' |
    grep -vE '^network(_3d)?/' | sort -u); do
    named=$((named + 1))
    pattern=$(echo "$name" | sed -e 's/[.]/\\./g' -e 's/<[a-z]*>/[a-z0-9_]*/g' -e 's/[*]/[a-z0-9_]*/g')
    folder=$(dirname "$document")
    if ! echo "$files" | grep -qE "^($folder/)?$pattern\$" && { case "$name" in */*) true ;; *) ! echo "$files" | grep -qE "(^|/)$pattern\$" ;; esac; }; then
      echo "$document: $name is named, but is not there"
      missing=1
    fi
  done
done
rows=0
for row in $(grep -ho 'LGMS_ROW([a-z0-9_]*)(' kernels/*/*_loops.h kernels/*/*/*_loops.h | sed 's/.*ROW(\(.*\))(/\1/'); do
  rows=$((rows + 1))
  if ! grep -q "LGMS_TWINS([^,]*, $row)\|[ ,]${row}_twin16[,;]" tests/simd_twins_test.cpp; then
    echo "tests/simd_twins_test.cpp: nothing runs $row with every number of lanes"
    missing=1
  fi
done
echo "$named names looked up, $rows rows"
[ "$named" -gt 100 ] && [ "$rows" -gt 20 ] && [ "$missing" -eq 0 ]
