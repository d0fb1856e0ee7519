"""Convert an ONNX file into the two files of OpenVINO, .xml and .bin."""

from collections.abc import Mapping
from pathlib import Path

from pixperts.export.engines import import_openvino


def write_openvino(source: Path, facts: Mapping[str, str], path: Path) -> None:
    """Convert a graph; weights stay float32.

    Args:
        source: an .onnx file.
        facts: metadata for the file.
        path: a name that ends in .xml; the .bin is written beside it.

    Raises:
        MissingExtraError: OpenVINO is not installed.
    """
    openvino = import_openvino()
    model = openvino.convert_model(str(source))
    for key, text in facts.items():
        model.set_rt_info(text, ["pixperts", key])
    openvino.save_model(model, str(path), compress_to_fp16=False)
