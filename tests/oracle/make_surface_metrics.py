"""Writes label pairs and what MONAI and DeepMind's surface-distance say of them: OUT (surface_metrics.safetensors).

    python make_surface_metrics.py --out FILE [--hippocampus FOLDER]

Synthetic pairs are in the file, voxels and all. Of the real ones (labelsTr of FOLDER, Medical Segmentation Decathlon
Task04, CC BY-SA 4.0) it holds the scores alone: they are the labels of two patients, both cut to the common size that
starts at voxel 0. Arrays are [D, H, W], which is (k, j, i) of a NIfTI file.

    NAME.predicted, NAME.truth   u8 [D, H, W], labels 0 .. K - 1                        (synthetic pairs only)
    NAME.spacing                 f64 [3], mm along (D, H, W)
    NAME.counts                  i64 [K, 4]: tp, fp, fn, tn                              MONAI get_confusion_matrix
    NAME.scores                  f64 [K, 6]: dice, iou (1 where both are empty), precision, recall (NaN for 0 / 0),
                                 hd95_max, hd95_pooled (NaN where both are empty, infinite where one is). MONAI's
                                 compute_dice and compute_iou (ignore_empty=False), compute_confusion_matrix_metric;
                                 numpy's 95th percentiles of MONAI's get_edge_surface_distance, checked against
                                 compute_hausdorff_distance, whose ranks are float32: it may be 1e-5 off
    NAME.tolerances              f64 [T], mm
    NAME.surface_dice            f64 [K, T]         surface-distance compute_surface_dice_at_tolerance, NaN for 0 / 0

Real pairs are named PREDICTED+TRUTH, with "@" and a number where the spacing is not the file's. Metadata: versions.
"""
import argparse
import itertools
import os
import warnings
from importlib.metadata import version

import numpy as np

np.Inf, np.NaN = np.inf, np.nan         # surface-distance 0.1 is older than numpy 2
warnings.simplefilter("ignore")         # empty masks

import monai.metrics as mm              # noqa: E402
import surface_distance as sd           # noqa: E402
import torch                            # noqa: E402
from monai.metrics.utils import get_edge_surface_distance  # noqa: E402
from safetensors.numpy import save_file  # noqa: E402
from scipy import ndimage               # noqa: E402

TOLERANCES = [0.0, 0.7, 1.0, 2.5]


def blobs(rng, shape, classes, smooth, empty):
    """Smooth random labels; about the share `empty` of the voxels is background."""
    fields = [ndimage.gaussian_filter(rng.standard_normal(shape), smooth, mode="nearest") for _ in range(classes)]
    fields = np.stack([f / f.std() for f in fields])
    foreground = fields[0] > np.quantile(fields[0], empty)
    return np.where(foreground, 1 + fields[1:].argmax(0), 0).astype(np.uint8)


def disturbed(rng, labels, smooth):
    """The labels, moved here and there by some voxels."""
    places = np.indices(labels.shape).astype(float)
    for p in places:
        field = ndimage.gaussian_filter(rng.standard_normal(labels.shape), smooth, mode="nearest")
        p += 1.5 * field / field.std()
    return ndimage.map_coordinates(labels, places, order=0, mode="nearest")


def points(shape, *places):
    labels = np.zeros(shape, np.uint8)
    for place in places:
        labels[place] = 1
    return labels


def synthetic():
    """name -> (predicted, truth, spacing)"""
    rng = np.random.default_rng(7)
    small = (5, 6, 7)
    pairs = {}
    for name, shape, empty, spacing in [("blobs", (18, 20, 22), 0.8, (1, 1, 1)),
                                        ("anisotropic", (14, 20, 22), 0.8, (3.0, 0.78, 0.82)),
                                        ("borders", (16, 15, 17), 0.2, (0.9, 1.3, 2.2))]:
        truth = blobs(rng, shape, 3, 2.0, empty)
        pairs[name] = (disturbed(rng, truth, 2.0), truth, spacing)
    noise = [rng.integers(0, 2, (9, 10, 11)).astype(np.uint8) for _ in range(2)]
    pairs["noise"] = (*noise, (1.1, 0.9, 0.7))                      # all of the 256 pieces of surface
    pairs["same"] = (truth, truth, (0.9, 1.3, 2.2))
    ball = (np.square(np.indices((11, 12, 13)) - 5).sum(0) < 20).astype(np.uint8)
    pairs["shifted"] = (np.roll(ball, 1, 2), ball, (2.0, 1.0, 0.7))  # just at the tolerance 0.7
    pairs["voxels"] = (points(small, (1, 1, 1)), points(small, (3, 4, 5)), (2.5, 0.5, 1.5))
    pairs["same_voxel"] = (points(small, (2, 3, 3)), points(small, (2, 3, 3)), (2.5, 0.5, 1.5))
    pairs["corners"] = (points(small, (0, 0, 0)), points(small, (0, 0, 0), (4, 5, 6)), (1.0, 2.0, 3.0))
    pairs["missed"] = (points(small), points(small, (2, 2, 2)), (1, 1, 1))
    pairs["invented"] = (points(small, (2, 2, 2)), points(small), (1, 1, 1))
    pairs["full"] = (np.ones(small, np.uint8), np.ones(small, np.uint8) - points(small, (2, 3, 3)), (1, 1, 2))
    flat = blobs(rng, (1, 21, 23), 3, 2.0, 0.6)
    pairs["flat"] = (disturbed(rng, flat, 2.0), flat, (5.0, 0.7, 0.7))
    far = np.zeros((4, 5, 60), np.uint8)
    far[1:3, 1:4, 2:5] = 1
    pairs["outlier"] = (np.maximum(far, points(far.shape, (3, 0, 59))), far, (1.0, 1.0, 1.0))
    return pairs


def real(folder):
    import nibabel
    with open(os.path.join(folder, "val.txt")) as file:
        stems = file.read().split()

    def read(stem):
        image = nibabel.load(os.path.join(folder, "labelsTr", stem + ".nii.gz"))
        return np.asarray(image.dataobj).T.astype(np.uint8), [float(z) for z in image.header.get_zooms()[::-1]]

    pairs = {}
    for a, b in itertools.pairwise(stems[:7]):
        (x, spacing), (y, _) = read(a), read(b)
        box = tuple(slice(min(n)) for n in zip(x.shape, y.shape))
        pairs[f"{a}+{b}"] = (x[box], y[box], spacing)
        pairs[f"{a}+{b}@2"] = (x[box], y[box], (2.5, 0.625, 0.8))
    return pairs


def scored(predicted, truth, spacing):
    spacing = [float(s) for s in spacing]
    classes = int(max(predicted.max(), truth.max(), 1)) + 1
    one_hot = [torch.from_numpy(np.stack([labels == k for k in range(classes)])[None]) for labels in (predicted, truth)]
    p, t = [x.float() for x in one_hot]
    confusion = mm.get_confusion_matrix(p, t, include_background=True)[0]      # tp, fp, tn, fn
    ratio = {name: mm.compute_confusion_matrix_metric(name, confusion).double().numpy()
             for name in ("precision", "sensitivity")}
    monai_hd95 = mm.compute_hausdorff_distance(p, t, include_background=True, percentile=95, spacing=spacing)[0]
    hd95, surface = [], []
    for k in range(classes):
        _, mms, _ = get_edge_surface_distance(p[0, k], t[0, k], spacing=spacing, symmetric=True)
        mms = [x.double().numpy() for x in mms]
        both = all(x.any() for x in (p[0, k], t[0, k]))
        neither = not any(x.any() for x in (p[0, k], t[0, k]))
        if both:
            hd95.append([max(np.percentile(x, 95) for x in mms), np.percentile(np.concatenate(mms), 95)])
            assert abs(hd95[-1][0] - monai_hd95[k].item()) <= 1e-5 * max(1, hd95[-1][0]), (hd95[-1], monai_hd95[k])
        else:
            hd95.append([np.nan if neither else np.inf] * 2)
        distances = sd.compute_surface_distances(truth == k, predicted == k, spacing)
        surface.append([np.nan if neither else sd.compute_surface_dice_at_tolerance(distances, x) for x in TOLERANCES])
        ours = mm.compute_surface_dice(p[:, k:k + 1], t[:, k:k + 1], [TOLERANCES[-1]], include_background=True,
                                       spacing=spacing, use_subvoxels=True)
        assert not both or abs(ours.item() - surface[-1][-1]) < 1e-5, (ours, surface[-1])  # MONAI has that one too
    scores = [mm.compute_dice(p, t, include_background=True, ignore_empty=False)[0].double().numpy(),
              mm.compute_iou(p, t, include_background=True, ignore_empty=False)[0].double().numpy(),
              ratio["precision"], ratio["sensitivity"], *np.array(hd95).T]
    return {"spacing": np.array(spacing), "counts": confusion[:, [0, 1, 3, 2]].numpy().astype(np.int64),
            "scores": np.stack(scores, 1), "tolerances": np.array(TOLERANCES), "surface_dice": np.array(surface)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    parser.add_argument("--hippocampus", help="folder of the Decathlon's Task04; without it the real pairs are left out")
    arguments = parser.parse_args()
    tensors = {}
    for name, pair in synthetic().items():
        tensors.update({f"{name}.predicted": pair[0], f"{name}.truth": pair[1]})
        tensors.update({f"{name}.{key}": value for key, value in scored(*pair).items()})
    if arguments.hippocampus:
        for name, pair in real(arguments.hippocampus).items():
            tensors.update({f"{name}.{key}": value for key, value in scored(*pair).items()})
    metadata = {package: version(package) for package in ("monai", "surface-distance", "numpy", "scipy", "torch")}
    save_file({key: np.ascontiguousarray(value) for key, value in tensors.items()}, arguments.out, metadata)


if __name__ == "__main__":
    main()
