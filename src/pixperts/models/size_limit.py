"""How large a network may be, found out before it takes any memory.

Each field of a configuration is within bounds of its own, but their product need not be, and the
header of a weights file may hold any. So a network is first built without memory, on the meta
device, and the building is stopped where it exceeds what any weights file could hold.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)

from pixperts.errors import ModelError

# Ten times the weights of the largest that was published, and three times its layers.
MOST_WEIGHTS = 250_000_000
MOST_MODULES = 4096


@contextmanager
def bounded_on_meta() -> Iterator[None]:
    """A place to build a network in: its tensors have shapes only, and there is a limit to them.

    Raises:
        ModelError: from within, as soon as the limit is exceeded.
    """
    mine, weights, modules = threading.get_ident(), 0, 0

    def check() -> None:
        if weights > MOST_WEIGHTS or modules > MOST_MODULES:
            raise ModelError(
                f"the configuration describes more than {MOST_WEIGHTS / 1e6:.0f} million weights "
                f"or {MOST_MODULES} layers, the limit of this program: use a smaller model."
            )

    def count_parameter(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal weights
        if threading.get_ident() == mine and parameter is not None:
            weights += parameter.numel()
            check()

    def count_module(module: nn.Module, name: str, part: nn.Module | None) -> None:
        nonlocal modules
        if threading.get_ident() == mine:
            modules += 1
            check()

    # torch keeps one list of hooks for all modules; other threads' are let through.
    hooks = (
        register_module_parameter_registration_hook(count_parameter),
        register_module_module_registration_hook(count_module),
    )
    try:
        with torch.device("meta"):
            yield
    finally:
        for hook in hooks:
            hook.remove()
