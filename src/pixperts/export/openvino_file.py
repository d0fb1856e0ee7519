"""An ONNX file as OpenVINO's pair of files, .xml and .bin."""

from collections.abc import Mapping
from pathlib import Path

from pixperts.export.engines import import_openvino


def write_openvino(source: Path, facts: Mapping[str, str], path: Path) -> None:
    """Convert, with weights in float32 as they are in the source.

    Args:
        source: an .onnx file.
        facts: what stands in the file beside the graph.
        path: a name that ends in .xml; the .bin is written beside it.

    Raises:
        MissingExtraError: OpenVINO is not installed.
    """
    openvino = import_openvino()
    model = openvino.convert_model(str(source))
    for key, text in facts.items():
        model.set_rt_info(text, ["pixperts", key])
    openvino.save_model(model, str(path), compress_to_fp16=False)
