"""A form as an ONNX file."""

import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pixperts.errors import MissingExtraError, ModelError, UsageError

OPSET = 20
INPUT = "image"
# What other programs lack, or run slowly; a graph of ours has no use for it.
UNWANTED = frozenset({"GridSample", "NonZero", "DFT", "STFT", "If", "Loop", "Scan"})


def write_onnx(
    module: nn.Module, output: str, facts: Mapping[str, str], path: Path, step: int = 1
) -> None:
    """Write a module of one picture to another, with free height, width and batch.

    Args:
        module: (B, 3, h, w) -> (B, C, H, W).
        output: name of its output.
        facts: what stands in the file beside the graph.
        path: the file.
        step: sides of the example are not all multiples of it.

    Raises:
        MissingExtraError: onnx or onnxscript is not installed.
        UsageError: torch is older than 2.6.
        ModelError: the graph has an operator that others lack.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("Export", "export") from error
    if not hasattr(torch.export.Dim, "DYNAMIC"):
        raise UsageError(
            f"Export needs torch 2.6 or newer, not {torch.__version__}: pip install 'torch>=2.6'."
        )
    # No side and no batch of the example is 0, 1 or equal to another: such would be taken for
    # fixed ones.
    example = torch.zeros(2, 3, 12 * step + step // 2, 15 * step + step // 2)
    free = torch.export.Dim.DYNAMIC
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            module.eval(),
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[output],
            dynamic_shapes=({0: free, 2: free, 3: free},),
            verbose=False,
        )
    assert program is not None
    graph = program.model_proto
    graphs = (graph.graph, *graph.functions)
    unwanted = sorted({node.op_type for one in graphs for node in one.node} & UNWANTED)
    if unwanted:
        raise ModelError(f"the graph needs {', '.join(unwanted)}, which other programs lack.")
    _name_sides(graph.graph.input[0], ("batch", "height", "width"))
    _name_sides(graph.graph.output[0], ("batch", "new_height", "new_width"))
    for key, text in facts.items():
        graph.metadata_props.add(key=key, value=text)
    onnx.checker.check_model(graph)
    onnx.save(graph, str(path))


def _name_sides(value: Any, names: tuple[str, str, str]) -> None:
    """Names for batch, height and width, which the exporter numbers."""
    sides = value.type.tensor_type.shape.dim
    for place, name in zip((0, 2, 3), names, strict=True):
        sides[place].dim_param = name


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns of packages that it does not need and prints its progress."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
