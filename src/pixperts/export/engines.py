"""Run graphs in files by ONNX Runtime and OpenVINO."""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pixperts.errors import MissingExtraError

Engine = Callable[..., tuple[Tensor, ...]]  # the inputs of a graph in order, its outputs in order


def onnxruntime_engine(path: Path) -> Engine:
    """An .onnx file in ONNX Runtime, in float32 on the CPU, with as many threads as torch uses.

    Raises:
        MissingExtraError: ONNX Runtime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("ONNX Runtime", "onnxruntime") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]

    def run(*inputs: Tensor) -> tuple[Tensor, ...]:
        results = session.run(None, dict(zip(names, map(_array, inputs), strict=True)))
        return tuple(map(torch.from_numpy, results))

    return run


def openvino_engine(path: Path, precision: str = "float32") -> Engine:
    """An .onnx or .xml file in OpenVINO on the CPU, with as many threads as torch uses.

    Args:
        path: the file.
        precision: float32 or bfloat16.

    Raises:
        MissingExtraError: OpenVINO is not installed.
    """
    core = _core(import_openvino())
    settings = {
        "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,  # else it ignores the cores that the process may use
    }
    request = core.compile_model(str(path), "CPU", settings).create_infer_request()

    def run(*inputs: Tensor) -> tuple[Tensor, ...]:
        results = request.infer(list(map(_array, inputs)), share_inputs=True)
        return tuple(torch.from_numpy(results[place]) for place in range(len(results)))

    return run


def _array(value: Tensor) -> Any:
    return value.float().contiguous().numpy()


@cache
def _core(openvino: Any) -> Any:
    """The one core object of OpenVINO of this process, never released.

    On processors with AMX, each core object sets up a stack for signal handlers. If a second one is
    released after the first, a stack remains whose memory is gone, and the next signal (Ctrl-C, the
    end of a child process) kills the process.
    """
    return openvino.Core()


def import_openvino() -> Any:
    """The package `openvino`, with its telemetry turned off.

    Raises:
        MissingExtraError: it is not installed.
    """
    os.environ.setdefault("OPENVINO_TELEMETRY", "0")
    try:
        import openvino
    except ImportError as error:
        raise MissingExtraError("OpenVINO", "openvino") from error
    return openvino
