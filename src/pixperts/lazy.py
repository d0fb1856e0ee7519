"""Names of a package that are imported on their first use.

So `pixperts --help` need not wait for torch, and a package lists what it offers all the same.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def attach(package: str, names: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """The `__getattr__` of a package.

    Args:
        package: its `__name__`.
        names: for each of its modules, what is taken from there.

    Example:
        >>> attach("pixperts.ops", {"windows": ["Window"]})("Window").__name__
        'Window'
    """
    homes = {name: module for module, found in names.items() for name in found}

    def __getattr__(name: str) -> Any:  # noqa: N807
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{homes[name]}"), name)

    return __getattr__
