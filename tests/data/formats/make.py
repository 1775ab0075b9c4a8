"""Made the files beside it, which the readers' tests and fuzzers start from. Needs torch, numpy and pillow.

Images are 5 rows of 7 pixels, R = 20 i + 5 j, G = 255 - R, B = 30 (grey: R).
"""
import collections
import os
import struct
import zipfile
import zlib

import numpy
import torch
import torch.utils.serialization
from PIL import Image

os.chdir(os.path.dirname(os.path.abspath(__file__)))
H, W = 5, 7
rgb = [(20 * i + 5 * j, 255 - 20 * i - 5 * j, 30) for i in range(H) for j in range(W)]


def image(mode, pixels):
    im = Image.new(mode, (W, H))
    im.putdata(pixels)
    return im


def png(name, depth, colour, interlace, raw):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    with open(name, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", W, H, depth, colour, 0, 0, interlace)) +
                chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))


colour, grey = image("RGB", rgb), image("L", [p[0] for p in rgb])
colour.save("rgb.png")
grey.save("grey.png")
image("RGBA", [p + (128,) for p in rgb]).save("rgba.png")
indexed = image("P", [i % 4 for i in range(H * W)])
indexed.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 9, 9, 9])
indexed.save("palette.png")
image("1", [255 * (i % 2) for i in range(H * W)]).save("one_bit.png")
png("grey16.png", 16, 0, 0, b"".join(
    b"\0" + b"".join(struct.pack(">H", 256 * rgb[i * W + j][0] + 77) for j in range(W)) for i in range(H)))
passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
png("interlaced.png", 8, 2, 1, b"".join(
    b"\0" + b"".join(bytes(rgb[i * W + j]) for j in range(x, W, dx))
    for y, x, dy, dx in passes if x < W for i in range(y, H, dy)))
colour.save("rgb.bmp")
grey.save("grey.bmp")
colour.save("baseline.jpg", quality=95, subsampling=0)
colour.save("subsampled.jpg", quality=95, subsampling=2)
colour.save("progressive.jpg", quality=95, subsampling=0, progressive=True)
grey.save("grey.jpg", quality=95)

w = torch.arange(6.).reshape(2, 3)
state = {"a": w, "transposed": w.t(), "columns": w[:, 1:], "count": torch.tensor(7), "double": w.double() / 2,
         "bytes": torch.tensor([1, 2], dtype=torch.uint8), "none": torch.empty(0, 3), "parameter": torch.nn.Parameter(w)}
torch.save(state, "state.pth")
torch.save({"state_dict": {"module." + k: v for k, v in state.items()}, "epoch": 3, "best": 0.5, "lists": [(1, None)]},
           "wrapped.pth", pickle_protocol=4)
torch.save(state, "legacy.pth", _use_new_zipfile_serialization=False)

# What training scripts keep beside the weights and torch.load(weights_only=True) reads, and more that is harmless.
model = torch.nn.Linear(2, 1)
optimizer = torch.optim.Adam(model.parameters())
model(torch.ones(1, 2)).sum().backward()
optimizer.step()
lists = collections.defaultdict(list, {"train": ["a"]})
extended = w.clone()
extended.note = "a tensor with an attribute"
training = {
    "model_state_dict": {"module._orig_mod.model." + k: v for k, v in {**state, "attribute": extended}.items()},
    "optimizer": optimizer.state_dict(),
    "scheduler": torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 5, 5]).state_dict(),
    "containers": [lists, collections.OrderedDict([(1, 2)]), collections.Counter("aab"), {1, 2}, frozenset([3, "a"]),
                   set(), collections.deque([1, 2], maxlen=5)],
    "integers": [2**63, -2**63, -2**64, 2**70, 2**3000, -1, 255, -129],
    "bytes": [b"", b"abc", b"x" * 300, bytearray(), bytearray(b"abc")],
    "torch": [torch.Size([1, 2]), torch.device("cuda:0"), torch.float16, torch.bfloat16, torch.strided, w.half(),
              w.to(torch.complex64), torch.eye(2).to_sparse(), torch.empty(2, device="meta"),
              torch.zeros(1, dtype=torch.uint16)],
    "python": [3j + 1, slice(1, 2, None), range(3), int, str, None, float("nan")],
    "numpy": [numpy.float64(1.5), numpy.int64(3), numpy.bool_(True), numpy.dtype("f4"), numpy.arange(3)],
}
for protocol in 2, 4, 5:
    torch.save(training, f"training{protocol}.pth", pickle_protocol=protocol)
torch.utils.serialization.config.save.compute_crc32 = False
torch.save(state, "no_crc.pth")
torch.utils.serialization.config.save.compute_crc32 = True

with zipfile.ZipFile("state.pth") as z, open("state.pkl", "wb") as f:
    f.write(z.read("state/data.pkl"))
