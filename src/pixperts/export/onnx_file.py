"""Write a form as an ONNX file."""

import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from pixperts.errors import MissingExtraError, ModelError, UsageError
from pixperts.export.form import IMAGE, Form

OPSET = 20
PICTURES = frozenset({"features", "enlarged", "repaired", "toned"})  # outputs with free sides
# Operators that other programs lack or run slowly; our graphs do not need them.
UNWANTED = frozenset({"GridSample", "NonZero", "DFT", "STFT", "If", "Loop", "Scan"})


def write_onnx(form: Form, facts: Mapping[str, str], path: Path) -> None:
    """Write a form with free height, width and batch.

    Args:
        form: is written.
        facts: metadata for the file.
        path: the file.

    Raises:
        MissingExtraError: onnx or onnxscript is not installed.
        UsageError: torch is older than 2.6.
        ModelError: the graph contains an operator that other programs lack.
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
    # No side and no batch of the example is 0, 1 or equal to another, else the exporter would treat
    # it as fixed. Nor are all sides multiples of the step of the form.
    step = form.step
    sides = 12 * step + step // 2, 15 * step + step // 2
    example = form.examples(2, *sides, torch.Generator().manual_seed(0))
    free = torch.export.Dim.DYNAMIC
    shapes = [dict.fromkeys((0, 2, 3) if name == IMAGE else (0,), free) for name in form.inputs]
    with _quiet(), torch.set_grad_enabled(form.whole_maps):
        program = torch.onnx.export(
            form.eval().requires_grad_(False),
            example,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(form.inputs),
            output_names=list(form.outputs),
            dynamic_shapes=tuple(shapes),
            verbose=False,
        )
    assert program is not None
    graph = program.model_proto
    graphs = (graph.graph, *graph.functions)
    unwanted = sorted({node.op_type for one in graphs for node in one.node} & UNWANTED)
    if unwanted:
        raise ModelError(f"the graph needs {', '.join(unwanted)}, which other programs lack.")
    for value in graph.graph.input:
        _name_sides(value, ("batch", "height", "width"), value.name == IMAGE)
    for value in graph.graph.output:
        _name_sides(value, ("batch", "new_height", "new_width"), value.name in PICTURES)
    for key, text in facts.items():
        graph.metadata_props.add(key=key, value=text)
    onnx.checker.check_model(graph)
    onnx.save(graph, str(path))


def _name_sides(value: Any, names: tuple[str, str, str], picture: bool) -> None:
    """Names for batch, height and width, which the exporter numbers."""
    sides = value.type.tensor_type.shape.dim
    for place, name in zip((0, 2, 3), names, strict=True):
        if place == 0 or picture:
            sides[place].dim_param = name


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """A context without the output of the exporter: progress, and warnings of unused packages."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
