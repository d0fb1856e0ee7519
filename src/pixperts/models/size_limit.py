"""Limit the size of a network before it takes any memory.

Fields of a configuration have bounds, but together they may still describe a huge network, and the
header of a weights file may hold any. So a network is first built without memory, on the meta
device, and building stops as soon as the limit is exceeded.
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

# Ten times the weights of the largest published network, and three times its layers.
MOST_WEIGHTS = 250_000_000
MOST_MODULES = 4096


@contextmanager
def bounded_on_meta() -> Iterator[None]:
    """A context in which networks are built without memory, up to a limit of their size.

    Raises:
        ModelError: within the context, as soon as the limit is exceeded.
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

    # torch has one list of hooks for all modules; modules of other threads are ignored.
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
