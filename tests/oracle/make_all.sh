#!/bin/sh
# Makes the golden files of ../data again. PYTHON: a Python that has what requirements.txt asks for.
set -eu
cd "$(dirname "$0")"
python=${PYTHON:-python3}
mkdir -p ../data/golden
"$python" make_golden.py --rank 2 --dims 8 12 16 16 16 --splits 8,8 8,8 8,8 8,8 --depths 2 1 1 --size 2 32 64 \
  --steps 2 --stages --seed 4 --out ../data/golden/net_2d.safetensors --pth ../data/golden/net_2d.pth
"$python" make_golden.py --rank 3 --in-channels 1 --classes 2 --dims 8 8 16 16 16 --splits 8,8 8,8 8,8 8,8 \
  --size 1 32 32 32 --steps 1 --seed 3 --out ../data/golden/net_3d.safetensors
"$python" make_blocks.py ../data/golden
chmod 644 ../data/golden/*
