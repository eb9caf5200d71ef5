"""Gated CRF loss: pair by pair (this package) against unfolding the window, forward and backward.

Each measurement runs in a separate process on one thread, one after the other on the same machine. Only the ratios are
meaningful on other machines. The time is process time (on a GPU, wall-clock time), which excludes other work on the
machine. Extra memory is the peak memory of the process during the first forward and backward pass, less its memory
before (on a GPU, that of the allocator).

Examples:
    python benchmarks/losses.py --sizes 32 64 --classes 2
    python benchmarks/losses.py --device cuda --output benchmarks/results/losses_cuda.md
"""

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from nnunet_paseg.losses import gated_crf_loss

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.losses.unfolding import unfolding_gated_crf

IMPLEMENTATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "pairs": gated_crf_loss,
    "unfolding": unfolding_gated_crf,
}
WINDOW = 11**2


def main() -> None:
    arguments = parse_arguments()
    if arguments.worker:
        size, classes = arguments.sizes[0], arguments.classes[0]
        worker = agreement if arguments.worker == "agreement" else measure
        print(json.dumps(worker(arguments.worker, size, classes, arguments.device, arguments.repeats)))
        return
    lines = [f"# Gated CRF loss: pairs against unfolding ({arguments.device})", "", *machine(arguments.device), ""]
    lines += [
        "| volume | classes | time, unfolding / pairs | extra memory, unfolding / pairs | extra MiB, pairs "
        "| value, relative difference | gradient, relative difference |",
        "|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for size in arguments.sizes:
        for classes in arguments.classes:
            lines.append(row(size, classes, arguments))
            print(lines[-1], flush=True)
            if arguments.output:  # after every row, so that an interrupted run keeps its results
                arguments.output.parent.mkdir(parents=True, exist_ok=True)
                arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


def parse_arguments() -> argparse.Namespace:
    summary, _, examples = (__doc__ or "").partition("Examples:")
    parser = argparse.ArgumentParser(
        description=summary, epilog="Examples:" + examples, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 48, 64, 96, 128], help="edges of the volumes")
    parser.add_argument("--classes", type=int, nargs="+", default=[2, 3, 5], help="numbers of classes")
    parser.add_argument("--repeats", type=int, default=3, help="runs, of which the fastest is reported (default 3)")
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument("--memory-limit-gib", type=float, default=6.0, help="limit for the unfolding (default 6)")
    parser.add_argument("--output", type=Path, help="Markdown file for the table, in addition to the console")
    parser.add_argument("--worker", choices=["pairs", "unfolding", "agreement"], help=argparse.SUPPRESS)
    return parser.parse_args()


def row(size: int, classes: int, arguments: argparse.Namespace) -> str:
    """Measure one row of the table, each part in a separate process."""
    pairs = in_process("pairs", size, classes, arguments)
    held = f"{pairs['extra_bytes'] / 2**20:.0f}"
    # Memory that autograd keeps per view (unfolded probabilities, kernel), and temporaries of the last view.
    needed = 4 * size**3 * WINDOW * (3 * (classes + 1) + 2 * classes)
    if needed > arguments.memory_limit_gib * 2**30:
        return f"| {size}³ | {classes} | needs {needed / 2**30:.0f} GiB | | {held} | | |"
    unfolding = in_process("unfolding", size, classes, arguments)
    both = in_process("agreement", size, classes, arguments)
    return (
        f"| {size}³ | {classes} | {unfolding['seconds'] / pairs['seconds']:.0f} "
        f"| {unfolding['extra_bytes'] / pairs['extra_bytes']:.0f} | {held} "
        f"| {both['value']:.0e} | {both['gradient']:.0e} |"
    )


def in_process(worker: str, size: int, classes: int, arguments: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, __file__, "--worker", worker, "--sizes", str(size), "--classes", str(classes)]
    command += ["--device", arguments.device, "--repeats", str(arguments.repeats)]
    found: dict[str, float] = json.loads(
        subprocess.run(command, check=True, capture_output=True, text=True, encoding="utf-8").stdout
    )
    return found


def measure(name: str, size: int, classes: int, device: str, repeats: int) -> dict[str, float]:
    """Return the extra memory of the first forward and backward pass, and the seconds of the fastest one."""
    torch.set_num_threads(1)
    loss = IMPLEMENTATIONS[name]
    for warm_up in (8, 12):  # loads libraries and compiles on a GPU; the second size makes the code generic
        forward_backward(loss, *inputs(warm_up, classes, device))
    probabilities, image = inputs(size, classes, device)
    before = reset_peak(device)
    forward_backward(loss, probabilities, image)
    extra = peak(device) - before
    clock = time.process_time if device == "cpu" else time.perf_counter
    seconds = []
    for _ in range(repeats):
        start = clock()
        forward_backward(loss, probabilities, image)
        seconds.append(clock() - start)
    return {"seconds": min(seconds), "extra_bytes": extra}


def agreement(_: str, size: int, classes: int, device: str, __: int) -> dict[str, float]:
    """Return the differences of value and gradient, relative to the unfolding's value and largest gradient."""
    torch.set_num_threads(1)
    probabilities, image = inputs(size, classes, device)
    value, gradient = forward_backward(gated_crf_loss, probabilities, image)
    expected, expected_gradient = forward_backward(unfolding_gated_crf, probabilities, image)
    return {
        "value": abs(value / expected - 1).item(),
        "gradient": ((gradient - expected_gradient).abs().max() / expected_gradient.abs().max()).item(),
    }


def inputs(size: int, classes: int, device: str) -> tuple[Tensor, Tensor]:
    """Return the softmax of noise, and a smooth image with noise in which some neighbours are similar."""
    torch.manual_seed(0)
    probabilities = torch.randn(1, classes, size, size, size).softmax(1)
    ramp = torch.linspace(-2, 2, size)
    image = ramp[:, None, None] + ramp[:, None].sin() + 0.1 * torch.randn(1, 1, size, size, size)
    return probabilities.to(device).requires_grad_(), image.to(device)


def forward_backward(loss: Callable[..., Tensor], probabilities: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
    value = loss(probabilities, image)
    (gradient,) = torch.autograd.grad(value, probabilities)
    if gradient.is_cuda:
        torch.cuda.synchronize()
    return value.detach(), gradient


def reset_peak(device: str) -> int:
    """Reset the peak memory, and return the current memory in bytes."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # Linux: sets the peak to the current size
    return status("VmRSS")


def peak(device: str) -> int:
    return torch.cuda.max_memory_allocated() if device != "cpu" else status("VmHWM")


def status(field: str) -> int:
    line = next(
        line for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines() if line.startswith(field)
    )
    return int(line.split()[1]) * 1024


def machine(device: str) -> list[str]:
    name = torch.cuda.get_device_name() if device != "cpu" else platform.machine()
    return [
        f"{name}, torch {torch.__version__}, float32, one thread, batch 1, radius 5, three views.",
        "Forward and backward; ratios of one run. Differences are relative to the value and to the largest gradient.",
    ]


if __name__ == "__main__":
    main()
