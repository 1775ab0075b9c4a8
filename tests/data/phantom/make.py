"""Makes the volumes beside it: a bent body with a thick head and a thin tail among balls as bright as it, on a smooth
background, in noise. Eight to learn from, four to be judged by. Needs numpy, scipy and nibabel."""
import json
import pathlib

import nibabel
import numpy
from scipy.ndimage import gaussian_filter

FOLDER = pathlib.Path(__file__).parent
AFFINE = numpy.array([[-0.98, 0.12, 0, 17], [0.12, 0.97, -0.2, -21], [0.02, 0.15, 1.28, -30], [0, 0, 0, 1]])
COUNT, TRAIN = 12, 8


def case(rng):
    shape = 36 + rng.integers(-2, 3), 44 + rng.integers(-3, 4), 30 + rng.integers(-2, 3)
    grid = numpy.stack(numpy.meshgrid(*map(numpy.arange, shape), indexing="ij"), axis=-1)
    middle, length = numpy.array(shape) / 2 + rng.uniform(-2, 2, 3), rng.uniform(24, 30)
    bend, turn, size = rng.uniform(3, 6), rng.uniform(-0.5, 0.5), rng.uniform(0.9, 1.15)
    label = numpy.zeros(shape, numpy.uint8)
    image = numpy.full(shape, 70.0)
    for _ in range(5):  # balls, which are not to be found
        ball = numpy.linalg.norm(grid - rng.uniform(0, 1, 3) * shape, axis=-1) < rng.uniform(2, 3.5)
        image[ball] = 125
    nearest = numpy.full(shape, numpy.inf)
    for t in numpy.linspace(0, 1, 60):
        along, across = (t - 0.5) * length, bend * numpy.sin(numpy.pi * t)
        centre = middle + [across * numpy.cos(turn), along, across * numpy.sin(turn)]
        distance = numpy.linalg.norm(grid - centre, axis=-1) / (size * (5.5 - 3 * t))
        closer = (distance < 1) & (distance < nearest)
        label[closer] = 1 if t < 0.45 else 2
        nearest = numpy.minimum(nearest, distance)
    image[label > 0] = 125
    image += 12 * gaussian_filter(rng.normal(size=shape), 4) / 0.02 ** 0.5 / 3
    image = gaussian_filter(image, 0.6) + rng.normal(scale=9, size=shape)
    return image.clip(0, 255).round().astype(numpy.uint8), label


def write(folder, stem, voxels):
    (FOLDER / folder).mkdir(exist_ok=True)
    image = nibabel.Nifti1Image(voxels, AFFINE)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, FOLDER / folder / f"{stem}.nii.gz")


stems = [f"phantom_{i:02}" for i in range(COUNT)]
for i, stem in enumerate(stems):
    voxels, truth = case(numpy.random.default_rng(i))
    write("imagesTr", stem, voxels)
    write("labelsTr", stem, truth)
(FOLDER / "train.txt").write_text("\n".join(stems[:TRAIN]) + "\n")
(FOLDER / "val.txt").write_text("\n".join(stems[TRAIN:]) + "\n")
(FOLDER / "dataset.json").write_text(json.dumps({
    "channel_names": {"0": "phantom"}, "labels": {"background": 0, "head": 1, "tail": 2}, "numTraining": COUNT,
    "file_ending": ".nii.gz"}, indent=1) + "\n")
