"""What this machine computes fast: asked once, where a precision is to be chosen."""

import functools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

Precision = Literal["float32", "bfloat16"]
_UNITS = frozenset({"amx_bf16", "avx512_bf16"})  # flags of Linux


def fastest_precision(device: str = "cpu", root: Path = Path("/")) -> Precision:
    """The precision in which convolutions run fastest on a kind of device.

    bfloat16 on CPUs that multiply it themselves, and on NVIDIA GPUs from the Ampere generation on.
    AMX takes it three to five times faster than float32, AVX-512 (AMD from Zen 4 on) twice as fast.
    Everywhere else float32: without such units bfloat16 is emulated, many times slower.

    Args:
        device: cpu, cuda or another name of torch's.
        root: where /proc is looked for.
    """
    if device == "cpu":
        return "bfloat16" if multiplies_bfloat16(root) else "float32"
    if device == "cuda":
        return _of_gpu()
    return "float32"


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Within, numbers below the normal ones of float32, 1.2e-38, count as 0.

    Processors take a hundred times longer for such numbers. A training makes many: the averages of
    gradients that are zero become smaller at each step. Threads that torch starts within do as this
    one does, also afterwards.
    """
    import torch

    tiny = torch.full((1,), 1e-40)
    already = float(tiny * 1.0) == 0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(already)


@functools.cache
def multiplies_bfloat16(root: Path = Path("/")) -> bool:
    """Whether the CPU has instructions for products of bfloat16; False where nothing says so."""
    try:
        text = (root / "proc/cpuinfo").read_text()
    except OSError:  # not Linux
        return False
    match = re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)
    return match is not None and not _UNITS.isdisjoint(match[1].split())


@functools.cache
def _of_gpu() -> Precision:
    import torch

    native = torch.cuda.is_available() and torch.cuda.get_device_capability() >= (8, 0)
    return "bfloat16" if native else "float32"
