"""What this machine computes fast: asked once, where a precision is to be chosen."""

import functools
import re
from pathlib import Path
from typing import Literal

Precision = Literal["float32", "bfloat16"]


def fastest_precision(device: str = "cpu", root: Path = Path("/")) -> Precision:
    """The precision in which convolutions run fastest on a kind of device.

    bfloat16 on CPUs with AMX, whose matrix unit takes it three to five times faster than float32,
    and on NVIDIA GPUs from the Ampere generation on. Everywhere else float32: without such units
    bfloat16 is emulated, many times slower.

    Args:
        device: cpu, cuda or another name of torch's.
        root: where /proc is looked for.
    """
    if device == "cpu":
        return "bfloat16" if has_amx(root) else "float32"
    if device == "cuda":
        return _of_gpu()
    return "float32"


@functools.cache
def has_amx(root: Path = Path("/")) -> bool:
    """Whether the CPU multiplies matrices of bfloat16 by AMX; False where the system is silent."""
    try:
        text = (root / "proc/cpuinfo").read_text()
    except OSError:  # not Linux
        return False
    match = re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)
    return match is not None and "amx_bf16" in match[1].split()


@functools.cache
def _of_gpu() -> Precision:
    import torch

    native = torch.cuda.is_available() and torch.cuda.get_device_capability() >= (8, 0)
    return "bfloat16" if native else "float32"
