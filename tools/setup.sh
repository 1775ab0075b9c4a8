#!/bin/sh
# Installs what the build needs from the distribution's packages: where it runs as root, itself; otherwise it prints the
# one command that does. Quick and offline when nothing is missing.
set -eu
packages="g++ cmake ninja-build libeigen3-dev libstb-dev zlib1g-dev nlohmann-json3-dev libcli11-dev doctest-dev
libbenchmark-dev"
# A test compares with nibabel, clang compiles everything once more, and the format is looked at: not where these are
# missing, but always in CI.
[ -z "${CI:-}" ] || packages="$packages python3-nibabel clang clang-format"

if ! command -v apt-get > /dev/null; then
  echo "setup: no apt-get here. Needed (Debian's names): $(echo $packages). Going on in the hope that they are there." >&2
  exit 0
fi
missing=
for package in $packages; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null)" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
  echo "setup: packages are missing; this command installs them:" >&2
  echo "  sudo apt-get update && sudo apt-get install -y --no-install-recommends$missing" >&2
  exit 1
fi
echo "setup: installing$missing" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update >&2
apt-get -qq install -y --no-install-recommends $missing >&2
