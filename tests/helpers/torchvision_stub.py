"""The three names that spandrel takes of torchvision, for two architectures that are not ours.

The CPU build of torch has no torchvision of its version on PyPI.
"""

import importlib.util
import sys
from types import ModuleType
from typing import Any


def stub_torchvision(monkeypatch: Any) -> None:
    """Put a stand-in of torchvision where there is none."""
    if importlib.util.find_spec("torchvision") is not None:
        return
    names = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional")
    modules = [ModuleType(name) for name in names]
    for name in ("InterpolationMode", "rotate", "normalize"):
        setattr(modules[-1], name, None)
    for name, module in zip(names, modules, strict=True):
        monkeypatch.setitem(sys.modules, name, module)
