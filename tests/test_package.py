"""The package as a whole: what it exports, and what importing it costs."""

import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import pixperts
from pixperts.io.decoders import foreign
from pixperts.io.encoders import foreign as encoders

SOURCE = str(Path(pixperts.__file__).parents[1])
HEAVY = ["torch", "numpy", "lightning", "torchvision", "torchmetrics", "PIL", "pyvips", "yaml"]
EXTRAS = ["lightning", "torchvision", "torchmetrics", "PIL", "yaml", "tensorboard", "matplotlib"]
EXTRAS += ["onnx", "onnxscript", "onnxruntime", "openvino", "platformdirs", "huggingface_hub"]
EXTRAS += ["gradio", "av", "starlette", "uvicorn"]


def run(code: str) -> str:
    """Standard output of some code in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {SOURCE!r})\n{code}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# What `pixperts.training.run` imports when a training starts, and nothing else does.
TRAINING = [
    f"pixperts.training.{name}"
    for name in (
        "callbacks", "checkpoints", "dry_run", "enhancement", "judge", "light", "light_restoration",
        "marks", "module", "parts", "restoration", "run", "tone", "upscaling",
    )
]  # fmt: skip


# What `foreign` of each imports when a file of such a format is read or written.
DECODERS = {f"pixperts.io.decoders.{module}" for _, _, module in foreign.EXTRAS.values()}
ENCODERS = {f"pixperts.io.encoders.{module}" for _, _, module in encoders.ENCODERS.values()}


# What `pixperts.app.server` imports when a page is served.
PAGE = [f"pixperts.app.{name}" for name in ("controls", "interface", "look", "page", "shown")]

# What `pixperts.serve.server` imports when pictures are served.
SERVICE = [
    f"pixperts.serve.{name}"
    for name in ("access", "application", "failures", "pictures", "service")
]


def modules() -> list[str]:
    found = pkgutil.walk_packages(pixperts.__path__, "pixperts.")
    on_demand = {*TRAINING, *DECODERS, *ENCODERS, *PAGE, *SERVICE, "pixperts.__main__"}
    return [m.name for m in found if m.name not in on_demand]


def test_every_exported_name_is_there_and_documented() -> None:
    for name in pixperts.__all__:
        assert getattr(pixperts, name).__doc__, name
    wanted = {"load", "create_model", "Restorer", "Upscaler", "PixpertsError"}
    assert wanted <= set(pixperts.__all__)
    with pytest.raises(AttributeError, match="no attribute 'upscale_all'"):
        getattr(pixperts, "upscale_all")  # noqa: B009


def test_errors_are_caught_by_their_base() -> None:
    errors = [getattr(pixperts, name) for name in pixperts.__all__ if name.endswith("Error")]
    assert len(errors) == 6
    assert all(issubclass(error, pixperts.PixpertsError) for error in errors)


def test_importing_the_package_imports_nothing_heavy() -> None:
    loaded = run(f"import pixperts; print([m for m in {HEAVY} if m in sys.modules])")
    assert loaded.strip() == "[]"


@pytest.mark.slow
def test_every_module_but_training_imports_without_the_extras() -> None:
    assert len(modules()) > 20
    assert "pixperts.inference.restorer" in modules()
    code = f"""
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {EXTRAS}:
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Absent())
for name in {modules()}:
    __import__(name)
print("all")
"""
    assert run(code).strip() == "all"


@pytest.mark.slow
def test_loading_a_model_and_enlarging_need_no_extra() -> None:
    code = f"""
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {EXTRAS}:
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Absent())
import numpy as np, pixperts
from pixperts.weights.store import Card
model = pixperts.create_model("moeisr-tiny", encoder_options={{"channels": 8, "blocks": 1}})
restorer = pixperts.Upscaler(model, Card("moeisr-tiny", {{}}), device="cpu")
print(restorer.upscale(np.zeros((4, 5, 3), np.uint8), scale=2).shape)
"""
    assert run(code).strip() == "(8, 10, 3)"
