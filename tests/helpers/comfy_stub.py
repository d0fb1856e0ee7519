"""A small stand-in of ComfyUI: what a node pack of the V3 form imports, and no more."""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import torch


class ProcessingInterruptedError(Exception):
    """ComfyUI's InterruptProcessingException."""


class Field:
    """An input or output as a schema names it."""

    def __init__(self, kind: str, name: str | None = None, **details: Any) -> None:
        self.kind, self.id, self.details = kind, name, details


class Schema:
    """What `define_schema` returns; only names that ComfyUI knows."""

    def __init__(self, *, node_id: str, display_name: str, category: str, description: str,
                 inputs: list[Field], outputs: list[Field]) -> None:  # fmt: skip
        self.node_id, self.display_name, self.category = node_id, display_name, category
        self.description, self.inputs, self.outputs = description, inputs, outputs


class NodeOutput:
    """What `execute` returns."""

    def __init__(self, *args: Any) -> None:
        self.args = args


class Comfy:
    """The stand-in's state: how far bars moved, and whether the user has cancelled."""

    def __init__(self) -> None:
        self.values: list[int] = []
        self.stop_at: int | None = None

    def install(self, monkeypatch: Any) -> None:
        """Put the modules where a pack imports them from."""
        io = SimpleNamespace(ComfyNode=type("ComfyNode", (), {}), Schema=Schema,
                             NodeOutput=NodeOutput)  # fmt: skip
        for kind in ("Image", "Mask", "Combo", "Float", "Int", "String"):
            setattr(io, kind, SimpleNamespace(Input=_maker(kind), Output=_maker(kind)))
        latest = ModuleType("comfy_api.latest")
        latest.io, latest.ComfyExtension = io, type("ComfyExtension", (), {})  # type: ignore[attr-defined]
        utils = ModuleType("comfy.utils")
        utils.ProgressBar = self._bar  # type: ignore[attr-defined]
        management = ModuleType("comfy.model_management")
        management.get_torch_device = lambda: torch.device("cpu")  # type: ignore[attr-defined]
        management.throw_exception_if_processing_interrupted = self._check  # type: ignore[attr-defined]
        comfy = ModuleType("comfy")
        comfy.utils, comfy.model_management = utils, management  # type: ignore[attr-defined]
        for module in (ModuleType("comfy_api"), latest, comfy, utils, management):
            monkeypatch.setitem(sys.modules, module.__name__, module)

    def _bar(self, total: int) -> Any:
        def update(value: int, total_now: int) -> None:
            assert total_now == total
            self.values.append(value)

        return SimpleNamespace(update_absolute=update)

    def _check(self) -> None:
        if self.stop_at is not None and len(self.values) >= self.stop_at:
            raise ProcessingInterruptedError


def _maker(kind: str) -> Any:
    return lambda name=None, **details: Field(kind, name, **details)
