#!/bin/sh
# Sets up, builds, finds nuclei in twelve pictures with the model that ships, trains a short run of its own on eight of
# them, and says where the pictures are. Some minutes on two cores; nothing is written outside build/.
set -eu
cd "$(dirname "$0")/.."
model=tests/data/nuclei.safetensors
data=tests/data/nuclei
out=build/demo
if [ ! -f "$model" ]; then
  echo "demo: expected the model that ships with the project at $model, found nothing; restore it from git" >&2
  exit 1
fi

./tools/setup.sh
echo "== building"
cmake --preset default
cmake --build --preset default -j "$(nproc)" --target lgmsnet
lgmsnet=build/default/lgmsnet
rm -rf "$out"

echo "== predicting with $model"
$lgmsnet predict -m "$model" -i "$data/images" -o "$out/predicted" --overlay -t 0
$lgmsnet eval -m "$model" --data "$data" --list val.txt -t 0

echo "== training a network from nothing, for a moment"
$lgmsnet train --data "$data" --train-list train.txt --val-list val.txt --size 128 --epochs 30 --batch 4 --out "$out/run" -t 0

echo
echo "The pictures are in"
echo "  $PWD/$out/predicted   masks, and *_overlay.png: what the model that ships found"
echo "  $PWD/$out/run         loss.svg, dice.svg; overlays/: what the short run learnt (white: the truth)"
