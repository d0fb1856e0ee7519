"""Encoders in ONNX Runtime or OpenVINO: the one part of an enlargement that others may compute.

The encoder is 60 to 95 % of the work of the light family, knows nothing of factors and tiles, and
so is one graph for all of them. Cutting tiles, choosing experts and decoding stay in torch.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pixperts.errors import UsageError
from pixperts.inference.options import RUNTIMES
from pixperts.models.engine import EngineNetwork, engine_networks
from pixperts.models.interfaces import Network

# The graphs' modules are imported where they are used: most commands use torch alone.
if TYPE_CHECKING:
    from pixperts.export.engines import Engine


class RuntimeEncoder:
    """`EngineNetwork.encode` in another program.

    The graph is written to the user's cache at the first use of a model, which takes ten seconds
    or more, and read from there later.

    Args:
        model: the network, on the CPU.
        runtime: onnxruntime or openvino.

    Raises:
        MissingExtraError: the program, or what writes the graph, is not installed.
    """

    def __init__(self, model: EngineNetwork, runtime: str) -> None:
        from pixperts.export.engines import import_openvino
        from pixperts.export.run import encoder_file

        if runtime == "openvino":
            import_openvino()  # its own sentence where it is missing, before the graph is made
        self._path, self._runtime = encoder_file(model, type(model).__name__), runtime
        self._engines: dict[str, Engine] = {}

    def __call__(self, lr: Tensor) -> Tensor:
        """(B, 3, h, w) in [0, 1] -> (B, C, h, w), in the precision of the autocast around it."""
        half = self._runtime == "openvino" and torch.is_autocast_enabled("cpu")
        precision = "bfloat16" if half else "float32"
        if precision not in self._engines:
            self._engines[precision] = self._opened(precision)
        (features,) = self._engines[precision](lr)
        return features

    def _opened(self, precision: str) -> "Engine":
        from pixperts.export.engines import onnxruntime_engine, openvino_engine

        if self._runtime == "openvino":
            return openvino_engine(self._path, precision)
        return onnxruntime_engine(self._path)


def check_runtime(runtime: str, model: Network, name: str, device: str, precision: str) -> str:
    """The runtime, if it is there for a network on a device in a precision.

    Raises:
        UsageError: if not.
    """
    if runtime not in RUNTIMES:
        raise UsageError(f"runtime is {runtime!r}, but must be one of {', '.join(RUNTIMES)}.")
    if runtime == "torch":
        return runtime
    if not engine_networks(model):
        raise UsageError(
            f"{name} repairs, and {runtime} is for models that only enlarge: use torch, or a model "
            "such as moeisr-photo."
        )
    if device not in ("auto", "cpu"):
        raise UsageError(f"{runtime} works on the CPU: leave the device {device} out.")
    if precision == "bfloat16" and runtime == "onnxruntime":
        raise UsageError(
            "onnxruntime computes in float32: leave the precision out, or use openvino."
        )
    return runtime
