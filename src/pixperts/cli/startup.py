"""A faster start of the commands for pictures.

A quarter to a third of what `import torch` costs goes into two of its modules that only programs
need which compile or export networks: `_meta_registrations`, which says what shape each result
would have, and `export`. Here both stay empty until one of them is used, or the compiler is
imported; then they are imported as usual.
"""

import importlib.machinery
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from types import ModuleType
from typing import Any

POSTPONED = ("torch._meta_registrations", "torch.export")
_NEED_ALL = ("torch._dynamo", "torch._inductor")


def postpone() -> None:
    """Leave these modules out when torch is imported later; nothing if it has been already."""
    if "torch" not in sys.modules and not any(isinstance(f, _Finder) for f in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds the postponed modules, and notices when the compiler is imported."""

    def __init__(self) -> None:
        self._waiting: list[tuple[ModuleType, Loader]] = []

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The module's own specification, with a loader that postpones."""
        if name in _NEED_ALL:
            self.import_all()
        if name not in POSTPONED:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return spec
        spec.loader = _Postponing(self, spec.loader)
        return spec

    def wait(self, module: ModuleType, loader: Loader) -> None:
        """Import this module later."""
        self._waiting.append((module, loader))

    def import_all(self) -> None:
        """Import what waits, in the order in which torch wanted it."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        waiting, self._waiting = self._waiting, []
        for module, _ in waiting:
            del vars(module)["__getattr__"]
        for module, loader in waiting:
            loader.exec_module(module)


class _Postponing(Loader):
    """Leaves a module empty until one of its names is used."""

    def __init__(self, finder: _Finder, loader: Loader) -> None:
        self._finder, self._loader = finder, loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """As usual."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Only a `__getattr__` (PEP 562), which imports everything."""

        def __getattr__(name: str) -> Any:  # noqa: N807
            if name.startswith("__"):  # asked of all modules by `inspect`, for one
                raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
            self._finder.import_all()
            return getattr(module, name)

        vars(module)["__getattr__"] = __getattr__
        self._finder.wait(module, self._loader)
