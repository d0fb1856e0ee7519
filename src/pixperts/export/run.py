"""Write a model as a file of another format, and check it."""

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pixperts.errors import MissingExtraError, ModelError, UsageError, named
from pixperts.export.check import largest_difference
from pixperts.export.engines import Engine, onnxruntime_engine, openvino_engine
from pixperts.export.form import Form
from pixperts.export.forms import EncoderForm, form_of
from pixperts.export.onnx_file import write_onnx
from pixperts.export.openvino_file import write_openvino
from pixperts.export.spandrel_file import scale_for_spandrel, write_spandrel
from pixperts.io.atomic import replacing
from pixperts.models.interfaces import Network, UpscalingNetwork
from pixperts.weights import store
from pixperts.weights.checksums import network_sha256
from pixperts.weights.packaged import weights_file

_GRAPHS = 1  # raised whenever the graph of the same encoder changes

Target = Literal["onnx", "openvino", "spandrel"]


@dataclass(frozen=True)
class Exported:
    """A file that was written.

    Attributes:
        path: the file; OpenVINO's weights lie beside it.
        summary: what it holds, such as "x2" or "encoder".
        difference: the largest difference from torch at three sizes; None for weights, which are
            not run.
    """

    path: Path
    summary: str
    difference: float | None


def export_model(
    model: str | Path,
    target: Target,
    path: Path | None = None,
    *,
    scale: float | None = None,
    expert: int | Sequence[int] | None = None,
    part: str | None = None,
) -> Exported:
    """Write a model for other programs.

    A graph takes pictures (B, 3, h, w) in [0, 1] of any size. The graph of a model that repairs
    returns repaired pictures. That of a model that enlarges returns enlarged pictures if `scale` is
    given, else the features of its encoder. The file appears only if its results are those of
    torch.

    Args:
        model: a name that `pixperts models` lists, or a .safetensors file of ours.
        target: "onnx" or "openvino" for a graph, or "spandrel" for weights that its loader reads
            once `integrations.spandrel.register` was called.
        path: the file; None = a name such as NAME_x2.onnx or NAME_encoder.onnx in the current
            folder.
        scale: factor, for moeisr-light, moeisr-photo and spandrel.
        expert: number of the expert that all pixels take, of the network of moeisr-photo (0: for
            photos, 1: for clean pictures), or one for each block of moce-ir-light; see `form_of`.
        part: of a model that repairs: "scout", "detail" or "tone"; None = all in one graph. Of
            moeisr-photo: "judge".

    Returns:
        The file and what it holds.

    Raises:
        UsageError: a scale, a part or an expert that a graph cannot have, or a path with another
            ending.
        ModelError: the model cannot be read, or the results differ from those of torch.
        MissingExtraError: a package that writes or checks the format is not installed.
    """
    if target not in TARGETS:
        name = named("target", option="--to")
        raise UsageError(f"{name} is {target!r}, but must be one of {', '.join(TARGETS)}.")
    from importlib.metadata import version  # slow to import, and this module is not

    source = weights_file(model)
    network, card = store.load(source)
    if target == "spandrel":
        if expert is not None or part is not None:
            raise UsageError(
                f"{named('expert')} and {named('part')} are for graphs: leave them out with "
                f"{named('target', 'spandrel', option='--to')}."
            )
        return _for_spandrel(network, card, source.stem, path, scale)
    ending, write = FORMATS[target]
    experts = (expert,) if isinstance(expert, int) else expert
    form = form_of(network, source.stem, scale, experts, part)
    path = path or Path("_".join(filter(None, (source.stem, form.label))) + ending)
    if path.suffix.lower() != ending:
        raise UsageError(f"{path} must end in {ending}, as OpenVINO and others go by it.")
    facts = {
        "name": card.name,
        "form": form.summary,
        "license": card.license,
        "data": card.data,
        "input": "RGB in [0, 1]",
        "author": f"pixperts {version('pixperts')}",
        **form.facts(),
    }
    with tempfile.TemporaryDirectory(prefix="pixperts-") as folder:
        made = Path(folder) / f"{path.stem}{ending}"
        difference = largest_difference(form, write(form, facts, made), str(path))
        # The weights first, so that no graph lies there without them.
        for one in sorted(Path(folder).glob(f"{made.stem}.*"), key=lambda one: one == made):
            with replacing(path.with_suffix(one.suffix), error=ModelError) as temporary:
                shutil.copyfile(one, temporary)
    return Exported(path, form.summary, difference)


def _for_spandrel(
    network: Network, card: store.Card, name: str, path: Path | None, scale: float | None
) -> Exported:
    """Write weights for the loader of spandrel."""
    factor = scale_for_spandrel(network, name, scale)
    label = f"x{factor}" if network.does == "upscale" else "spandrel"
    path = path or Path(f"{name}_{label}.safetensors")
    if path.suffix.lower() != ".safetensors":
        raise UsageError(f"{path} must end in .safetensors.")
    write_spandrel(network, card, factor, path)
    return Exported(path, f"for spandrel, x{factor}", None)


def encoder_file(model: UpscalingNetwork, name: str) -> Path:
    """The encoder of a network as an .onnx file in the cache of the user; made if missing.

    Args:
        model: the network, on the CPU.
        name: of it, for messages.

    Raises:
        ModelError: it cannot be written, or the results differ from those of torch.
        MissingExtraError: a package that writes or checks it is not installed.
    """
    try:
        from platformdirs import user_cache_path
    except ImportError as error:
        raise MissingExtraError("Another runtime", "export") from error
    folder = Path(os.environ.get("PIXPERTS_CACHE") or user_cache_path("pixperts")) / "graphs"
    path = folder / f"{network_sha256(model)}-{_GRAPHS}.onnx"
    if not path.exists():
        with tempfile.TemporaryDirectory(prefix="pixperts-") as made:
            graph = Path(made) / path.name
            form = EncoderForm(model)
            largest_difference(form, _onnx(form, {"name": name}, graph), str(path))
            with replacing(path, error=ModelError) as temporary:
                shutil.copyfile(graph, temporary)
    return path


def _onnx(form: Form, facts: dict[str, str], path: Path) -> Engine:
    write_onnx(form, facts, path)
    return onnxruntime_engine(path)


def _openvino(form: Form, facts: dict[str, str], path: Path) -> Engine:
    with tempfile.TemporaryDirectory(prefix="pixperts-") as folder:
        graph = Path(folder) / "graph.onnx"
        write_onnx(form, facts, graph)
        write_openvino(graph, facts, path)
    return openvino_engine(path)


# By format: the ending, and a function that writes a file and opens it for the check.
FORMATS: dict[str, tuple[str, Callable[[Form, dict[str, str], Path], Engine]]] = {
    "onnx": (".onnx", _onnx),
    "openvino": (".xml", _openvino),
}
TARGETS = (*FORMATS, "spandrel")
