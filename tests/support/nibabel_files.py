"""nibabel's side of nibabel_test: `write FOLDER` makes volumes of many kinds and says what is in them; `check FOLDER`
compares the masks that we wrote with the volumes that they belong to. Needs the distribution's python3-nibabel."""
import json
import pathlib
import sys

import nibabel
import numpy
from nibabel.orientations import io_orientation

TYPES = ["uint8", "int16", "int32", "float32", "float64", "int8", "uint16", "uint32", "int64", "uint64"]


def rotation(rng, most):
    """A turn about a random axis, by `most` at most (radians)."""
    axis = rng.normal(size=3)
    axis /= numpy.linalg.norm(axis)
    x, y, z = axis * rng.uniform(-most, most)
    skew = numpy.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    series, term = numpy.eye(3), numpy.eye(3)
    for i in range(1, 30):
        term = term @ skew / i
        series = series + term
    return series


def affines(rng):
    """The columns point along the axes in every order and direction, a little oblique; some are sheared."""
    for order in [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]:
        for signs in range(8):
            columns = numpy.eye(3)[:, order] * [1 - 2 * (signs >> i & 1) for i in range(3)]
            affine = numpy.eye(4)
            affine[:3, :3] = rotation(rng, 0.5) @ columns * rng.uniform(0.3, 4, size=3)
            if signs % 4 == 3:
                affine[:3, 1] += 0.1 * affine[:3, 2]
            affine[:3, 3] = rng.uniform(-200, 200, size=3)
            yield affine


def write(folder):
    rng = numpy.random.default_rng(1)
    for case, affine in enumerate(affines(rng)):
        dtype = numpy.dtype(TYPES[case % len(TYPES)]).newbyteorder("<>"[case // len(TYPES) % 2])
        shape = tuple(rng.integers(2, 7, size=3)) + (1,) * (case % 3)
        if dtype.kind == "f":
            stored = rng.normal(scale=100, size=shape).astype(dtype)
        else:
            limits = numpy.iinfo(dtype)
            native = dtype.newbyteorder("=")
            stored = rng.integers(limits.min, limits.max, size=shape, dtype=native, endpoint=True).astype(dtype)
        image = nibabel.Nifti1Image(stored, affine, dtype=dtype)
        header = image.header
        header.set_xyzt_units("mm" if case % 2 else "micron", "sec")
        # sform alone, qform alone (which has no shear), or both and different ones.
        if case % 3 == 0:
            header.set_qform(None, 0)
            header.set_sform(affine, case % 4 + 1)
        elif case % 3 == 1:
            header.set_qform(affine, case % 4 + 1, strip_shears=True)
            header.set_sform(None, 0)
        else:
            header.set_qform(numpy.diag([2.0, 3, 4, 1]), 1)
            header.set_sform(affine, 2)
        header["descrip"] = b"case %d" % case
        header["cal_max"] = 5
        if case % 2:
            header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"x" * (37 * case)))
        header = header.as_byteswapped(dtype.byteorder if dtype.byteorder in "<>" else "<")
        image = nibabel.Nifti1Image(stored, None, header)
        image.set_data_dtype(dtype)
        if case % 4 >= 2:  # the stored bytes stay, what they mean changes
            image.header.set_slope_inter(0.5 + case, -3.25 * case)
        path = folder / f"case_{case:02}.nii{'.gz' if case % 2 else ''}"
        nibabel.save(image, path)

        read = nibabel.load(path)
        values = read.get_fdata(dtype=numpy.float64).astype(numpy.float32)
        values.ravel(order="F").tofile(path.parent / f"case_{case:02}.f32")
        millimetres = read.affine[:3] * (1 if case % 2 else 0.001)
        text = [*values.shape[:3], *(value.hex() for value in millimetres.ravel().tolist()),
                *io_orientation(read.affine).astype(int).ravel().tolist()]
        (folder / f"case_{case:02}.txt").write_text(" ".join(map(str, text)))


def check(folder):
    paths = sorted(folder.glob("case_*.nii*"))
    for path in paths:
        image, mask = nibabel.load(path), nibabel.load(folder / ("mask_" + path.name))
        ours, theirs = mask.header, image.header
        assert mask.shape == image.shape, path
        assert mask.get_data_dtype() == numpy.uint8, path
        assert numpy.array_equal(mask.affine, image.affine), path
        for field in ("qform_code", "sform_code", "pixdim", "quatern_b", "quatern_c", "quatern_d", "qoffset_x",
                      "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z", "xyzt_units", "dim", "descrip",
                      "intent_code", "toffset"):
            assert numpy.array_equal(ours[field], theirs[field]), (path, field)
        assert ours.get_slope_inter() in ((None, None), (1.0, 0.0)), path
        voxels = numpy.asarray(mask.dataobj).ravel(order="F")
        assert numpy.array_equal(voxels, numpy.arange(voxels.size) * 7 % 256), path
        assert len(ours.extensions) == 1 and ours.extensions[0].get_code() == 6, path
        names = json.loads(ours.extensions[0].get_content().rstrip(b"\0"))
        assert names == {"labels": {"0": "background", "1": "with \"quotes\"", "2": "\u00e9"}}, path

        values = nibabel.load(folder / ("values_" + path.name))
        assert numpy.array_equal(values.affine, image.affine) and values.shape == image.shape, path
        assert values.get_data_dtype() == numpy.float32, path
        expected = numpy.fromfile(folder / (path.name.split(".")[0] + ".f32"), numpy.float32)
        assert numpy.array_equal(numpy.asarray(values.dataobj).ravel(order="F"), expected), path
    print(len(paths))


if __name__ == "__main__":
    {"write": write, "check": check, "there": lambda folder: None}[sys.argv[1]](pathlib.Path(sys.argv[2]))
