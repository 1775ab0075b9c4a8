"""Writes a golden file: a network, an input, and everything that an independent engine must reproduce.

    python make_golden.py --rank 2 --out net_2d.safetensors                                # the published widths
    python make_golden.py --rank 3 --in-channels 1 --classes 2 --dims 4 4 8 8 8 \\
        --splits 4,4 4,4 4,4 4,4 --size 1 32 32 32 --steps 3 --out net_3d.safetensors

Weights and inputs are float32 numbers; whatever is computed from them is computed in float64.

    input                     [n, in_channels, *space]
    target                    2D: [n, classes, *space] of 0 and 1;  3D: int64 labels [n, *space]
    weights.KEY               the state dict before anything ran, norms and their statistics randomised
    eval.logits               evaluation mode
    eval.stage.NAME           output of every top-level module, evaluation mode            (with --stages)
    train.logits, train.loss  training mode, first forward from `weights`                  (unless --steps 0)
    train.grad.KEY            d loss / d parameter in the first step
    train.losses              [steps], the loss before each update
    train.weights.KEY         the state dict after all steps, running statistics included  (steps > 1)
    spread.NAME               for every computed tensor above, how far float32 rounding can move it: the largest
                              deviation of one float32 run and of four float64 runs whose weights and input were
                              moved by a random relative 2^-21 (ReLUs and max-pools that flip are in it)

Logits and losses are stored in float64, the rest in float32 unless --double. The same batch serves every step.
2D: bce_dice, SGD(0.02, momentum 0.9, weight decay 1e-4). 3D: dice_ce, AdamW(1e-3, weight decay 1e-5).
Metadata: `config` (JSON: the arguments of LGMSNet), `kind` ("network"), `steps`, `seed`, `torch`.

The comparison, with a the engine's tensor, b the stored one and G the largest magnitude among all train.grad.*
(biases in front of a norm have gradients that are zero but for rounding; G is 0 for what is not a gradient):

    float64 engine    max|a-b| <= (1e-9 + 2^-24 where b is stored in float32) * max(max|b|, 1e-3 G)
    float32 engine    max|a-b| <= 8 spread.NAME + 2^-18 max|b|

Integers are equal. What a file does not hold is reported as absent.
"""
import argparse
import copy
import json

import torch
from safetensors.torch import save_file

from lgmsnet import LGMSNet, bce_dice, dice_ce

ALWAYS_DOUBLE = {"eval.logits", "train.logits", "train.loss", "train.losses"}


def randomise_norms(net, generator):
    """A fresh network's norms are all ones and zeros, which hides mistakes."""
    def uniform(t, low, high):
        t.copy_(torch.rand(t.shape, generator=generator) * (high - low) + low)

    with torch.no_grad():
        for module in net.modules():
            if "Norm" not in type(module).__name__:
                continue
            if module._parameters.get("weight") is not None:
                uniform(module.weight, 0.5, 1.5)
                uniform(module.bias, -0.3, 0.3)
            if module._buffers.get("running_var") is not None:
                uniform(module.running_mean, -0.3, 0.3)
                uniform(module.running_var, 0.5, 2)


def run(net, x, target, steps, stages):
    """All computed tensors of the file, by name."""
    out = {}
    hooks = [m.register_forward_hook(lambda _, __, y, name=name: out.update({f"eval.stage.{name}": y}))
             for name, m in net.named_children() if stages]
    with torch.no_grad():
        out["eval.logits"] = net.eval()(x)
    for hook in hooks:
        hook.remove()
    if x.ndim == 4:
        loss_of, optimizer = bce_dice, torch.optim.SGD(net.parameters(), 0.02, momentum=0.9, weight_decay=1e-4)
    else:
        loss_of, optimizer = dice_ce, torch.optim.AdamW(net.parameters(), 1e-3, weight_decay=1e-5)
    net.train()
    losses = []
    for step in range(steps):
        logits = net(x)
        loss = loss_of(logits, target)
        losses.append(loss.detach())
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            out["train.logits"], out["train.loss"] = logits.detach(), losses[0]
            out.update({f"train.grad.{k}": p.grad.clone() for k, p in net.named_parameters()})
        optimizer.step()
    if steps:
        out["train.losses"] = torch.stack(losses)
    if steps > 1:
        out.update({f"train.weights.{k}": v.clone() for k, v in net.state_dict().items()})
    return out


def nudged(t, generator):
    return t * (1 + torch.empty_like(t).uniform_(-2.0 ** -21, 2.0 ** -21, generator=generator))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rank", type=int, choices=(2, 3), required=True)
    p.add_argument("--in-channels", type=int, default=3)
    p.add_argument("--classes", type=int, default=1)
    p.add_argument("--dims", type=int, nargs=5, default=[16, 32, 64, 128, 128])
    p.add_argument("--splits", nargs=4, default=["96,32", "96,32", "96,32", "48,16"], metavar="A,B")
    p.add_argument("--depths", type=int, nargs=3, default=[1, 1, 1])
    p.add_argument("--size", type=int, nargs="+", default=[2, 64, 96], help="batch, then space")
    p.add_argument("--steps", type=int, default=1)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--stages", action="store_true", help="store the output of every top-level module")
    p.add_argument("--double", action="store_true", help="store every computed tensor in float64")
    p.add_argument("--pth", help="write the weights with torch.save too")
    p.add_argument("--out", required=True)
    a = p.parse_args()

    torch.manual_seed(a.seed)
    generator = torch.Generator().manual_seed(a.seed + 1000)
    config = {"rank": a.rank, "in_channels": a.in_channels, "classes": a.classes, "dims": a.dims,
              "splits": [[int(n) for n in s.split(",")] for s in a.splits], "depths": a.depths}
    net = LGMSNet(**config)
    randomise_norms(net, generator)
    batch, *space = a.size
    x = torch.randn(batch, a.in_channels, *space, generator=generator)
    target = (torch.rand(batch, a.classes, *space, generator=generator) > 0.6).float() if a.rank == 2 \
        else torch.randint(a.classes, (batch, *space), generator=generator)
    tensors = {"input": x, "target": target, **{f"weights.{k}": v.clone() for k, v in net.state_dict().items()}}
    if a.pth:
        torch.save(net.state_dict(), a.pth)

    others = [run(copy.deepcopy(net), x, target, a.steps, a.stages)]
    net, x, target = net.double(), x.double(), target.double() if a.rank == 2 else target
    for _ in range(4):
        other = copy.deepcopy(net)
        with torch.no_grad():
            for parameter in other.parameters():
                parameter.copy_(nudged(parameter, generator))
        others.append(run(other, nudged(x, generator), target, a.steps, a.stages))
    for name, value in run(net, x, target, a.steps, a.stages).items():
        if value.is_floating_point():
            tensors[f"spread.{name}"] = torch.stack([(o[name].double() - value).abs().max() for o in others]).max()
            if not a.double and name not in ALWAYS_DOUBLE:
                value = value.float()
        tensors[name] = value
    save_file({k: v.detach().clone().contiguous() for k, v in tensors.items()}, a.out,
              metadata={"config": json.dumps(config), "kind": "network", "steps": str(a.steps), "seed": str(a.seed),
                        "torch": torch.__version__})


if __name__ == "__main__":
    main()
