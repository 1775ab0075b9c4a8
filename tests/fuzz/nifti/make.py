"""Writes the seeds of nifti_fuzz beside itself: a tiny volume for every branch of the reader."""
import gzip
import pathlib
import struct

FOLDER = pathlib.Path(__file__).parent


def volume(code, voxels, *, order="<", dim=(3, 3, 2, 2, 1, 1, 1, 1), slope=(0, 0), qform=0, sform=0, qfac=1,
           quaternion=(0, 0, 0), extension=b""):
    header = struct.pack(order + "i10s18sihcb8h3f4h8f3fhbb4f2i80s24s2h18f16s4s", 348, b"", b"", 0, 0, b"r", 0, *dim,
                         0, 0, 0, 0, code, 8 * struct.calcsize(voxels), 0, qfac, 1, 1.5, 2, 0, 0, 0, 0,
                         352 + len(extension), *slope, 0, 0, 2, 0, 0, 0, 0, 0, 0, b"", b"", qform, sform,
                         *quaternion, 1, 2, 3, -1, 0, 0, 4, 0, 0, 2, 5, 0, 1, 0, 6, b"", b"n+1")
    return header + bytes([bool(extension), 0, 0, 0]) + extension + struct.pack(order + "12" + voxels, *range(12))


SEEDS = {
    "u8.nii": volume(2, "B"),
    "i8.nii": volume(256, "b", sform=1),
    "i16_big_endian.nii": volume(4, "h", order=">", sform=2, slope=(2, -1024)),
    "u16.nii": volume(512, "H", qform=1, quaternion=(0.5, 0.5, 0.5), qfac=-1),
    "i32.nii": volume(8, "i", dim=(4, 3, 2, 2, 1, 1, 1, 1)),
    "u32.nii": volume(768, "I", dim=(5, 2, 2, 3, 1, 1, 0, 0)),
    "i64.nii": volume(1024, "q", extension=struct.pack("<ii8s", 16, 6, b"{}")),
    "u64.nii": volume(1280, "Q"),
    "f32_big_endian.nii": volume(16, "f", order=">", qform=1, quaternion=(1, 0, 0)),
    "f64.nii": volume(64, "d", slope=(0.5, 0)),
}

for name, contents in SEEDS.items():
    (FOLDER / name).write_bytes(contents)
(FOLDER / "u8.nii.gz").write_bytes(gzip.compress(SEEDS["u8.nii"], mtime=0))
half = len(SEEDS["f64.nii"]) // 2
(FOLDER / "two_members.nii.gz").write_bytes(gzip.compress(SEEDS["f64.nii"][:half], mtime=0) +
                                            gzip.compress(SEEDS["f64.nii"][half:], mtime=0))
