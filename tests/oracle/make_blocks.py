"""Writes golden files of the network's blocks, one by one, and of the two losses: FOLDER/BLOCK_RANKd.safetensors.

    python make_blocks.py FOLDER

Weights, input and cotangent are float32 numbers; whatever is computed from them is computed and stored in float64.
Tensors are in PyTorch's order, keys are relative to the block.

    input                   [n, channels, *space]
    target                  losses only: bce_dice [n, classes, *space] of 0 and 1; dice_ce int64 labels [n, *space]
    weights.KEY             parameters and statistics, before anything ran
    cotangent               of the output, random; a scalar for the losses
    eval.output             evaluation mode                                              (blocks only)
    train.output            training mode, from `weights`
    train.grad.input        d <cotangent, output> / d input, in training mode
    train.grad.KEY          and d parameter
    train.weights.KEY       running statistics after that one forward pass

Metadata: `kind` (the block), `config` (JSON: rank and the arguments below), `torch`.
"""
import argparse
import json
import os

import torch
from safetensors.torch import save_file

import lgmsnet as net
from make_golden import randomise_norms

# kind -> (module or loss of (rank, **arguments), arguments). Quarters of 3 and widths that no vector divides.
BLOCKS = {
    "conv_relu": (lambda rank, cin, cout: net.ConvRelu(rank, cin, cout), dict(cin=3, cout=12)),
    "lms": (lambda rank, c: net.LMS(rank, c), dict(c=12)),
    "gms": (lambda rank, cin, split: net.GMS(rank, cin, split), dict(cin=8, split=[12, 4])),
    "split_conv": (lambda rank, c: net.SplitConv(rank, c), dict(c=6)),
    "transformer": (lambda rank, width, hidden: net.Transformer(width, hidden), dict(width=20, hidden=24)),
    "fuse": (lambda rank, cin, cout: net.Fuse(rank, cin, cout), dict(cin=12, cout=6)),
    "up": (lambda rank, cin, cout: net.Up(rank, cin, cout), dict(cin=10, cout=6)),
}
SPACE = {2: (6, 10), 3: (4, 2, 6)}      # even, as the transformer needs; no two alike
BATCH = 2


def block(kind, rank, generator):
    make, arguments = BLOCKS[kind]
    torch.manual_seed(17)
    module = make(rank, **arguments)
    randomise_norms(module, generator)
    channels = next(v for k, v in arguments.items() if k in ("cin", "c", "width"))
    x = torch.randn(BATCH, channels, *SPACE[rank], generator=generator)
    tensors = {"input": x, **{f"weights.{k}": v.clone() for k, v in module.state_dict().items()}}

    module, x = module.double(), x.double().requires_grad_()
    with torch.no_grad():
        tensors["eval.output"] = module.eval()(x)
    y = module.train()(x)
    tensors["cotangent"] = torch.randn(y.shape, generator=generator)
    y.backward(tensors["cotangent"].double())
    tensors.update({"train.output": y, "train.grad.input": x.grad})
    tensors.update({f"train.grad.{k}": p.grad for k, p in module.named_parameters()})
    tensors.update({f"train.weights.{k}": b for k, b in module.named_buffers()})
    return tensors, arguments


def loss(kind, classes, generator):
    rank = 2 if kind == "bce_dice" else 3
    logits = torch.randn(BATCH, classes, *SPACE[rank], generator=generator) * 3
    target = (torch.rand(logits.shape, generator=generator) > 0.6).float() if rank == 2 \
        else torch.randint(classes - 1, (BATCH, *SPACE[rank]), generator=generator)     # the last class is absent
    tensors = {"input": logits, "target": target, "cotangent": torch.tensor(1.5)}
    x = logits.double().requires_grad_()
    y = getattr(net, kind)(x, target.double() if rank == 2 else target)
    y.backward(tensors["cotangent"].double())
    tensors.update({"train.output": y, "train.grad.input": x.grad})
    return tensors, {"classes": classes}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder")
    folder = p.parse_args().folder
    os.makedirs(folder, exist_ok=True)
    generator = torch.Generator().manual_seed(1)

    def save(kind, rank, tensors, arguments):
        save_file({k: v.detach().clone().contiguous() for k, v in tensors.items()},
                  os.path.join(folder, f"{kind}_{rank}d.safetensors"),
                  metadata={"kind": kind, "config": json.dumps({"rank": rank, **arguments}), "torch": torch.__version__})

    for kind in BLOCKS:
        for rank in (2, 3):
            save(kind, rank, *block(kind, rank, generator))
    save("bce_dice", 2, *loss("bce_dice", 3, generator))
    save("dice_ce", 3, *loss("dice_ce", 4, generator))


if __name__ == "__main__":
    main()
