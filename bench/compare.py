#!/usr/bin/env python3
"""The whole network against PyTorch: time and memory of an inference and of a training step.

    python3 bench/compare.py                                   # builds, sets PyTorch up in build/compare-env, measures
    python3 bench/compare.py --python /path/to/python          # one that has torch, numpy and safetensors
    python3 bench/compare.py --program build/default/lgmsnet --threads 1 --runs 40 --json result.json
    python3 bench/compare.py --rank 3 --runs 5                 # 96x96x96, 14 classes, dice and cross-entropy, AdamW

Every contestant is a process of its own: our program, and PyTorch in each of its modes. All get the same file with
weights, input and target. First each computes its outputs (logits; in training the loss too). Ours must be as near to
PyTorch's in double as float32 allows, or nothing is measured; the deviation of each mode of PyTorch is printed, and one
that is too large (channels_last_3d on AVX2: 1e-3) is marked. Then all are warmed up; then they are measured in turns, one run each per
round, so that a slow moment of the machine meets all of them. While one runs, the others wait for a line on their
standard input. Peak memory is VmHWM of the process at its end: PyTorch's includes the import of torch.
"""
import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MODES = ("contiguous", "channels_last", "compile", "compile channels_last")
CASES = ("inference", "training")
BATCH = {2: {"inference": 1, "training": 4}, 3: {"inference": 1, "training": 1}}
SIZE = {2: 256, 3: 96}
CHANNELS = {2: (3, 1), 3: (1, 14)}          # of the input, and classes
WARM_UP = {2: 3, 3: 1}                      # runs after the first
TOLERANCE = 5e-4                            # of the largest logit, and of the loss


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--program", help="an lgmsnet that is built already")
    p.add_argument("--python", help="a Python with torch, numpy and safetensors; default: build/compare-env")
    p.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    p.add_argument("--modes", nargs="*", choices=MODES, default=list(MODES), help="of PyTorch")
    p.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    p.add_argument("--rank", type=int, choices=(2, 3), default=2, help="images or volumes (default 2)")
    p.add_argument("--size", type=int, help="all sides (default 256 in 2D, 96 in 3D)")
    p.add_argument("--runs", type=int, default=20, help="measured runs of every contestant (default 20)")
    p.add_argument("--json", metavar="FILE", help="write all samples too")
    p.add_argument("--worker", nargs=6, help=argparse.SUPPRESS)
    a = p.parse_args()
    a.size = a.size or SIZE[a.rank]
    return a


def python_with_torch():
    """The interpreter of build/compare-env, which is made where it does not exist."""
    folder = os.path.join(ROOT, "build", "compare-env")
    python = os.path.join(folder, "bin", "python")
    if subprocess.run([python, "-c", "import torch, safetensors"], capture_output=True).returncode \
            if os.path.exists(python) else True:
        print(f"installing PyTorch in {folder}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r",
                        os.path.join(ROOT, "tests", "oracle", "requirements.txt")], check=True)
    return python


def build():
    subprocess.run(["cmake", "--preset", "default"], cwd=ROOT, check=True, stdout=sys.stderr)
    subprocess.run(["cmake", "--build", "--preset", "default", "--target", "lgmsnet"], cwd=ROOT, check=True,
                   stdout=sys.stderr)
    return os.path.join(ROOT, "build", "default", "lgmsnet")


def peak_mib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024


# ---- a PyTorch process: "ready" when warm, then one run and its milliseconds for every line read ----

def work(rank, case, mode, threads, path, outputs):
    import torch
    from safetensors.torch import load_file, save_file
    sys.path.insert(0, os.path.join(ROOT, "tests", "oracle"))
    from lgmsnet import LGMSNet, bce_dice, dice_ce

    imported, rank = peak_mib(), int(rank)
    torch.set_num_threads(int(threads))
    file = load_file(path)
    last = torch.channels_last if rank == 2 else torch.channels_last_3d
    layout = last if "channels_last" in mode else torch.contiguous_format
    net = LGMSNet(rank, *CHANNELS[rank])
    net.load_state_dict({k.removeprefix("weights."): v for k, v in file.items() if k.startswith("weights.")})
    net = net.to(memory_format=layout).train(case == "training")
    call = torch.compile(net) if mode.startswith("compile") else net
    x, target = file["input"].contiguous(memory_format=layout), file["target"]
    loss_of = bce_dice if rank == 2 else dice_ce
    optimizer = torch.optim.SGD(net.parameters(), 0.02, momentum=0.9, weight_decay=1e-4) if rank == 2 else \
        torch.optim.AdamW(net.parameters(), 1e-3, weight_decay=1e-5)

    @torch.inference_mode()
    def inference():
        return {"logits": call(x)}

    def training():
        optimizer.zero_grad(set_to_none=True)
        logits = call(x)
        loss = loss_of(logits, target)
        loss.backward()
        optimizer.step()
        return {"logits": logits.detach(), "loss": loss.detach()}

    run = {"inference": inference, "training": training}[case]
    save_file({k: v.contiguous() for k, v in run().items()}, outputs)
    for _ in range(WARM_UP[rank]):
        run()
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        run()
        print(1000 * (time.perf_counter() - start), flush=True)
    print(json.dumps({"peak_mib": peak_mib(), "import_mib": imported}), flush=True)


# ---- the referee ----

class Contestant:
    def __init__(self, name, command, outputs):
        self.name, self.outputs, self.samples = name, outputs, []
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE if name != "lgmsnet" else None, text=True)

    def ready(self):
        """Waits for the warm-up; False where the process gave up (torch.compile without a compiler, say)."""
        return self.process.stdout.readline().strip() == "ready"

    def run(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.samples.append(float(self.process.stdout.readline()))

    def finish(self):
        rest, _ = self.process.communicate()
        return json.loads(rest)


def write_case(path, rank, batch, size):
    """Weights, input and target for all; returns PyTorch's outputs in double, of an inference and of a step."""
    import torch
    from safetensors.torch import save_file
    sys.path.insert(0, os.path.join(ROOT, "tests", "oracle"))
    from lgmsnet import LGMSNet, bce_dice, dice_ce

    torch.manual_seed(0)
    cin, classes = CHANNELS[rank]
    net = LGMSNet(rank, cin, classes)
    x = torch.randn(batch, cin, *[size] * rank)
    coarse = torch.randn(batch, classes, *[size // 16] * rank)
    fine = torch.nn.functional.interpolate(coarse, scale_factor=16, mode=("bilinear", "trilinear")[rank - 2])
    target = (fine > 0).float() if rank == 2 else fine.argmax(1)
    config = {"rank": rank, "in_channels": cin, "classes": classes, "dims": [16, 32, 64, 128, 128],
              "splits": [[96, 32], [96, 32], [96, 32], [48, 16]], "depths": [1, 1, 1]}
    save_file({"input": x, "target": target, **{f"weights.{k}": v for k, v in net.state_dict().items()}}, path,
              metadata={"config": json.dumps(config), "kind": "network", "steps": "0"})
    net.double()
    with torch.no_grad():
        truth = {"inference": {"logits": net.eval()(x.double())}}
        logits = net.train()(x.double())
        loss = bce_dice(logits, target.double()) if rank == 2 else dice_ce(logits, target)
        truth["training"] = {"logits": logits, "loss": loss}
    return truth


def error_of(outputs, truth):
    """The largest deviation of any output, relative to its largest magnitude."""
    from safetensors.torch import load_file
    got = load_file(outputs)
    return max(((got[k].double() - t).abs().max() / t.abs().max()).item() for k, t in truth.items())


def measure(a, case, threads, program, folder, truth):
    path = os.path.join(folder, f"{case}.safetensors")
    contestants = []
    for name in ("lgmsnet", *a.modes):
        outputs = os.path.join(folder, f"{case}-{threads}-{name}.safetensors")
        ours = [program, "bench", path, "--interactive", "--outputs", outputs, "-t", str(threads)]
        command = ours + ["--train"] * (case == "training") if name == "lgmsnet" else \
            [sys.executable, os.path.abspath(__file__), "--worker", str(a.rank), case, name, str(threads), path,
             outputs]
        c = Contestant(name if name == "lgmsnet" else f"PyTorch {name}", command, outputs)
        if not c.ready():
            _, complaint = c.process.communicate()
            if name == "lgmsnet":
                raise SystemExit(f"compare: {' '.join(ours)} failed")
            print(f"PyTorch {name}: does not run here: {(complaint.strip().splitlines() or ['?'])[-1][:150]}")
            continue
        c.error = error_of(outputs, truth)
        if not c.error <= TOLERANCE and name == "lgmsnet":
            raise SystemExit(f"compare: outputs of {c.name} deviate by {c.error:.1e} of the largest one; not measured")
        contestants.append(c)
    for _ in range(a.runs):
        for c in random.sample(contestants, len(contestants)):
            time.sleep(0.02)            # threads of the one before stop spinning
            c.run()
    for c in contestants:
        end = c.finish()
        c.peak, c.imported = end["peak_mib"], end.get("import_mib", 0)
    return contestants


def report(case, batch, threads, contestants):
    print(f"\n{case}, batch {batch}, {threads} thread{'s' * (threads > 1)}")
    print(f"  {'':32} {'median ms':>10} {'min':>8} {'p10..p90':>16} {'peak MiB':>9} {'error':>8}")
    rows = []
    for c in contestants:
        s = sorted(c.samples)
        tenth = statistics.quantiles(s, n=10, method="inclusive") if len(s) > 1 else s * 9
        print(f"  {c.name:32} {statistics.median(s):10.1f} {s[0]:8.1f} {tenth[0]:7.1f}..{tenth[-1]:7.1f} "
              f"{c.peak:9.0f} {c.error:8.0e}{'' if c.error <= TOLERANCE else '  inaccurate'}")
        rows.append({"name": c.name, "median_ms": statistics.median(s), "peak_mib": c.peak, "import_mib": c.imported, "error": c.error,
                     "samples_ms": c.samples})
    theirs = rows[1:]
    ratio = rows[0]["median_ms"] / min(r["median_ms"] for r in theirs) if theirs else None
    if theirs:
        best = min(theirs, key=lambda r: r["median_ms"])
        print(f"  ratio: {ratio:.2f} of the fastest, {best['name']} (below 1: lgmsnet is faster)")
        print(f"  of PyTorch's memory, {max(c.imported for c in contestants):.0f} MiB are there once it is imported")
    return {"case": case, "batch": batch, "threads": threads, "rows": rows, "ratio": ratio}


def versions(program):
    import torch
    ours = subprocess.run([program, "--version"], capture_output=True, text=True).stdout.strip()
    devices = subprocess.run([program, "devices"], capture_output=True, text=True).stdout.strip()
    onednn = [line.strip(" -") for line in torch.__config__.show().splitlines() if "MKL-DNN" in line]
    return {"lgmsnet": ours, "devices": devices, "torch": torch.__version__, "torch_isa": torch.backends.cpu.get_cpu_capability(),
            "onednn": onednn[0] if onednn else "none", "python": platform.python_version(), "cpus": os.cpu_count()}


def main():
    a = arguments()
    if a.worker:
        return work(*a.worker)
    program = os.path.abspath(a.program) if a.program else build()
    python = a.python or python_with_torch()
    if os.path.abspath(python) != sys.executable:
        os.execv(python, [python, os.path.abspath(__file__), *sys.argv[1:], "--program", program, "--python", python])
    about = versions(program)
    for key, value in about.items():
        print(f"{key}: {value}")
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for case in a.cases:
            batch = BATCH[a.rank][case]
            truth = write_case(os.path.join(folder, f"{case}.safetensors"), a.rank, batch, a.size)[case]
            for threads in a.threads:
                results.append(report(case, batch, threads, measure(a, case, threads, program, folder, truth)))
    if a.json:
        with open(a.json, "w") as out:
            json.dump({"about": about, "rank": a.rank, "size": a.size, "results": results}, out, indent=1)


if __name__ == "__main__":
    main()
