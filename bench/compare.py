#!/usr/bin/env python3
"""The whole network against its peers: time and memory of an inference and of a training step.

    python3 bench/compare.py                               # builds, sets peers up in build/compare-env, measures
    python3 bench/compare.py --cases inference --batch 1 8 # 2D, 256x256, against all peers
    python3 bench/compare.py --precision bf16              # inference in bfloat16, where the processor has it
    python3 bench/compare.py --rank 3 --runs 5             # 96x96x96, 14 classes, dice and cross-entropy, AdamW
    python3 bench/compare.py --peers openvino --program build/release/lgmsnet --threads 1 --json result.json

Inference: ONNX Runtime, OpenVINO, MNN, and PyTorch: contiguous, channels_last, compiled (channels_last and frozen).
Training: PyTorch only. All compute in float32, or with --precision bf16 all that can in bfloat16; the table says which
setting of theirs holds them to it. The versions are those of compare-requirements.txt; --python names an interpreter that has its own.

Every contestant is a process of its own. All get the same file with weights, input and target; ONNX Runtime, OpenVINO
and MNN get the network as PyTorch exports it to ONNX, one file per case. First each computes its outputs (logits; in
training the loss too). Ours must be as near to PyTorch's in double as float32 allows, or nothing is measured; the
deviation of each peer is in the table, relative to the largest value, and one that is too large is marked. A peer that
cannot be set up or does not run is in the table with its reason. Then all are warmed up; then they are measured in
turns, one run each per round in changing order, so that a slow moment of the machine meets all of them. While one runs,
the others wait for a line on their standard input. How each is set up stands in peers.py.

ours/its is the median of the ratios of the rounds, with p10..p90. Peak memory is VmHWM of the process at its end; in
brackets what it was when the peer had only been imported.
"""
import argparse
import importlib.metadata
import json
import logging
import os
import platform
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from peers import CASES, CHANNELS, ORACLE, PEERS, ROOT, onnx_of

TRAINING_BATCH = {2: 4, 3: 1}
SIZE = {2: 256, 3: 96}
TOLERANCE = {"f32": 5e-4, "bf16": 5e-2}     # of the largest logit, and of the loss
OPSET = 20                                  # the newest that MNN reads; GELU is an operation, which ORT and MNN reward
ISA = ("avx2", "fma", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8")


def peers_of(case, chosen, precision):
    """Those of --peers that can do the case, or its usual ones."""
    able = {p: peer for p, peer in PEERS.items() if peer.bf16 == (precision == "bf16")}
    if chosen is None:
        return [p for p, peer in able.items() if case in peer.cases]
    return [p for p in chosen if p in able and (case == "inference" or PEERS[p].package == "torch")]


class Contestant:
    """A process that computes when asked to. Where it is gone, its fault says why."""

    def __init__(self, title, version, precision, tolerance, command, outputs):
        self.title, self.version, self.precision, self.outputs = title, version, precision, outputs
        self.tolerance = tolerance
        self.samples, self.error, self.fault, self.peak, self.imported = [], None, None, None, None
        self.log = open(f"{outputs}.log", "w+")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.log, text=True)

    def line(self):
        line = self.process.stdout.readline().strip()
        if not line:
            code = self.process.wait()
            self.log.seek(0)
            words = [w.strip() for w in self.log if w.strip()][-1:]
            end = [f"killed by {signal.Signals(-code).name}"] if code < 0 else [] if words else [f"ended with {code}"]
            self.fault = ": ".join(end + words)[:200]
        return line

    def start(self, truth):
        """Waits for the warm-up and looks at the outputs."""
        if self.line() == "ready":
            self.error = error_of(self.outputs, truth)

    def run(self):
        try:
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass                            # line() finds out why
        line = self.line()
        if line:
            self.samples.append(float(line))

    def finish(self):
        self.process.stdin.close()
        line = self.line()
        if line:
            end = json.loads(line)
            self.peak, self.imported = end["peak_mib"], end.get("import_mib")

    def agrees(self):
        return self.error <= self.tolerance


def write_case(path, rank, case, batch, size, onnx):
    """Weights, input and target for all, the network in ONNX if need be; returns PyTorch's outputs in double."""
    import torch
    from safetensors.torch import save_file
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
    if onnx:
        export(net.eval(), x, onnx_of(path))
    net.double()
    with torch.no_grad():
        if case == "inference":
            return {"logits": net.eval()(x.double())}
        logits = net.train()(x.double())
        loss = bce_dice(logits, target.double()) if rank == 2 else dice_ce(logits, target)
    return {"logits": logits, "loss": loss}


def export(net, x, path):
    import torch
    from torch.nn import functional
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    attention = functional.scaled_dot_product_attention

    def of_rank_4(q, k, v):                 # the exporter knows no other
        return attention(q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1)).unflatten(0, q.shape[:2])

    functional.scaled_dot_product_attention = of_rank_4
    try:
        torch.onnx.export(net, (x,), path, dynamo=True, opset_version=OPSET, input_names=["input"],
                          output_names=["logits"], external_data=False, verbose=False)
    except Exception as e:                  # whoever needs the file will not find it
        print(f"compare: no ONNX: {e}", file=sys.stderr)
    finally:
        functional.scaled_dot_product_attention = attention


def error_of(outputs, truth):
    """The largest deviation of any output, relative to its largest magnitude."""
    from safetensors.torch import load_file
    got = load_file(outputs)
    return max(((got[k].double() - t).abs().max() / t.abs().max()).item() for k, t in truth.items())


def version_of(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def measure(a, case, threads, peers, about, path, truth):
    folder = os.path.dirname(path)
    outputs = os.path.join(folder, f"{threads}-lgmsnet")
    command = [about["program"], "bench", path, "--interactive", "--outputs", outputs, "-t", str(threads)]
    command += ["--train"] if case == "training" else ["--precision", a.precision]
    ours = Contestant("lgmsnet", about["lgmsnet"], a.precision, TOLERANCE[a.precision], command, outputs)
    ours.start(truth)
    if ours.fault:
        raise SystemExit(f"compare: {' '.join(command)}: {ours.fault}")
    if not ours.agrees():
        raise SystemExit(f"compare: outputs of lgmsnet deviate by {ours.error:.1e} of the largest one; not measured")
    contestants = [ours]
    for p in peers:
        print(f"{case}, {threads} threads: {PEERS[p].title}", file=sys.stderr)
        outputs = os.path.join(folder, f"{threads}-{p}")
        command = [sys.executable, os.path.join(ROOT, "bench", "peers.py"), p, str(a.rank), case, str(threads), path,
                   outputs]
        c = Contestant(PEERS[p].title, version_of(PEERS[p].package), PEERS[p].precision, TOLERANCE[a.precision],
                       command, outputs)
        c.start(truth)
        contestants.append(c)
    for _ in range(a.runs):
        running = [c for c in contestants if not c.fault]
        for c in random.sample(running, len(running)):
            time.sleep(0.1)                 # threads of the one before stop spinning: ONNX Runtime's take 25 ms
            c.run()
    for c in contestants:
        if not c.fault:
            c.finish()
    if ours.fault:
        raise SystemExit(f"compare: lgmsnet: {ours.fault}")
    return contestants


def tenths(samples):
    """p10 and p90."""
    cuts = statistics.quantiles(samples, n=10, method="inclusive") if len(samples) > 1 else samples
    return cuts[0], cuts[-1]


def ratios(ours, c):
    """Ours over its, round by round."""
    return [mine / its for mine, its in zip(ours.samples, c.samples)]


def ratio_text(samples):
    low, high = tenths(samples)
    return f"{statistics.median(samples):.2f} ({low:.2f}..{high:.2f})"


def report(case, rank, size, batch, threads, contestants):
    ours, *theirs = contestants
    print(f"\n### {case}, {'x'.join([str(size)] * rank)}, batch {batch}, {threads} thread{'s' * (threads > 1)}\n")
    print("| engine | version | precision | threads | runs | median ms | p10..p90 | ours/its | peak MiB | deviation |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for c in contestants:
        print(f"| {c.title} | {c.version} | {c.precision} | {threads} | {len(c.samples)} | ", end="")
        if c.fault:
            print(f"{c.fault.replace('|', '/')} | | | | |")
            continue
        low, high = tenths(c.samples)
        print(f"{statistics.median(c.samples):.1f} | {low:.1f}..{high:.1f} | "
              f"{'' if c is ours else ratio_text(ratios(ours, c))} | "
              f"{c.peak:.0f}{'' if c.imported is None else f' ({c.imported:.0f})'} | "
              f"{c.error:.0e}{'' if c.agrees() else ' too large'} |")
    running = sorted((c for c in theirs if not c.fault), key=lambda c: statistics.median(c.samples))
    best = running[0] if running else None
    for c in dict.fromkeys([*running[:1], *[c for c in running if c.agrees()][:1]]):
        print(f"\nRatio to the fastest peer{'' if c is best else ' that does not deviate'}, {c.title}"
              f"{'' if c.agrees() else ' (which deviates)'}: {ratio_text(ratios(ours, c))}; below 1: ours is faster.")
    sys.stdout.flush()
    return {"case": case, "rank": rank, "size": size, "batch": batch, "threads": threads,
            "fastest": best and best.title, "ratio": best and statistics.median(ratios(ours, best)),
            "rows": [{"name": c.title, "version": c.version, "precision": c.precision, "fault": c.fault,
                      "median_ms": statistics.median(c.samples) if c.samples else None, "peak_mib": c.peak,
                      "import_mib": c.imported, "error": c.error, "samples_ms": c.samples} for c in contestants]}


# ---- what is compared, where ----

def environment():
    """The interpreter of build/compare-env, with those packages of compare-requirements.txt that can be had."""
    folder = os.path.join(ROOT, "build", "compare-env")
    python, done = os.path.join(folder, "bin", "python"), os.path.join(folder, "installed.txt")
    requirements = os.path.join(ROOT, "bench", "compare-requirements.txt")
    with open(requirements) as file:
        wanted = file.read()
    if os.path.exists(done) and open(done).read() == wanted:
        return python
    print(f"installing the peers in {folder}", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    missing = [package for package in wanted.splitlines() if package[:1] not in ("", "#") and subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "-c", requirements, package]).returncode]
    if missing:                             # tried again next time
        print(f"compare: not installed: {' '.join(missing)}", file=sys.stderr)
    else:
        with open(done, "w") as file:
            file.write(wanted)
    return python


def build():
    subprocess.run(["cmake", "--preset", "default"], cwd=ROOT, check=True, stdout=sys.stderr)
    subprocess.run(["cmake", "--build", "--preset", "default", "--target", "lgmsnet"], cwd=ROOT, check=True,
                   stdout=sys.stderr)
    return os.path.join(ROOT, "build", "default", "lgmsnet")


def about_all(program):
    import torch
    with open("/proc/cpuinfo") as file:
        cpu = dict(map(str.strip, line.split(":", 1)) for line in file if ":" in line)
    flags = cpu.get("flags", "").split()
    onednn = [line.strip(" -") for line in torch.__config__.show().splitlines() if "MKL-DNN" in line]
    ours = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
    return {"cpu": cpu.get("model name", platform.machine()), "isa": [i for i in ISA if i in flags],
            "cores": len(os.sched_getaffinity(0)), "program": program, "lgmsnet": ours,
            "python": platform.python_version(), "torch_isa": torch.backends.cpu.get_cpu_capability(),
            "onednn": onednn[0] if onednn else "none"}


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--program", help="an lgmsnet that is built already")
    p.add_argument("--python", help="a Python with what compare-requirements.txt names; default: build/compare-env")
    p.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    p.add_argument("--peers", "--modes", nargs="*", choices=PEERS, help="default: those above, for each case")
    p.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    p.add_argument("--rank", type=int, choices=(2, 3), default=2, help="images or volumes (default 2)")
    p.add_argument("--size", type=int, help="all sides (default 256 in 2D, 96 in 3D)")
    p.add_argument("--batch", type=int, nargs="+", default=[1], help="of inference (default 1)")
    p.add_argument("--precision", choices=TOLERANCE, default="f32", help="bf16: of inference alone (default f32)")
    p.add_argument("--runs", type=int, default=20, help="measured runs of every contestant (default 20)")
    p.add_argument("--json", metavar="FILE", help="write all samples too")
    a = p.parse_args()
    a.size = a.size or SIZE[a.rank]
    if a.precision == "bf16":
        if a.cases == ["training"]:
            p.error("argument --cases: training has no --precision bf16")
        a.cases = ["inference"]
    for name in ("size", "batch", "threads", "runs"):
        values = getattr(a, name)
        if min(values if isinstance(values, list) else [values]) < 1:
            p.error(f"argument --{name}: expected at least 1")
    if a.size % 32:
        p.error(f"argument --size: expected a multiple of 32, got {a.size}")
    for name in ("program", "python"):
        path = getattr(a, name)
        if path and not os.access(path, os.X_OK):
            p.error(f"argument --{name}: {path} is no program")
    if a.json and not os.access(os.path.dirname(os.path.abspath(a.json)), os.W_OK):
        p.error(f"argument --json: no file can be written in the folder of {a.json}")
    return a


def main():
    a = arguments()
    sys.path.insert(0, ORACLE)
    program = os.path.abspath(a.program) if a.program else build()
    python = a.python or environment()
    if os.path.abspath(python) != sys.executable:
        os.execv(python, [python, os.path.abspath(__file__), *sys.argv[1:], "--program", program, "--python", python])
    about = about_all(program)
    print(f"Machine: {about['cpu']}, {about['cores']} cores; {' '.join(about['isa'])}. "
          f"PyTorch: {about['torch_isa']}, {about['onednn']}.")
    results = []
    for case in a.cases:
        peers = peers_of(case, a.peers, a.precision)
        for batch in a.batch if case == "inference" else [TRAINING_BATCH[a.rank]]:
            with tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "case.safetensors")
                onnx = any(PEERS[p].package != "torch" for p in peers)
                truth = write_case(path, a.rank, case, batch, a.size, onnx)
                for threads in a.threads:
                    contestants = measure(a, case, threads, peers, about, path, truth)
                    results.append(report(case, a.rank, a.size, batch, threads, contestants))
    if a.json:
        with open(a.json, "w") as out:
            json.dump({"about": about, "results": results}, out, indent=1)


if __name__ == "__main__":
    main()
