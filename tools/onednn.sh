#!/bin/sh
# Puts oneDNN 3 from PyPI into build/onednn, where builds look for it. onednn.sh: the last wheel for CPUs alone, 3.2, with
# OpenMP (40 MB). onednn.sh latest: the current one, which needs SYCL, OpenCL and TBB (600 MB, 2 GB on disk).
set -eu
cd "$(dirname "$0")/.."
case "${1:-}" in
  "") packages="onednn-devel-cpu-gomp" ;;
  latest) packages="onednn-devel tbb-devel" ;;
  *) echo "usage: tools/onednn.sh [latest]" >&2 && exit 2 ;;
esac
rm -rf build/onednn
python3 -m pip install --quiet --disable-pip-version-check --no-warn-script-location --root-user-action=ignore \
  --timeout 30 --retries 2 --prefix "$PWD/build/onednn" $packages
echo "oneDNN is in build/onednn; configure again, and --provider onednn is there"
