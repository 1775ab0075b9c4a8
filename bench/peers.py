#!/usr/bin/env python3
"""The peers of compare.py: how each is set up, held to a precision and to a number of threads, and asked to compute.

    python peers.py PEER RANK CASE THREADS FILE OUTPUTS     # what compare.py starts: one peer, one process
"""
import importlib
import json
import os
import subprocess
import sys
import time
from typing import Callable, NamedTuple

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ORACLE = os.path.join(ROOT, "tests", "oracle")
CASES = ("inference", "training")
CHANNELS = {2: (3, 1), 3: (1, 14)}          # of the input, and classes
WARM_UP = {2: 3, 3: 1}                      # runs after the first


class Task(NamedTuple):
    peer: str
    rank: int
    case: str
    threads: int
    path: str                               # the file with weights, input and target

    def input(self):
        from safetensors.numpy import load_file
        return load_file(self.path)["input"]

    def onnx(self):
        path = onnx_of(self.path)
        if not os.path.exists(path):
            raise FileNotFoundError("PyTorch could not export the network to ONNX")
        return path


def onnx_of(path):
    """The case's network, beside its weights."""
    return os.path.splitext(path)[0] + ".onnx"


# Each of these makes a function that computes the case once and returns its outputs.

def onnxruntime(task):
    import onnxruntime as ort
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = task.threads, 1
    session = ort.InferenceSession(task.onnx(), options, providers=["CPUExecutionProvider"])
    feed = {"input": task.input()}
    return lambda: {"logits": session.run(["logits"], feed)[0]}


def openvino(task):
    import openvino as ov
    precision = "bf16" if "bf16" in task.peer else "f32"
    settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": task.threads, "NUM_STREAMS": 1,
                "PERFORMANCE_HINT": "LATENCY"}
    request = ov.Core().compile_model(task.onnx(), "CPU", settings).create_infer_request()
    feed = {"input": task.input()}
    return lambda: {"logits": request.infer(feed, share_inputs=True, share_outputs=True)["logits"]}


def mnn(task):
    # Not the wheel's mnnconvert: that one installs a package with whatever pip it finds, and reports to its makers.
    subprocess.run([sys.executable, "-c", "import _tools, sys; _tools.mnnconvert(sys.argv)", "-f", "ONNX",
                    "--modelFile", task.onnx(), "--MNNModel", f"{task.onnx()}.mnn"], check=True)
    import MNN
    runtime = MNN.nn.create_runtime_manager(({"backend": "CPU", "numThread": task.threads, "precision": "high"},))
    net = MNN.nn.load_module_from_file(f"{task.onnx()}.mnn", ["input"], ["logits"], runtime_manager=runtime)
    x = task.input()
    feed = MNN.expr.placeholder(list(x.shape), MNN.expr.NCHW)
    feed.write(x)
    return lambda: {"logits": net.forward(feed).read()}


def pytorch(task):
    import torch
    from safetensors.torch import load_file
    sys.path.insert(0, ORACLE)
    from lgmsnet import LGMSNet, bce_dice, dice_ce

    torch.set_num_threads(task.threads)
    torch.set_float32_matmul_precision("highest")
    file = load_file(task.path)
    last = torch.channels_last if task.rank == 2 else torch.channels_last_3d
    layout = last if "channels_last" in task.peer else torch.contiguous_format
    net = LGMSNet(task.rank, *CHANNELS[task.rank])
    net.load_state_dict({k.removeprefix("weights."): v for k, v in file.items() if k.startswith("weights.")})
    net = net.to(memory_format=layout).train(task.case == "training")
    if "compile" in task.peer:
        import torch._inductor.config
        torch._inductor.config.freezing = task.case == "inference"
        net.compile()
    x, target = file["input"].contiguous(memory_format=layout), file["target"]
    loss_of = bce_dice if task.rank == 2 else dice_ce
    optimizer = torch.optim.SGD(net.parameters(), 0.02, momentum=0.9, weight_decay=1e-4) if task.rank == 2 else \
        torch.optim.AdamW(net.parameters(), 1e-3, weight_decay=1e-5)

    @torch.inference_mode()
    def inference():
        with torch.autocast("cpu", torch.bfloat16, enabled="bf16" in task.peer):
            return {"logits": net(x).float()}

    def training():
        optimizer.zero_grad(set_to_none=True)
        logits = net(x)
        loss = loss_of(logits, target)
        loss.backward()
        optimizer.step()
        return {"logits": logits.detach(), "loss": loss.detach()}

    return {"inference": inference, "training": training}[task.case]


class Peer(NamedTuple):
    title: str
    package: str                            # which is also the module's name
    precision: str
    prepare: Callable
    cases: tuple[str, ...]                  # where it is measured unless --peers says what is
    bf16: bool = False


TORCH_PRECISION = "f32, matmul precision highest"
PEERS = {
    "onnxruntime": Peer("ONNX Runtime", "onnxruntime", "f32, has no other", onnxruntime, ("inference",)),
    "openvino": Peer("OpenVINO", "openvino", "f32, INFERENCE_PRECISION_HINT", openvino, ("inference",)),
    "mnn": Peer("MNN", "MNN", "f32, precision high", mnn, ("inference",)),
    "contiguous": Peer("PyTorch contiguous", "torch", TORCH_PRECISION, pytorch, CASES),
    "channels_last": Peer("PyTorch channels_last", "torch", TORCH_PRECISION, pytorch, CASES),
    "compile": Peer("PyTorch compile", "torch", TORCH_PRECISION, pytorch, ("training",)),
    "compile channels_last": Peer("PyTorch compile channels_last", "torch", TORCH_PRECISION, pytorch, CASES),
    "openvino bf16": Peer("OpenVINO", "openvino", "bf16, INFERENCE_PRECISION_HINT", openvino, ("inference",), True),
    "channels_last bf16": Peer("PyTorch channels_last", "torch", "bf16, autocast", pytorch, ("inference",), True),
    "compile channels_last bf16": Peer("PyTorch compile channels_last", "torch", "bf16, autocast", pytorch,
                                       ("inference",), True),
}


def peak_mib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024


def work(task, outputs):
    """A peer's process: says "ready" when warm, then makes a run and says its milliseconds for every line read."""
    import numpy
    from safetensors.numpy import save_file
    referee = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)                           # libraries print what they like to standard output
    importlib.import_module(PEERS[task.peer].package)
    imported = peak_mib()
    run = PEERS[task.peer].prepare(task)
    save_file({k: numpy.array(v, order="C") for k, v in run().items()}, outputs)
    for _ in range(WARM_UP[task.rank]):
        run()
    print("ready", file=referee)
    for _ in sys.stdin:
        start = time.perf_counter()
        run()
        print(1000 * (time.perf_counter() - start), file=referee)
    print(json.dumps({"peak_mib": peak_mib(), "import_mib": imported}), file=referee)


if __name__ == "__main__":
    peer, rank, case, threads, path, outputs = sys.argv[1:]
    work(Task(peer, int(rank), case, int(threads), path), outputs)
