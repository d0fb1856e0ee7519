"""A page that enlarges in the browser alone, without a server of ours: `write_static`.

It takes the models as ONNX graphs and runs them by onnxruntime-web (WebAssembly), which is put
beside the page when that is written. Any web server can hand the folder out.
"""

import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pixperts.defaults import JUDGE
from pixperts.errors import PixpertsError, UsageError, named
from pixperts.export.run import export_model
from pixperts.inference.upscaler import Upscaler
from pixperts.io.atomic import replacing_folder
from pixperts.models.moeisr_light.field import REACH
from pixperts.models.moeisr_photo.judge import LEAST, MOST, SIDE
from pixperts.models.moeisr_photo.model import MoEISRPhoto

MODELS = ("moeisr-photo", "moeisr-light")
SCALES = (2, 3, 4)
RUNTIME = "onnxruntime-web@1.30.0"
_PATIENCE = 300  # seconds that npm may take for about 30 MB; by itself it tries for much longer
_WASM_FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
_WEBGPU_FILES = ("ort.webgpu.bundle.min.mjs", "ort-wasm-simd-threaded.asyncify.wasm")
_ASSETS = Path(__file__).parent / "assets" / "static"


def write_static(
    folder: Path,
    *,
    models: Sequence[str] = MODELS,
    scales: Sequence[int] = SCALES,
    runtime: Path | None = None,
    webgpu: bool = False,
    progress: Callable[[str], None] = lambda text: None,
) -> Path:
    """Write the page, whole or not at all.

    Args:
        folder: where the page is put; it is missing or empty.
        models: names of models that enlarge, each of which can be exported as one graph.
        scales: whole factors.
        runtime: an unpacked npm package of onnxruntime-web; None: npm fetches it.
        webgpu: add what runs on the GPU of a visitor, where the browser has WebGPU.
        progress: takes lines on what is done.

    Raises:
        UsageError: the folder is not empty, there is no npm, or `runtime` lacks a file.
        PixpertsError: npm cannot fetch onnxruntime-web, or takes more than five minutes; or the
            folder cannot be written.
        MissingExtraError: the extra `export` is not installed.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is not empty: name a new folder.")
    try:
        with replacing_folder(folder) as hidden:
            shutil.copytree(_ASSETS, hidden, dirs_exist_ok=True)
            progress(f"{RUNTIME.partition('@')[0]} is copied beside the page")
            wanted = (*_WASM_FILES, *(_WEBGPU_FILES if webgpu else ()))
            _add_runtime(hidden / "ort", runtime, wanted)
            for name in models:
                for scale in scales:
                    progress(f"{name} at x{scale} is exported")
                    _export(name, scale, hidden)
                if JUDGE in _choice(name):
                    path = hidden / f"{name}_{JUDGE}.onnx"
                    export_model(name, "onnx", path, part=JUDGE)
            facts = _facts(models, scales) | {"webgpu": webgpu}
            (hidden / "models.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    except OSError as error:
        raise PixpertsError(
            f"{folder} could not be written ({error.strerror or error}): check the free space and "
            "the permissions of its folder."
        ) from None
    return folder


def _export(name: str, scale: int, folder: Path) -> None:
    """The graph of a model, or of each of its networks."""
    for number, member in enumerate(_choice(name).get("members", [""])):
        ending = f"x{scale}_{member}" if member else f"x{scale}"
        expert = number if member else None
        export_model(name, "onnx", folder / f"{name}_{ending}.onnx", scale=scale, expert=expert)


def _choice(name: str) -> dict[str, Any]:
    """What the script has to know to choose between the networks of a model, if it has several."""
    model = Upscaler.load(name, device="cpu").model
    if not isinstance(model, MoEISRPhoto):
        return {}
    pieces = {"side": SIDE, "most": MOST, "least": LEAST, "clean_below": model.config.clean_below}
    # The network for photos comes without a name, as in `export`.
    return {"members": ["", *model.members[1:]], JUDGE: pieces}


def _facts(models: Sequence[str], scales: Sequence[int]) -> dict[str, object]:
    """What the script of the page has to know."""
    from pixperts.weights.catalogue import list_trained_models

    summaries = {entry.name: entry.summary for entry in list_trained_models()}
    # A model's context includes REACH, which only factors that are not whole need.
    context = max(Upscaler.load(name, device="cpu").model.context - REACH for name in models)
    return {
        "context": context,
        "scales": list(scales),
        "models": [{"name": name, "summary": summaries[name], **_choice(name)} for name in models],
    }


def _add_runtime(target: Path, unpacked: Path | None, wanted: Sequence[str]) -> None:
    target.mkdir()
    if unpacked is not None:
        _copy_runtime(unpacked, target, wanted)
        return
    if shutil.which("npm") is None:
        raise UsageError(
            f"{named('static')} needs npm, which fetches onnxruntime-web: install it, or name an "
            f"unpacked package with {named('runtime')}."
        )
    with tempfile.TemporaryDirectory(prefix="pixperts-") as name:
        try:
            done = subprocess.run(
                ["npm", "pack", RUNTIME, "--silent", "--pack-destination", name],
                capture_output=True,
                text=True,
                check=False,
                timeout=_PATIENCE,
            )
        except subprocess.TimeoutExpired:
            raise PixpertsError(
                f"{RUNTIME} could not be fetched within {_PATIENCE} s: check the network, or name "
                f"an unpacked package with {named('runtime')}."
            ) from None
        packed = sorted(Path(name).glob("*.tgz"))
        if done.returncode or not packed:
            reason = " ".join(done.stderr.split())[:300] or "npm gave no reason"
            raise PixpertsError(
                f"{RUNTIME} could not be fetched ({reason}): check the network, or name an "
                f"unpacked package with {named('runtime')}."
            )
        with tarfile.open(packed[0]) as archive:
            archive.extractall(name, filter="data")
        _copy_runtime(Path(name) / "package", target, wanted)


def _copy_runtime(package: Path, target: Path, wanted: Sequence[str]) -> None:
    for name in (*(f"dist/{name}" for name in wanted), "package.json"):
        if not (package / name).is_file():
            raise UsageError(
                f"{package} has no {name}: name the unpacked npm package of onnxruntime-web."
            )
        shutil.copyfile(package / name, target / Path(name).name)
