"""LGMSNet (arXiv 2508.15476) in PyTorch: what this project's own engine is checked against.

An independent description, written from the paper and from the layout of its checkpoints: module names are the
checkpoint's (misspellings included), so a published state dict loads with strict=True.

    net = LGMSNet(rank=2)                                   # 2,321,393 parameters, 372 tensors
    net = LGMSNet(rank=3, in_channels=1, classes=14)        # 6,193,742 parameters, 177 tensors

rank 3 is rank 2 with every spatial operation lifted by one dimension, and with instance norm (no parameters, no
running statistics) for batch norm everywhere but inside SplitConv.
"""
from itertools import chain

import torch
from torch import nn
from torch.nn import functional as F


def conv(rank, cin, cout, k, groups=1, bias=True):
    return (nn.Conv2d, nn.Conv3d)[rank - 2](cin, cout, k, padding=k // 2, groups=groups, bias=bias)


def batch_norm(rank, c):
    return (nn.BatchNorm2d, nn.BatchNorm3d)[rank - 2](c)


def norm(rank, c):
    return (nn.BatchNorm2d, nn.InstanceNorm3d)[rank - 2](c)


def conv_silu(rank, cin, cout, k):
    return nn.Sequential(conv(rank, cin, cout, k, bias=False), norm(rank, cout), nn.SiLU())


def max_pool(x):
    return (F.max_pool2d, F.max_pool3d)[x.ndim - 4](x, 2)


class ConvRelu(nn.Module):
    def __init__(self, rank, cin, cout):
        super().__init__()
        self.conv = nn.Sequential(conv(rank, cin, cout, 3), norm(rank, cout), nn.ReLU())

    def forward(self, x):
        return self.conv(x)


class Up(nn.Module):
    """Linear upsampling x2 (half-pixel centres), then a convolution."""

    def __init__(self, rank, cin, cout):
        super().__init__()
        self.up = nn.Sequential(nn.Upsample(scale_factor=2, mode=("bilinear", "trilinear")[rank - 2]),
                                conv(rank, cin, cout, 3), norm(rank, cout), nn.ReLU())

    def forward(self, x):
        return self.up(x)


class Fuse(nn.Module):
    """cin (two halves, concatenated) -> cout: a grouped convolution, then an inverted bottleneck. GELU before norm."""

    def __init__(self, rank, cin, cout):
        super().__init__()
        steps = [(cin, cin, 3, 2), (cin, 4 * cout, 1, 1), (4 * cout, cout, 1, 1)]     # from, to, kernel, groups
        self.conv = nn.Sequential(*chain(*((conv(rank, a, b, k, g), nn.GELU(), norm(rank, b)) for a, b, k, g in steps)))

    def forward(self, x):
        return self.conv(x)


class LMS(nn.Module):
    """Local multi-scale: a depthwise kernel of 3, 5, 7, 9 for each quarter of the channels, then a bottleneck."""

    def __init__(self, rank, c):
        super().__init__()
        q = c // 4
        self.local_dwc = conv(rank, q, q, 3, groups=q)
        self.global_dwc_s = conv(rank, q, q, 5, groups=q)
        self.global_dwc_m = conv(rank, q, q, 7, groups=q)
        self.global_dwc_l = conv(rank, q, q, 9, groups=q)
        self.norm_act = nn.Sequential(nn.GroupNorm(4, c), nn.GELU())
        self.conv_1x1_bn = conv_silu(rank, c, q, 1)
        self.conv_nxn_bn = conv_silu(rank, q, c, 3)

    def forward(self, x):
        a, b, c, d = x.chunk(4, dim=1)
        m = torch.cat([self.local_dwc(a), self.global_dwc_s(b), self.global_dwc_m(c), self.global_dwc_l(d)], dim=1)
        return x + self.conv_nxn_bn(self.conv_1x1_bn(self.norm_act(m + x)))


def split_grid(t, heads):
    """[n, *space, heads * e] -> [n, 2^rank, heads, tokens, e]: pixels at one place of their 2x2(x2) patch together."""
    n, *space, _ = t.shape
    r = len(space)
    t = t.reshape(n, *chain(*((s // 2, 2) for s in space)), heads, -1)
    places, cells = range(2, 2 * r + 1, 2), range(1, 2 * r, 2)
    return t.permute(0, *places, 2 * r + 1, *cells, 2 * r + 2).reshape(n, 2 ** r, heads, -1, t.shape[-1])


def join_grid(t, space):
    """The inverse of split_grid."""
    n, _, heads, _, e = t.shape
    r = len(space)
    t = t.reshape(n, *[2] * r, heads, *[s // 2 for s in space], e)
    pairs = chain(*((r + 2 + i, 1 + i) for i in range(r)))
    return t.permute(0, *pairs, r + 1, 2 * r + 2).reshape(n, *space, heads * e)


class Attention(nn.Module):
    def __init__(self, width, heads=4, head_dim=8):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.to_qkv = nn.Linear(width, 3 * heads * head_dim, bias=False)
        self.to_out = nn.Sequential(nn.Linear(heads * head_dim, width))

    def forward(self, t):                                                       # [n, *space, width]
        q, k, v = (split_grid(part, self.heads) for part in self.to_qkv(self.norm(t)).chunk(3, dim=-1))
        return self.to_out(join_grid(F.scaled_dot_product_attention(q, k, v), t.shape[1:-1]))


class FeedForward(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.net = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden), nn.SiLU(),
                                 nn.Identity(), nn.Linear(hidden, width))

    def forward(self, t):
        return self.net(t)


class Transformer(nn.Module):
    """One layer over pixels as tokens; attention stays inside the 4 (8) interleaved sub-grids."""

    def __init__(self, width, hidden):
        super().__init__()
        self.layers = nn.ModuleList([nn.ModuleList([Attention(width), FeedForward(width, hidden)])])

    def forward(self, x):
        t = x.movedim(1, -1)
        for attention, feed_forward in self.layers:
            t = t + attention(t)
            t = t + feed_forward(t)
        return t.movedim(-1, 1)


class SplitConv(nn.Module):
    """A depthwise k3, then a scale per channel; batch norms in 3D too."""

    def __init__(self, rank, c):
        super().__init__()
        k3, k1 = "x".join("3" * rank), "x".join("1" * rank)
        self.names = "dwconv" + k3, "dwconv" + k1
        self.add_module(self.names[0], conv(rank, c, c, 3, groups=c, bias=False))
        self.bn1 = batch_norm(rank, c)
        self.add_module(self.names[1], conv(rank, c, c, 1, groups=c, bias=False))
        self.bn2 = batch_norm(rank, c)

    def forward(self, x):
        k3, k1 = (self.get_submodule(name) for name in self.names)
        return self.bn2(k1(self.bn1(k3(x)).relu()))


class GMS(nn.Module):
    """Global multi-scale: attention on the first split[0] channels, a small convolution on the others."""

    def __init__(self, rank, cin, split):
        super().__init__()
        self.split, w = list(split), sum(split)
        self.conv1 = conv_silu(rank, cin, w, 3)
        self.conv2 = conv_silu(rank, w, w, 1)
        self.transformer = Transformer(split[0], 2 * w)
        self.conv3 = conv_silu(rank, w, w, 1)
        self.conv4 = conv_silu(rank, cin + w, w, 3)
        self.conv_spilt = SplitConv(rank, split[1])

    def forward(self, y):
        p, q = self.conv2(self.conv1(y)).split(self.split, dim=1)
        x = self.conv3(torch.cat([self.transformer(p), q + self.conv_spilt(q)], dim=1))
        return self.conv4(torch.cat([x, y], dim=1))


class LGMSNet(nn.Module):
    def __init__(self, rank=2, in_channels=3, classes=1, dims=(16, 32, 64, 128, 128),
                 splits=((96, 32), (96, 32), (96, 32), (48, 16)), depths=(1, 1, 1)):
        super().__init__()
        c1, c2, c3, c4, c5 = dims
        self.stem = ConvRelu(rank, in_channels, c1)
        for i, (cin, cout, depth) in enumerate(zip((c1, c1, c2), (c1, c2, c3), depths), start=1):
            blocks = [LMS(rank, cin) for _ in range(depth)]
            self.add_module(f"encoder{i}", nn.Sequential(*blocks, conv_silu(rank, cin, cout, 1)))
        self.encoder4 = nn.Sequential(GMS(rank, c3, splits[0]))
        self.encoder5 = nn.Sequential(GMS(rank, c4, splits[1]))
        self.Up5 = Up(rank, c5, c4)
        self.Up_conv5 = GMS(rank, 2 * c4, splits[2])
        self.Up4 = Up(rank, c4, c3)
        self.Up_conv4 = nn.Sequential(Fuse(rank, 2 * c3, c3), GMS(rank, c3, splits[3]))
        self.Up3 = Up(rank, c3, c2)
        self.Up_conv3 = Fuse(rank, 2 * c2, c2)
        self.Up2 = Up(rank, c2, c1)
        self.Up_conv2 = Fuse(rank, 2 * c1, c1)
        self.Conv_1x1 = conv(rank, c1, classes, 1)

    def forward(self, x):
        s1 = self.encoder1(self.stem(x))
        s2 = self.encoder2(max_pool(s1))
        s3 = self.encoder3(max_pool(s2))
        s4 = self.encoder4(max_pool(s3))
        s5 = self.encoder5(max_pool(s4))
        y = self.Up_conv5(torch.cat([s4, self.Up5(s5)], dim=1))
        y = self.Up_conv4(torch.cat([s3, self.Up4(y)], dim=1))
        y = self.Up_conv3(torch.cat([s2, self.Up3(y)], dim=1))
        y = self.Up_conv2(torch.cat([s1, self.Up2(y)], dim=1))
        return self.Conv_1x1(y)


def bce_dice(logits, target):
    """2D: half the binary cross-entropy plus the soft Dice loss; target has the shape of logits, values in [0, 1]."""
    s, t = logits.sigmoid().flatten(1), target.flatten(1)
    dice = (2 * (s * t).sum(1) + 1e-5) / (s.sum(1) + t.sum(1) + 1e-5)
    return 0.5 * F.binary_cross_entropy_with_logits(logits, target) + 1 - dice.mean()


def dice_ce(logits, labels):
    """3D: soft Dice over all classes with squared sums, plus cross-entropy; labels are integers [n, *space]."""
    p = logits.softmax(1).flatten(2)
    t = F.one_hot(labels.flatten(1), logits.shape[1]).mT.to(p)
    dice = 2 * (p * t).sum(2) / ((p * p).sum(2) + (t * t).sum(2) + 1e-6)
    return 1 - dice.mean() + F.cross_entropy(logits, labels)
